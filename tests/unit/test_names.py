"""What the fields of one resource name, of every kind."""

import pytest

from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import RoleAssignmentSpec, TrafficSpec
from inference_provider.spec.kinds import NAMED_BY, RANK, ROWS

HASH = "a" * 64
OUTPUT = object()
"""Stands for a value that only an engine knows."""
DEPLOYMENT = {"endpoint": "iris", "name": "blue", "environment": "env:1"}
ASSIGNMENT = {"name": "may", "principal": "robot", "role": "r"}
RULE = {"endpoint": "iris", "deployment": "blue", "max_instances": 3}


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        pytest.param(Kind.WORKSPACE, {"name": "lab"}, [], id="a workspace"),
        pytest.param(Kind.CONNECTION, {"name": "hub"}, [], id="a connection"),
        pytest.param(Kind.MODEL, {"name": "iris", "path": "m"}, [], id="a model"),
        pytest.param(Kind.ENVIRONMENT, {"name": "env"}, [], id="an environment"),
        pytest.param(Kind.IDENTITY, {"name": "robot"}, [], id="an identity"),
        pytest.param(Kind.ENDPOINT, {"name": "iris", "identity": None}, [], id="no identity"),
        pytest.param(
            Kind.ENDPOINT,
            {"name": "iris", "identity": "robot"},
            [("identity", "Identity", "robot")],
            id="an endpoint's identity",
        ),
        pytest.param(
            Kind.ENDPOINT,
            {"name": "words", "kind": "batch", "identity": "robot"},
            [("identity", "Identity", "robot")],
            id="a batch endpoint's identity",
        ),
        pytest.param(
            Kind.ENDPOINT,
            {"name": "phi", "kind": "serverless", "model_id": "phi-4"},
            [],
            id="a model of a registry",
        ),
        pytest.param(
            Kind.ROLE_ASSIGNMENT,
            ASSIGNMENT,
            [("principal", "Identity", "robot")],
            id="principal_type left out",
        ),
        pytest.param(
            Kind.ROLE_ASSIGNMENT,
            {**ASSIGNMENT, "principal_type": "identity", "scope": "endpoints/iris"},
            [("principal", "Identity", "robot"), ("scope", "Endpoint", "iris")],
            id="the scope of an endpoint",
        ),
        pytest.param(
            Kind.ROLE_ASSIGNMENT,
            {**ASSIGNMENT, "principal_type": "user", "scope": "connections/hub"},
            [("scope", "Connection", "hub")],
            id="a user on a connection",
        ),
        pytest.param(
            Kind.ROLE_ASSIGNMENT,
            {**ASSIGNMENT, "principal_type": "group", "scope": "subscriptions/1"},
            [],
            id="a group on what is elsewhere",
        ),
        pytest.param(
            Kind.DEPLOYMENT,
            DEPLOYMENT,
            [("endpoint", "Endpoint", "iris"), ("environment", "Environment", "env:1")],
            id="a deployment without a model",
        ),
        pytest.param(
            Kind.DEPLOYMENT,
            {**DEPLOYMENT, "model": "azureml:iris@latest", "environment": f"env:1@sha256:{HASH}"},
            [
                ("endpoint", "Endpoint", "iris"),
                ("model", "Model", "iris@latest"),
                ("environment", "Environment", "env:1"),
            ],
            id="latest and pinned",
        ),
        pytest.param(
            Kind.DEPLOYMENT,
            {**DEPLOYMENT, "kind": "batch", "model": "iris:2"},
            [
                ("endpoint", "Endpoint", "iris"),
                ("model", "Model", "iris:2"),
                ("environment", "Environment", "env:1"),
            ],
            id="a batch deployment",
        ),
        pytest.param(
            Kind.TRAFFIC,
            {"endpoint": "iris", "traffic": {"a": 100, "b": 0}, "mirror_traffic": {"c": 5}},
            [
                ("endpoint", "Endpoint", "iris"),
                ("traffic.a", "Deployment", "iris/a"),
                ("mirror_traffic.c", "Deployment", "iris/c"),
            ],
            id="shares above 0",
        ),
        pytest.param(
            Kind.AUTOSCALE_RULE,
            RULE,
            [("endpoint", "Endpoint", "iris"), ("deployment", "Deployment", "iris/blue")],
            id="an autoscale rule",
        ),
    ],
)
def test_a_resource_names_others_of_its_workspace(kind, fields, expected):
    found = ROWS[kind].references(fields)
    assert [(named.field, named.kind.value, named.name) for named in found] == expected


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        pytest.param(
            Kind.DEPLOYMENT,
            {"endpoint": OUTPUT, "model": OUTPUT, "environment": "env:1"},
            [("endpoint", (OUTPUT,)), ("environment", ("env", "1", ""))],
            id="a reference is taken apart, or left out",
        ),
        pytest.param(
            Kind.TRAFFIC,
            {"endpoint": OUTPUT, "traffic": {"a": 100, "b": OUTPUT}, "mirror_traffic": OUTPUT},
            [("endpoint", (OUTPUT,)), ("traffic.a", (OUTPUT, "a"))],
            id="a share that may be 0 is left out",
        ),
        pytest.param(
            Kind.AUTOSCALE_RULE,
            {"endpoint": "iris", "deployment": OUTPUT},
            [("endpoint", ("iris",)), ("deployment", ("iris", OUTPUT))],
            id="a deployment",
        ),
        pytest.param(Kind.AUTOSCALE_RULE, {"deployment": "blue"}, [], id="no endpoint"),
        pytest.param(
            Kind.ROLE_ASSIGNMENT,
            {"principal": "robot", "principal_type": OUTPUT, "scope": OUTPUT},
            [],
            id="a principal that may be a user",
        ),
    ],
)
def test_what_only_an_engine_knows_is_passed_on_where_it_is_a_whole_name(kind, fields, expected):
    found = ROWS[kind].references(fields)
    assert [(named.field, tuple(named.parts)) for named in found] == expected


def test_a_spec_names_what_its_fields_name():
    traffic = TrafficSpec(endpoint="iris", traffic={"blue": 100})
    assert [n.name for n in ROWS[Kind.TRAFFIC].references(traffic)] == ["iris", "iris/blue"]
    may = RoleAssignmentSpec(name="may", principal="ana", principal_type="user", role="Reader")
    assert ROWS[Kind.ROLE_ASSIGNMENT].references(may) == ()


def test_a_kind_knows_which_kinds_may_name_it():
    found = {kind.value: [other.value for other in NAMED_BY[kind]] for kind in Kind}
    assert found == {
        "Workspace": [],
        "Connection": ["RoleAssignment", "Deployment"],
        "Model": ["Deployment"],
        "Environment": ["Deployment"],
        "Identity": ["Endpoint", "RoleAssignment"],
        "Endpoint": ["RoleAssignment", "Deployment", "Traffic", "AutoscaleRule"],
        "RoleAssignment": [],
        "Deployment": ["Traffic", "AutoscaleRule"],
        "Traffic": [],
        "AutoscaleRule": [],
    }


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.kind.value)
def test_a_kind_is_made_after_what_it_names_or_comes_after(row):
    named = {kind for names in row.names.values() for kind in names.kinds}
    assert all(RANK[before] < RANK[row.kind] for before in {*row.after, *named})


@pytest.mark.parametrize(
    ("kind", "name", "endpoint"),
    [
        (Kind.ENDPOINT, "iris", "iris"),
        (Kind.TRAFFIC, "iris", "iris"),
        (Kind.DEPLOYMENT, "iris/blue", "iris"),
        (Kind.AUTOSCALE_RULE, "iris/blue", "iris"),
        (Kind.MODEL, "iris:1", ""),
        (Kind.ROLE_ASSIGNMENT, "may", ""),
        (Kind.WORKSPACE, "lab", ""),
    ],
)
def test_an_id_says_which_endpoint_a_resource_is_or_belongs_to(kind, name, endpoint):
    assert ResourceId(kind=kind, workspace="lab", name=name).endpoint == endpoint
