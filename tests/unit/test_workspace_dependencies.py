"""What a resource names is there before it, and stays as long as it does."""

import pytest
from tests.memory import (
    ANN,
    desired,
    record,
    state_of,
    with_environment,
    with_workspace,
    write_record,
)

from inference_provider.desired import identify
from inference_provider.errors import StillHolds, StillServing, TargetError
from inference_provider.observed import Kind
from inference_provider.spec import (
    AutoscaleRuleSpec,
    ConnectionSpec,
    DeploymentSpec,
    EndpointSpec,
    EnvironmentSpec,
    IdentitySpec,
    RoleAssignmentSpec,
    TrafficSpec,
)
from inference_provider.targets.memory import MemoryTarget
from inference_provider.workspace.dependencies import refuse_unmet

HASH = "a" * 64
IRIS = EndpointSpec(name="iris")
BLUE = DeploymentSpec(endpoint="iris", name="blue", environment=f"plain:1@sha256:{HASH}")
ROBOT = IdentitySpec(name="robot")
MAY = RoleAssignmentSpec(name="may", principal="robot", role="Reader", scope="endpoints/iris")
READS = RoleAssignmentSpec(name="reads", principal="ana", principal_type="user", role="Reader",
                           scope="connections/hub")  # fmt: skip
RULE = AutoscaleRuleSpec(endpoint="iris", deployment="blue", max_instances=5)


@pytest.fixture
def target():
    made = with_environment(with_workspace(MemoryTarget()), HASH)
    made.apply(desired(Kind.ENDPOINT, IRIS), ANN)
    return made


def refused(target, kind, spec):
    with pytest.raises(StillHolds) as caught:
        target.delete(identify(kind, spec), "demo", ANN)
    assert target.record(identify(kind, spec)) is not None
    return str(caught.value)


def test_an_identity_stays_while_an_endpoint_or_an_assignment_names_it(target):
    write_record(target, record(Kind.IDENTITY, ROBOT))
    write_record(target, record(Kind.ROLE_ASSIGNMENT, MAY))
    rose = EndpointSpec(name="rose", identity="robot")
    write_record(target, record(Kind.ENDPOINT, rose))
    assert refused(target, Kind.IDENTITY, ROBOT) == (
        "delete Identity 'default/robot': Endpoint 'default/rose',"
        " RoleAssignment 'default/may' name it; delete that first"
    )
    target.delete(identify(Kind.ENDPOINT, rose), "demo", ANN)
    assert "RoleAssignment 'default/may' names it; delete" in refused(target, Kind.IDENTITY, ROBOT)
    target.delete(identify(Kind.ROLE_ASSIGNMENT, MAY), "demo", ANN)
    target.delete(identify(Kind.IDENTITY, ROBOT), "demo", ANN)


def test_an_endpoint_and_a_connection_stay_while_they_are_the_scope_of_an_assignment(target):
    hub = ConnectionSpec(name="hub")
    for kind, spec in (
        (Kind.ROLE_ASSIGNMENT, MAY), (Kind.ROLE_ASSIGNMENT, READS), (Kind.CONNECTION, hub),
        (Kind.DEPLOYMENT, BLUE), (Kind.AUTOSCALE_RULE, RULE),
    ):  # fmt: skip
        write_record(target, record(kind, spec))
    assert refused(target, Kind.ENDPOINT, IRIS) == (
        "delete Endpoint 'default/iris': RoleAssignment 'default/may' names it, and"
        " Deployment 'default/iris/blue', AutoscaleRule 'default/iris/blue' are behind it;"
        " delete that first"
    )
    assert "RoleAssignment 'default/reads' names it; delete" in refused(
        target, Kind.CONNECTION, hub
    )


def test_a_deployment_stays_while_an_autoscale_rule_names_it(target):
    green = BLUE.model_copy(update={"name": "green"})
    target.apply(desired(Kind.DEPLOYMENT, BLUE), ANN)
    target.apply(desired(Kind.DEPLOYMENT, green), ANN)
    write_record(target, record(Kind.AUTOSCALE_RULE, RULE))
    assert refused(target, Kind.DEPLOYMENT, BLUE) == (
        "delete Deployment 'default/iris/blue': AutoscaleRule 'default/iris/blue' names it;"
        " delete that first"
    )
    assert len(target.memory.ports("default").compute.instances()["iris/blue"]) == 1
    target.delete(identify(Kind.DEPLOYMENT, green), "demo", ANN)
    target.delete(identify(Kind.AUTOSCALE_RULE, RULE), "demo", ANN)
    target.delete(identify(Kind.DEPLOYMENT, BLUE), "demo", ANN)
    assert target.record(identify(Kind.DEPLOYMENT, BLUE)) is None


def test_a_deployment_that_is_mirrored_to_stays(target):
    target.apply(desired(Kind.DEPLOYMENT, BLUE), ANN)
    mirror = TrafficSpec(endpoint="iris", mirror_traffic={"blue": 10})
    target.apply(desired(Kind.TRAFFIC, mirror), ANN)
    with pytest.raises(StillServing) as caught:
        target.delete(identify(Kind.DEPLOYMENT, BLUE), "demo", ANN)
    assert str(caught.value) == (
        "delete Deployment 'default/iris/blue': it gets a copy of 10 % of the traffic;"
        " take it out of mirror_traffic first"
    )


def test_a_model_goes_while_a_deployment_names_it(target):
    plain = EnvironmentSpec(name="plain", content_hash=HASH)
    target.apply(desired(Kind.DEPLOYMENT, BLUE), ANN)
    target.delete(identify(Kind.ENVIRONMENT, plain), "base", ANN)
    assert target.record(identify(Kind.ENVIRONMENT, plain)) is None


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        (
            Kind.ENDPOINT,
            EndpointSpec(name="rose", identity="robot"),
            "create Endpoint 'default/rose': Identity 'default/robot' is not there;"
            " declare it first",
        ),
        (
            Kind.ROLE_ASSIGNMENT,
            READS,
            "create RoleAssignment 'default/reads': Connection 'default/hub' is not there;"
            " declare it first",
        ),
        (
            Kind.AUTOSCALE_RULE,
            RULE,
            "create AutoscaleRule 'default/iris/blue': Deployment 'default/iris/blue' is not there;"
            " create it first (in a Pulumi program: name it in depends_on)",
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Kind) else "",
)
def test_nothing_is_made_that_names_what_is_not_recorded(target, kind, spec, expected):
    with pytest.raises(TargetError) as caught:
        refuse_unmet(state_of(target), desired(kind, spec))
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("kind", "spec", "other"),
    [
        (Kind.ENDPOINT, EndpointSpec(name="Iris"), "Endpoint 'default/iris'"),
        (
            Kind.DEPLOYMENT,
            BLUE.model_copy(update={"name": "Blue"}),
            "Deployment 'default/iris/blue'",
        ),
        (
            Kind.CONNECTION,
            ConnectionSpec(name="Hub", category="ApiKey", credentials={"key": "k"}),
            "Connection 'default/hub'",
        ),
    ],
)
def test_a_name_that_differs_from_anothers_in_case_alone_is_refused(target, kind, spec, other):
    for there, made in (
        (Kind.DEPLOYMENT, BLUE),
        (Kind.CONNECTION, ConnectionSpec(name="hub", category="ApiKey", credentials={"key": "k"})),
    ):
        write_record(target, record(there, made))
    with pytest.raises(TargetError, match=f"{other} differs from it in case alone; use another"):
        target.apply(desired(kind, spec), ANN)
    target.apply(desired(Kind.ENDPOINT, IRIS), ANN)  # itself is no other


def test_of_two_that_are_there_already_both_can_be_changed(target):
    write_record(target, record(Kind.ENDPOINT, EndpointSpec(name="Iris")))
    target.apply(desired(Kind.ENDPOINT, IRIS), ANN)
    target.apply(desired(Kind.ENDPOINT, EndpointSpec(name="Iris")), ANN)
