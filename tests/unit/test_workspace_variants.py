"""Records of batch, and of kinds that only decide something, beside online ones."""

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
from inference_provider.errors import StillHolds, TargetError
from inference_provider.observed import Actor, Kind, Presence
from inference_provider.spec import (
    AutoscaleRuleSpec,
    BatchDeploymentSpec,
    BatchEndpointSpec,
    DeploymentSpec,
    EndpointSpec,
    IdentitySpec,
    TrafficSpec,
    WorkspaceSpec,
)
from inference_provider.spec.identity_provider import IdentityProvider
from inference_provider.targets.memory import MemoryTarget

HASH = "a" * 64
PINNED = f"plain:1@sha256:{HASH}"
IRIS = EndpointSpec(name="iris")
BLUE = DeploymentSpec(endpoint="iris", name="blue", environment=PINNED)
WORDS = BatchEndpointSpec(name="words", kind="batch")
GREEN = BatchDeploymentSpec(endpoint="words", name="green", kind="batch", environment=PINNED)


@pytest.fixture
def target():
    made = with_environment(with_workspace(MemoryTarget()), HASH)
    made.apply(desired(Kind.ENDPOINT, IRIS), ANN)
    write_record(made, record(Kind.ENDPOINT, WORDS))
    write_record(made, record(Kind.DEPLOYMENT, GREEN))
    return made


def router_of(target):
    return target.memory.ports("default").router


def test_the_router_is_told_of_online_endpoints_alone(target):
    target.apply(desired(Kind.DEPLOYMENT, BLUE), ANN)
    published = [
        (endpoint.name, [deployment.name for deployment in endpoint.deployments])
        for endpoint in router_of(target).endpoints
    ]
    assert published == [("iris", ["blue"])]


def test_a_batch_deployment_runs_nothing_at_a_start(target):
    target.start("default", Actor(user="ann"))
    assert target.memory.ports("default").compute.instances() == {}


def test_what_only_has_a_record_is_present_as_recorded(target):
    found = target.observe(["default"]).get(identify(Kind.DEPLOYMENT, GREEN))
    assert (found.presence, found.status, found.degraded) == (Presence.PRESENT, "recorded", "")


def test_a_batch_endpoint_is_kept_by_its_deployment_and_goes_without_a_publication(target):
    publications = router_of(target).publications
    with pytest.raises(StillHolds, match="Deployment 'default/words/green' is behind it"):
        target.delete(identify(Kind.ENDPOINT, WORDS), "demo", ANN)
    target.delete(identify(Kind.DEPLOYMENT, GREEN), "demo", ANN)
    target.delete(identify(Kind.ENDPOINT, WORDS), "demo", ANN)
    assert target.record(identify(Kind.ENDPOINT, WORDS)) is None
    assert router_of(target).publications == publications


def test_a_recorded_autoscale_rule_decides_the_count_whoever_applies_the_deployment(target):
    target.apply(desired(Kind.DEPLOYMENT, BLUE.model_copy(update={"instance_count": 3})), ANN)
    rule = AutoscaleRuleSpec(endpoint="iris", deployment="blue", min_instances=1, max_instances=5)
    write_record(target, record(Kind.AUTOSCALE_RULE, rule))
    target.apply(desired(Kind.DEPLOYMENT, BLUE.model_copy(update={"tags": {"a": "b"}})), ANN)
    blue = target.record(identify(Kind.DEPLOYMENT, BLUE))
    assert (blue.properties["instance_count"], blue.properties["tags"]) == (1, {"a": "b"})
    assert len(blue.admitted) == 3


def test_a_record_of_an_older_release_admits_every_instance_of_its_generation(target):
    target.apply(desired(Kind.DEPLOYMENT, BLUE), ANN)
    blue = target.record(identify(Kind.DEPLOYMENT, BLUE))
    older = blue.model_copy(update={"admitted": None})
    write_record(target, older)
    target.apply(desired(Kind.ENDPOINT, EndpointSpec(name="rose")), ANN)
    [entry] = [e for e in router_of(target).endpoints if e.name == "iris"]
    assert [len(deployment.backends) for deployment in entry.deployments] == [1]
    assert older.admits("any", blue.generation) and not older.admits("any", "another")


def test_a_split_of_a_missing_endpoint_leaves_no_record(target):
    traffic = desired(Kind.TRAFFIC, TrafficSpec(endpoint="gone", traffic={}))
    with pytest.raises(TargetError, match="Endpoint 'default/gone' is not there; declare it"):
        target.apply(traffic, ANN)
    assert state_of(target).record(traffic.id) is None


def test_what_needs_no_more_than_its_record_is_made_and_deleted_without_a_publication():
    target = with_workspace(MemoryTarget())
    publications = router_of(target).publications
    reader = desired(Kind.IDENTITY, IdentitySpec(name="reader"))
    made = target.apply(reader, ANN)
    assert (made.presence, made.status) == (Presence.PRESENT, "recorded")
    target.delete(reader.id, "demo", ANN)
    assert target.record(reader.id) is None
    assert router_of(target).publications == publications


def test_an_endpoint_that_takes_tokens_of_a_provider_has_no_keys_left():
    target = with_workspace(MemoryTarget())
    before = target.apply(desired(Kind.ENDPOINT, IRIS), ANN)
    assert set(before.secret_outputs) == {"primary_key", "secondary_key"}
    asked = desired(Kind.ENDPOINT, IRIS.model_copy(update={"auth_mode": "aad_token"}))
    with pytest.raises(
        TargetError,
        match=r"create Endpoint 'default/iris': auth_mode is aad_token, and Workspace 'default'"
        " names no identity_provider; name one there, or use aml_token or key$",
    ):
        target.apply(asked, ANN)
    provider = IdentityProvider(issuer="https://a.test", audience="b", jwks_uri="https://a.test/k")
    space = WorkspaceSpec(target="memory", identity_provider=provider)
    given = desired(Kind.WORKSPACE, space).model_copy(update={"owner": "base"})
    target.apply(given, ANN)
    after = target.apply(asked, ANN)
    assert (after.secret_outputs, after.degraded) == ({}, "")
    assert [entry.keys for entry in router_of(target).endpoints] == [()]
    assert state_of(target).keys("iris") is None


def test_a_count_applies_once_the_stack_no_longer_declares_the_rule(target):
    target.apply(desired(Kind.DEPLOYMENT, BLUE.model_copy(update={"instance_count": 3})), ANN)
    rule = AutoscaleRuleSpec(endpoint="iris", deployment="blue", min_instances=1, max_instances=5)
    write_record(target, record(Kind.AUTOSCALE_RULE, rule))
    alone = desired(Kind.DEPLOYMENT, BLUE).model_copy(update={"owned": frozenset()})
    target.apply(alone, ANN)
    assert target.record(alone.id).properties["instance_count"] == 1
    target.delete(identify(Kind.AUTOSCALE_RULE, rule), "demo", ANN)
    assert len(target.record(alone.id).admitted) == 1


def test_a_target_that_replaces_instances_itself_has_all_of_a_generation_admitted(target):
    compute = target.memory.ports("default").compute
    ensure = compute.ensure
    compute.ensure = lambda *given: [ensure(*given), None][1]
    target.apply(desired(Kind.DEPLOYMENT, BLUE.model_copy(update={"instance_count": 2})), ANN)
    blue = target.record(identify(Kind.DEPLOYMENT, BLUE))
    assert blue.admitted is None
    [entry] = router_of(target).endpoints
    assert len(entry.deployments[0].backends) == 2
    found = target.observe_one(blue.id)
    assert (found.status, found.degraded) == ("2 of 2 instances ready", "")
