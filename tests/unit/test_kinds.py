"""One row a kind: what the pipeline reads from it."""

import pytest

from inference_provider.desired import identify, owned_fields
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import (
    AutoscaleRuleSpec,
    ConnectionSpec,
    DeploymentSpec,
    EnvironmentSpec,
    IdentitySpec,
    ModelSpec,
    RoleAssignmentSpec,
    StackSpec,
    TrafficSpec,
    WorkspaceSpec,
)
from inference_provider.spec.kinds import LISTED, ROWS


def test_every_kind_has_a_row():
    assert list(ROWS) == list(Kind)


def test_a_stack_has_one_list_a_kind():
    assert ["name", *LISTED] == list(StackSpec.model_fields)


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.kind.value)
def test_every_model_has_the_fields_of_the_identity(row):
    assert all(set(row.identity) <= set(model.model_fields) for model in row.models)


@pytest.mark.parametrize(
    ("kind", "spec", "address"),
    [
        (Kind.WORKSPACE, WorkspaceSpec(name="lab"), "Workspace/lab/lab"),
        (Kind.CONNECTION, ConnectionSpec(name="hub"), "Connection/default/hub"),
        (Kind.MODEL, ModelSpec(name="iris", version="2", path="m"), "Model/default/iris:2"),
        (Kind.ENVIRONMENT, EnvironmentSpec(name="env"), "Environment/default/env:1"),
        (Kind.IDENTITY, IdentitySpec(name="robot"), "Identity/default/robot"),
        (
            Kind.ROLE_ASSIGNMENT,
            RoleAssignmentSpec(name="may", principal="robot", role="Reader"),
            "RoleAssignment/default/may",
        ),
        (
            Kind.DEPLOYMENT,
            DeploymentSpec(workspace="lab", endpoint="iris", name="blue", environment="env:1"),
            "Deployment/lab/iris/blue",
        ),
        (Kind.TRAFFIC, TrafficSpec(endpoint="iris"), "Traffic/default/iris"),
        (
            Kind.AUTOSCALE_RULE,
            AutoscaleRuleSpec(endpoint="iris", deployment="blue", max_instances=3),
            "AutoscaleRule/default/iris/blue",
        ),
    ],
)
def test_an_address_is_made_of_the_identity(kind, spec, address):
    assert identify(kind, spec).address == address


@pytest.mark.parametrize(
    ("kind", "outputs", "secret", "computed"),
    [
        (Kind.WORKSPACE, {"router_url", "metrics_url", "ca_certificate"}, set(), set()),
        (Kind.MODEL, {"reference"}, set(), {"content_hash", "reference"}),
        (Kind.ENVIRONMENT, {"reference"}, set(), {"content_hash", "reference"}),
        (
            Kind.ENDPOINT,
            {"scoring_uri", "openapi_uri", "primary_key", "secondary_key"},
            {"primary_key", "secondary_key"},
            set(),
        ),
        (Kind.DEPLOYMENT, {"generation"}, set(), set()),
        (Kind.TRAFFIC, set(), set(), set()),
    ],
)
def test_a_row_knows_the_outputs(kind, outputs, secret, computed):
    row = ROWS[kind]
    assert (row.output_names, row.secret_outputs, row.computed) == (outputs, secret, computed)


def test_a_row_knows_which_inputs_are_secret():
    found = {kind.value: row.secret_inputs for kind, row in ROWS.items() if row.secret_inputs}
    assert found == {
        "Connection": {"credentials"},
        "Deployment": {"environment_variables"},
        "Endpoint": {"alert_webhooks", "keys"},
        "Workspace": {"tls"},
    }


def test_an_autoscale_rule_owns_the_count_of_the_deployment_of_its_name():
    blue = ResourceId(kind=Kind.DEPLOYMENT, workspace="lab", name="iris/blue")
    green = blue.model_copy(update={"name": "iris/green"})
    rule = blue.model_copy(update={"kind": Kind.AUTOSCALE_RULE})
    spec = AutoscaleRuleSpec(workspace="lab", endpoint="iris", deployment="blue", max_instances=3)
    assert owned_fields(blue, {rule: spec}) == {"instance_count"}
    assert owned_fields(green, {rule: spec}) == frozenset()
    assert owned_fields(rule, {rule: spec}) == frozenset()
    off = spec.model_copy(update={"enabled": False})
    assert owned_fields(blue, {rule: off}) == frozenset()


def test_a_target_answers_with_the_outputs_of_the_kind(cli):
    assert cli("up").exit_code == 0
    for there in cli.target.observe(["default"]).resources.values():
        ROWS[there.id.kind].outputs.model_validate({**there.outputs, **there.secret_outputs})
