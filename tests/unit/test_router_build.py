"""What stands in the router's table for the records of a workspace."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.router import Backend, DeploymentEntry, EndpointEntry, RouterTable
from inference_provider.router.build import Builder, with_keys_in_force
from inference_provider.router.table import Cors, ProviderCheck, Scorers, TokenCheck
from inference_provider.spec import EnvironmentSpec

KEYS = (SecretStr("first"), SecretStr("second"))
ONE = (Backend(host="127.0.0.1", port=9001),)
PLAIN = EnvironmentSpec(name="plain")
OWN_SERVER = EnvironmentSpec.model_validate(
    {
        "name": "own",
        "command": ["serve", "--port", "{port}"],
        "inference_config": {
            "liveness_route": {"path": "/live", "port": 1},
            "readiness_route": {"path": "/ready", "port": 1},
            "scoring_route": {"path": "/v1/predict", "port": 1},
        },
    }
)


def record(kind: Kind, name: str, /, **properties: Any) -> Record:
    return Record(
        id=ResourceId(kind=kind, workspace="lab", name=name),
        owner="demo",
        properties=properties,
        actor=Actor(user="ann"),
        time=datetime(2026, 1, 1, tzinfo=UTC),
    )


def endpoint(name: str, auth_mode: str = "key", **fields: Any) -> Record:
    return record(Kind.ENDPOINT, name, name=name, auth_mode=auth_mode, **fields)


def deployment(name: str, environment: str = "plain", **settings: Any) -> Record:
    asked = {
        "request_timeout_ms": 5000,
        "max_concurrent_requests_per_instance": 2,
        "retry_on_503": False,
    }
    return record(
        Kind.DEPLOYMENT,
        name,
        endpoint=name.partition("/")[0],
        name=name.partition("/")[2],
        environment=environment,
        request_settings=asked | settings,
        readiness_probe={"period": 10, "timeout": 2, "failure_threshold": 30},
    )


def traffic(name: str, shares: dict[str, int], mirror: dict[str, int] | None = None) -> Record:
    return record(Kind.TRAFFIC, name, traffic=shares, mirror_traffic=mirror or {})


class Workspace:
    """The inputs of a build, and what was asked for."""

    def __init__(self, *records: Record) -> None:
        self.records = records
        self.keys = {r.id.name: KEYS for r in records if r.id.kind == Kind.ENDPOINT}
        self.jwks: dict[str, str] = {}
        self.backends: dict[str, tuple[Backend, ...]] = {}
        self.environments: list[str] = []

    def environment(self, pinned: str) -> EnvironmentSpec:
        self.environments.append(pinned)
        return {"plain": PLAIN, "own": OWN_SERVER}[pinned]

    def built(self, builder: Builder | None = None) -> tuple[EndpointEntry, ...]:
        return (builder or Builder()).endpoints(
            self.records,
            self.keys.get,
            self.jwks.get,
            lambda one: self.backends.get(one.id.name, ONE),
            self.environment,
        )


def test_an_endpoint_of_tokens_has_its_check_and_no_keys_and_one_of_keys_has_no_check():
    workspace = Workspace(endpoint("iris", "aml_token"), endpoint("rose"))
    workspace.jwks = {"iris": "public", "rose": "left over"}
    iris, rose = workspace.built()
    assert (iris.keys, rose.keys, rose.tokens) == ((), KEYS, None)
    assert iris.tokens == TokenCheck(
        issuer="urn:inference:lab", audience="urn:inference:lab:endpoints:iris", jwks="public"
    )


PROVIDER = {
    "issuer": "https://a.test",
    "audience": ["chat"],
    "jwks": {},
    "jwks_uri": "https://a.test/keys",
    "jwks_refresh_s": 30,
    "allow_http": False,
    "principal_claim": "oid",
    "groups_claim": "groups",
}
ML = "Microsoft.MachineLearningServices/workspaces"


def lab(**fields: Any) -> Record:
    return record(Kind.WORKSPACE, "lab", name="lab", **fields)


def may(principal: str, scope: str = "", kind: str = "user", role: str = "Scorer") -> Record:
    name = f"{principal}-{scope}"
    fields = {"principal_type": kind, "role": role, "scope": scope}
    return record(Kind.ROLE_ASSIGNMENT, name, name=name, principal=principal, **fields)


def allowed(*records: Record, roles: Any = None) -> EndpointEntry:
    """Return the endpoint iris, with deployments blue and green, of a workspace with a provider."""
    scorer = {"Scorer": {"actions": [f"{ML}/onlineEndpoints/score/action"]}}
    (built,) = Workspace(
        lab(identity_provider=PROVIDER, roles=scorer | (roles or {})),
        endpoint("iris", "aad_token"),
        deployment("iris/blue"),
        deployment("iris/green"),
        *records,
    ).built()
    return built


def test_an_endpoint_of_a_providers_tokens_has_its_check_and_lets_in_nobody_without_a_role():
    built = allowed()
    assert built.provider == ProviderCheck(
        issuer="https://a.test",
        audiences=("chat",),
        jwks_uri="https://a.test/keys",
        refresh_s=30,
        principal_claim="oid",
    )
    assert (built.keys, built.tokens, built.scorers) == ((), None, Scorers())


def test_given_keys_of_a_provider_are_one_set():
    given = {**PROVIDER, "jwks_uri": None, "jwks": {"a": '{"kid": "a"}', "b": '{"kid": "b"}'}}
    (built,) = Workspace(lab(identity_provider=given), endpoint("iris", "aad_token")).built()
    assert built.provider is not None
    assert built.provider.jwks == '{"keys": [{"kid": "a"}, {"kid": "b"}]}'
    assert built.provider.jwks_uri == ""


def test_who_has_the_role_in_a_scope_may_score_what_is_in_it():
    built = allowed(
        may("ann"),
        may("team", "endpoints/iris", "group"),
        may("bob", "endpoints/Iris/deployments/BLUE"),
        may("eve", "endpoints/rose"),
        may("dan", "endpoints/rose/deployments/blue"),
        may("zoe", "connections/hub"),
        may("max", "endpoints/iris/deployments/red"),
        may("robot", "", "identity"),
    )
    assert built.scorers == Scorers(principals=("ann",), groups=("team",))
    assert built.deployment_scorers == {"blue": Scorers(principals=("bob",))}


@pytest.mark.parametrize(
    ("role", "scores"),
    [
        ("Owner", True),
        ("AzureML Data Scientist", True),
        ("Reader", False),
        ("AcrPull", False),
        ("of nobody", False),
        ("All but", False),
    ],
)
def test_only_a_role_with_the_action_to_score_lets_its_principal_in(role: str, scores: bool):
    own = {"All but": {"actions": ["*"], "not_actions": [f"{ML}/onlineEndpoints/score/action"]}}
    assert allowed(may("ann", role=role), roles=own).scorers.principals == ("ann",) * scores


def test_a_role_that_is_given_or_taken_reaches_a_builder_that_knew_the_rest():
    builder, iris = Builder(), endpoint("iris", "aad_token")
    provided, owner = lab(identity_provider=PROVIDER), may("ann", role="Owner")

    def built(*records: Record) -> EndpointEntry:
        return Workspace(*records, iris).built(builder)[0]

    assert built(lab(), owner).provider is None
    assert built(provided).scorers == Scorers()
    given = built(provided, owner)
    assert given.scorers == Scorers(principals=("ann",))
    assert built(provided, owner) is given
    assert built(provided).scorers == Scorers()
    assert built(owner).scorers == Scorers()


def test_an_endpoint_of_keys_has_no_provider_and_no_scorers():
    (built,) = Workspace(
        lab(identity_provider=PROVIDER), endpoint("iris"), may("ann", role="Owner")
    ).built()
    assert (built.provider, built.scorers, built.keys) == (None, Scorers(), KEYS)


def test_an_endpoint_has_the_pages_that_its_record_names_and_an_older_record_names_none():
    said = {
        "origins": ["https://app.example.org"],
        "methods": ["GET"],
        "headers": ["authorization"],
        "expose_headers": [],
        "credentials": True,
        "max_age_s": 5,
    }
    iris, rose = Workspace(endpoint("iris", cors=said), endpoint("rose")).built()
    assert iris.cors == Cors(
        origins=("https://app.example.org",),
        methods=("GET",),
        headers=("authorization",),
        expose_headers=(),
        credentials=True,
        max_age_s=5,
    )
    assert rose.cors is None


def test_an_endpoint_has_its_deployments_and_its_split():
    built = Workspace(
        deployment("iris/blue"),
        deployment("iris/green", "own", retry_on_503=True),
        endpoint("iris"),
        traffic("iris", {"blue": 90, "green": 10}, {"green": 5}),
    ).built()
    assert built == (
        EndpointEntry(
            name="iris",
            keys=KEYS,
            deployments=(
                DeploymentEntry(
                    name="blue",
                    backends=ONE,
                    timeout_ms=5000,
                    max_concurrent=2,
                    health_interval_ms=10000,
                    health_timeout_ms=2000,
                    health_failures=30,
                ),
                DeploymentEntry(
                    name="green",
                    backends=ONE,
                    timeout_ms=5000,
                    max_concurrent=2,
                    retry_on_503=True,
                    health_path="/ready",
                    health_interval_ms=10000,
                    health_timeout_ms=2000,
                    health_failures=30,
                    scoring_path="/v1/predict",
                ),
            ),
            weights={"blue": 90, "green": 10},
            mirror={"green": 5},
        ),
    )


@pytest.mark.parametrize(
    ("rule", "start", "patience_s"),
    [
        ({"enabled": True, "min_instances": 0}, {"start_timeout_s": 20}, 60),
        ({"enabled": True, "min_instances": 0}, {"start_timeout_s": 3600}, 240),
        ({"enabled": True, "min_instances": 0}, {}, 160),
        ({"enabled": True, "min_instances": 1}, {"start_timeout_s": 20}, 0),
        ({"enabled": False, "min_instances": 0}, {"start_timeout_s": 20}, 0),
        (
            {"enabled": True, "min_instances": 1, "schedules": [{"min_instances": 0}]},
            {"start_timeout_s": 20},
            60,
        ),
    ],
)
def test_requests_wait_as_long_as_a_start_may_take_where_a_rule_lets_there_be_none(
    rule: dict[str, Any], start: dict[str, int], patience_s: int
):
    blue = deployment("chat/blue")
    probe = {**blue.properties["readiness_probe"], "initial_delay": 10}
    properties = {**blue.properties, "readiness_probe": probe, **start}
    ruled = record(Kind.AUTOSCALE_RULE, "chat/blue", **rule)
    blue = blue.model_copy(update={"properties": properties})
    [found] = Workspace(endpoint("chat"), blue, ruled).built()
    assert found.deployments[0].patience_s == patience_s


def test_a_share_of_zero_and_one_of_a_deployment_that_is_gone_are_left_out():
    (built,) = Workspace(
        endpoint("iris"),
        deployment("iris/blue"),
        traffic("iris", {"blue": 100, "gone": 0, "old": 10}, {"old": 5}),
    ).built()
    assert (built.weights, built.mirror) == ({"blue": 100}, {})


def test_an_endpoint_whose_keys_are_lost_has_none():
    workspace = Workspace(endpoint("iris"), endpoint("chat"))
    del workspace.keys["iris"]
    assert [one.keys for one in workspace.built()] == [(), KEYS]


def test_an_endpoint_that_is_not_asked_with_keys_has_none_and_gets_none_back():
    (before,) = Workspace(endpoint("iris")).built()
    (after,) = Workspace(endpoint("iris", "aad_token")).built()
    assert (before.keys, after.keys) == (KEYS, ())
    old, new = (
        RouterTable(folder="/r", host="h", port=1, metrics_port=2, endpoints=(entry,))
        for entry in (before, after)
    )
    assert with_keys_in_force(new, old) is new


def test_what_did_not_change_is_the_same_object_again():
    builder = Builder()
    workspace = Workspace(
        *(endpoint("iris"), deployment("iris/blue"), deployment("iris/green")),
        *(endpoint("chat"), deployment("chat/blue")),
    )
    iris, chat = workspace.built(builder)
    workspace.environments.clear()
    workspace.backends["iris/blue"] = ()
    changed, same = workspace.built(builder)
    assert same is chat
    assert changed.deployments[0].backends == ()
    assert changed.deployments[1] is iris.deployments[1]
    assert workspace.environments == ["plain"]


def test_new_keys_and_a_new_split_make_a_new_entry():
    builder = Builder()
    workspace = Workspace(endpoint("iris"), deployment("iris/blue"), endpoint("chat"))
    workspace.built(builder)
    workspace.keys["chat"] = (SecretStr("third"), SecretStr("second"))
    workspace.records = (*workspace.records, traffic("iris", {"blue": 100}))
    iris, chat = workspace.built(builder)
    assert iris.weights == {"blue": 100}
    assert next(iter(chat.keys)).get_secret_value() == "third"


def test_an_endpoint_that_is_gone_has_no_entry():
    builder = Builder()
    workspace = Workspace(endpoint("iris"), endpoint("chat"))
    workspace.built(builder)
    workspace.records = workspace.records[1:]
    assert [one.name for one in workspace.built(builder)] == ["chat"]


def table(*endpoints: EndpointEntry) -> RouterTable:
    return RouterTable(
        folder="/srv/router", host="127.0.0.1", port=1, metrics_port=2, endpoints=endpoints
    )


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(table(EndpointEntry(name="iris", keys=KEYS)), KEYS, id="keys in force"),
        pytest.param(table(EndpointEntry(name="iris", keys=())), (), id="none in force"),
        pytest.param(table(), (), id="a new endpoint"),
        pytest.param(None, (), id="nothing in force"),
    ],
)
def test_lost_keys_are_those_in_force_where_there_are_some(
    before: RouterTable | None, expected: tuple[SecretStr, ...]
):
    after = with_keys_in_force(table(EndpointEntry(name="iris", keys=())), before)
    assert after.endpoints[0].keys == expected


def test_keys_that_are_there_are_never_those_in_force():
    fresh = (SecretStr("third"), SecretStr("fourth"))
    after = with_keys_in_force(
        table(EndpointEntry(name="iris", keys=fresh)), table(EndpointEntry(name="iris", keys=KEYS))
    )
    assert after.endpoints[0].keys == fresh


def test_a_table_hides_its_keys_unless_they_are_asked_for():
    whole = table(EndpointEntry(name="iris", keys=KEYS))
    assert "first" not in whole.model_dump_json()
    assert "first" not in repr(whole)
    text = whole.model_dump_json(context={"keys": "clear"})
    assert RouterTable.model_validate_json(text) == whole


def test_a_largest_body_alone_is_no_limit_of_rates_and_an_older_record_has_the_usual_one():
    def built(**limits: object) -> EndpointEntry:
        (one,) = Workspace(lab(), endpoint("iris", request_limits=limits)).built()
        return one

    assert (built(max_body_mib=7).max_body_mib, built(max_body_mib=7).limits) == (7, None)
    assert built(requests_per_minute=9).max_body_mib == 100
