"""What a change of a table writes; the order of the steps is in `tests/golden/steps`."""

from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from tests.growth import EIGHT_TIMES, growth

from inference_provider.errors import RouterRejected
from inference_provider.router import (
    Backend,
    DeploymentEntry,
    EndpointEntry,
    RouterTable,
    render,
)
from inference_provider.router.holding import holding_first
from inference_provider.router.render import (
    CDS,
    ECDS,
    LDS,
    LIMITS,
    OUTBOUND,
    PROVIDER,
    RDS,
    RTDS,
    SDS,
    clusters_in,
)
from inference_provider.router.steps import (
    ONLY_IN_CLUSTERS,
    assumed,
    delayed,
    differ_only_in_shares,
    steps,
    transitional_weights,
    with_draining,
    without_health,
)
from inference_provider.router.table import (
    Cors,
    Limits,
    OutboundEntry,
    ProviderCheck,
    Proxy,
    Scorers,
    Tls,
    TokenCheck,
    Traces,
)
from inference_provider.router.writes import (
    WriteClusters,
    WriteLimits,
)

CORS = Cors(
    origins=("https://a.test",),
    methods=("POST",),
    headers=("authorization",),
    expose_headers=(),
    credentials=False,
    max_age_s=60,
)
FETCHED = ProviderCheck(issuer="https://a.test", audiences=("b",), jwks_uri="https://a.test/keys")
TLS = Tls(certificate="a", private_key=SecretStr("b"))
B, G = "w.a/b", "w.a/g"
FILES = {
    "certificate": SDS,
    "clusters": CDS,
    "limits": LIMITS,
    "listener": LDS,
    "provider": PROVIDER,
    "outbound": OUTBOUND,
    "no outbound": OUTBOUND,
    "routes": RDS,
    "tokens": ECDS,
    "weights": RTDS,
}
BACKEND = Backend(host="127.0.0.1", port=9001)
BLUE = DeploymentEntry(name="blue", backends=(BACKEND,), timeout_ms=5000, max_concurrent=1)
GREEN = BLUE.model_copy(update={"name": "green", "timeout_ms": 90000})
CHAT = EndpointEntry(
    name="chat",
    keys=(SecretStr("key-one"), SecretStr("key-two")),
    deployments=(BLUE, GREEN),
    weights={"green": 100},
    mirror={"green": 5},
)
RULE = OutboundEntry(destination="pypi.org", ports=(80, 443))
PROXY = Proxy(host="172.18.0.1", port=20080)
TABLE = RouterTable(
    folder="/srv/router",
    host="127.0.0.1",
    port=8080,
    metrics_port=8081,
    endpoints=(CHAT,),
    outbound=(RULE,),
    proxy=PROXY,
)
OTHER: dict[type[BaseModel], dict[str, Any]] = {
    Backend: {"host": "127.0.0.2", "port": 9009, "socket": "/srv/sockets/1"},
    DeploymentEntry: {
        "name": "red",
        "backends": (),
        "timeout_ms": 7000,
        "max_concurrent": 4,
        "retry_on_503": True,
        "health_path": "/ready",
        "health_interval_ms": 9000,
        "health_timeout_ms": 9000,
        "health_failures": 9,
        "scoring_path": "/v1",
        "patience_s": 60,
        "held": True,
    },
    EndpointEntry: {
        "name": "iris",
        "auth_mode": "aad_token",
        "keys": (SecretStr("fresh"), SecretStr("key-two")),
        "cors": CORS,
        "limits": Limits(per_minute=9),
        "max_body_mib": 1,
        "sources": ("10.0.0.0/8",),
        "tokens": TokenCheck(issuer="urn:a", audience="urn:a:b", jwks='{"keys": []}'),
        "provider": FETCHED,
        "scorers": Scorers(principals=("ann",)),
        "deployment_scorers": {"blue": Scorers(groups=("scorers",))},
        "deployments": (GREEN,),
        "weights": {"green": 0},
        "mirror": {},
    },
    RouterTable: {
        "folder": "/srv/other",
        "host": "0.0.0.0",
        "port": 8088,
        "metrics_port": 8089,
        "metrics_host": "0.0.0.0",
        "tls": TLS,
        "sources": ("10.0.0.0/8",),
        "trusted_proxies": ("10.0.0.0/8",),
        "trusted_hops": 1,
        "name_server": "127.0.0.1:53",
        "outbound": (RULE.model_copy(update={"ports": (443,)}),),
        "proxy": None,
        "traces": Traces(url="http://127.0.0.1:4318", sample_percent=1, workspace="lab"),
        "calls_days": 7,
        "endpoints": (),
    },
}
"""Another value for every field of the models; `draining` is decided by `with_draining`."""
FIELDS = [
    (model, field)
    for model in OTHER
    for field in model.model_fields
    if (model, field) != (RouterTable, "draining")
]


def test_requests_wait_before_the_last_instance_goes():
    gone = BLUE.model_copy(update={"backends": (), "patience_s": 60, "held": True})
    new = table(CHAT.model_copy(update={"deployments": (gone, GREEN)}))
    between = holding_first(TABLE, new)
    blue, green = between.endpoints[0].deployments
    assert (blue.held, blue.backends) == (True, (BACKEND,))
    assert green is GREEN
    assert [one.write for one in steps(between, new)] == ["clusters"]
    assert holding_first(new, new) == new
    assert holding_first(TABLE, TABLE) is TABLE


def test_the_first_deployment_whose_requests_wait_closes_no_connection():
    waiting = BLUE.model_copy(update={"patience_s": 60, "held": True})
    new = table(CHAT.model_copy(update={"deployments": (waiting, GREEN)}))
    assert written(TABLE, new) == written(new, TABLE) == {CDS, RDS}
    assert render(TABLE).files[CDS] == render(new).files[CDS]


def table(*endpoints: EndpointEntry, **values: Any) -> RouterTable:
    return TABLE.model_copy(update={"endpoints": endpoints, **values})


def changed(model: type[BaseModel], field: str) -> RouterTable:
    """Return the table with one field of one model changed, and nothing else."""
    other = {field: OTHER[model][field]}
    if model is RouterTable:
        return TABLE.model_copy(update=other)
    if model is EndpointEntry:
        return table(CHAT.model_copy(update=other))
    if model is DeploymentEntry:
        blue = BLUE.model_copy(update=other)
    else:
        blue = BLUE.model_copy(update={"backends": (BACKEND.model_copy(update=other),)})
    return table(CHAT.model_copy(update={"deployments": (blue, GREEN)}))


def written(old: RouterTable, new: RouterTable) -> set[str]:
    return {FILES[step.write] for step in steps(old, with_draining(new, old, {}, 0))}


@pytest.mark.parametrize(("model", "field"), FIELDS)
def test_a_change_of_any_field_alone_is_published(model: type[BaseModel], field: str):
    assert field in OTHER[model], "a field that is new needs another value here"
    new = changed(model, field)
    assert differ_only_in_shares(TABLE, new) is False
    assert written(TABLE, new) - {RTDS} != set()


@pytest.mark.parametrize(("model", "field"), FIELDS)
def test_every_file_that_a_field_changes_is_written(model: type[BaseModel], field: str):
    new = with_draining(changed(model, field), TABLE, {}, 0)
    files, others = render(TABLE).files, render(new).files
    different = {name for name in files | others if files.get(name) != others.get(name)}
    if clusters_in(files[CDS]) == clusters_in(others[CDS]):
        different -= {CDS}  # draining clusters stand last
    assert different <= written(TABLE, new)


def test_another_list_of_where_instances_may_go_writes_nothing_else():
    other = RULE.model_copy(update={"destination": "*.pythonhosted.org"})
    assert written(TABLE, table(CHAT, outbound=(RULE, other))) == {OUTBOUND}


def test_the_last_rule_is_refused_by_the_listener_of_before_until_that_is_gone():
    found = [one.write for one in steps(TABLE, table(CHAT, outbound=()))]
    assert found == ["outbound", "listener", "no outbound"]
    assert [one.write for one in steps(table(CHAT, outbound=()), TABLE)] == ["outbound", "listener"]


def test_without_a_proxy_rules_are_no_news():
    nobody = table(CHAT, outbound=(), proxy=None)
    assert steps(nobody, table(CHAT, proxy=None)) == ()


def test_another_certificate_writes_nothing_else():
    other = TLS.model_copy(update={"certificate": "c", "private_key": SecretStr("d")})
    assert written(table(CHAT, tls=TLS), table(CHAT, tls=other)) == {SDS}


@pytest.mark.parametrize(
    ("field", "value"), [("minimum_version", "1.3"), ("client_ca", "c")], ids=str
)
def test_what_else_tls_says_is_the_listener_s(field: str, value: str):
    other = TLS.model_copy(update={field: value})
    assert LDS in written(table(CHAT, tls=TLS), table(CHAT, tls=other))


def test_another_limit_writes_nothing_else():
    few, many = (CHAT.model_copy(update={"limits": Limits(per_minute=n)}) for n in (5, 50))
    assert written(table(few), table(many)) == {LIMITS}
    assert written(table(CHAT), table(few)) == {LIMITS, RDS}
    assert written(table(few), table(CHAT)) == {LIMITS, RDS}


def test_a_route_never_asks_for_a_limit_that_is_not_there():
    """Else requests would have none until the next publication, if this one were killed."""
    limited = CHAT.model_copy(update={"limits": Limits(per_minute=5)})
    coming = [one.write for one in steps(table(CHAT), table(limited))]
    assert coming == ["limits", "routes"]
    [routes, limits] = steps(table(limited), table(CHAT))
    assert (routes.write, limits) == ("routes", WriteLimits(rates={}))
    assert "local_ratelimit" not in render(table(CHAT)).files[RDS]
    assert "local_ratelimit" in render(table(limited)).files[RDS]


@pytest.mark.parametrize("field", sorted(ONLY_IN_CLUSTERS))
def test_a_field_of_clusters_alone_writes_no_route(field: str):
    new = changed(DeploymentEntry, field)
    assert written(TABLE, new) == {CDS}
    assert render(TABLE).files[RDS] == render(new).files[RDS]


@pytest.mark.parametrize(
    ("weights", "mirror", "same"),
    [
        pytest.param({"blue": 40, "green": 60}, {"green": 50}, True, id="sizes"),
        pytest.param({"green": 90, "blue": 0}, {"green": 5}, True, id="a zero that is written"),
        pytest.param({"green": 0}, {"green": 5}, False, id="no traffic any more"),
        pytest.param({"green": 90}, {}, False, id="no mirror any more"),
        pytest.param({"green": 90}, {"blue": 5}, False, id="another mirror"),
    ],
)
def test_only_sizes_of_shares_change_without_the_routes(
    weights: dict[str, int], mirror: dict[str, int], same: bool
):
    new = table(CHAT.model_copy(update={"weights": weights, "mirror": mirror}))
    assert differ_only_in_shares(TABLE, new) is same
    assert (render(TABLE).files[RDS] == render(new).files[RDS]) is same
    assert (written(TABLE, new) == {RTDS}) is same


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param({B: 9}, {B: 0, G: 9}, {B: 9, G: 0}, id="added"),
        pytest.param({B: 9, G: 1}, {B: 10}, {B: 9, G: 1}, id="removed"),
        pytest.param({B: 0, G: 9}, {B: 9}, {B: 9, G: 9}, id="the last"),
        pytest.param({B: 0}, {B: 9}, {B: 9}, id="from no traffic"),
        pytest.param({B: 9}, {B: 0}, {B: 9}, id="to no traffic"),
        pytest.param({}, {B: 9, "mirror.a/b": 5}, {B: 9, "mirror.a/b": 5}, id="from nothing"),
        pytest.param({"mirror.a/b": 5}, {"mirror.a/b": 9}, {"mirror.a/b": 5}, id="a mirror"),
        pytest.param({B: 9}, {B: 1, "w.c/d": 7}, {B: 9, "w.c/d": 7}, id="two endpoints"),
    ],
)
def test_transitional_weights_are_never_all_zero_under_either_route_table(
    old: dict[str, int], new: dict[str, int], expected: dict[str, int]
):
    assert transitional_weights(old, new) == expected


@pytest.mark.parametrize("kind", ["weights", "mirror"])
def test_a_share_of_an_unknown_deployment_is_refused_before_anything_is_written(kind: str):
    new = table(CHAT.model_copy(update={kind: {"red": 10}}))
    with pytest.raises(RouterRejected, match=r"'chat' gives a .* to 'red', which it does not have"):
        steps(TABLE, new)


def test_a_table_that_is_in_force_needs_no_step():
    again = RouterTable.model_validate_json(TABLE.model_dump_json(context={"keys": "clear"}))
    assert steps(TABLE, again) == ()


def test_the_time_of_a_draining_cluster_is_that_of_the_split_it_was_in():
    new = with_draining(table(), TABLE, {}, 1000)
    assert {one.cluster: one.until_s for one in new.draining} == {
        "chat/blue": 1090,
        "chat/green": 1090,
        "chat/green/mirror": 1090,
    }


def test_only_the_time_of_what_begins_to_drain_is_counted_from_the_routes():
    old = with_draining(table(CHAT.model_copy(update={"mirror": {}})), TABLE, {}, 1000)
    new = with_draining(table(), old, {"chat/green/mirror": 1}, 1010)
    found = delayed(new, old, 7)
    assert {one.cluster: one.until_s for one in found.draining} == {
        "chat/green/mirror": 1090,
        "chat/blue": 1107,
        "chat/green": 1107,
    }


def test_a_router_that_nobody_remembers_is_taken_to_serve_what_it_has_and_splits():
    found = assumed(TABLE, {"chat/blue", "other/red"}, {"chat": {"blue": 70, "red": 30}}, {})
    assert [one.name for one in found.endpoints[0].deployments] == ["blue"]
    assert (found.endpoints[0].weights, found.endpoints[0].mirror) == ({"blue": 70}, {})
    first = steps(found, TABLE, other_form=True)[0]
    assert isinstance(first, WriteClusters)
    assert first.healthy == {"chat/green": 1, "chat/green/mirror": 1}
    assert first.healthy_as_before == ("chat/blue",)


def test_the_time_of_the_steps_grows_with_the_count_of_endpoints():
    def change_one_of(count: int) -> None:
        endpoints = tuple(CHAT.model_copy(update={"name": f"e{number}"}) for number in range(count))
        text = table(*endpoints).model_dump_json(context={"keys": "clear"})
        old, new = RouterTable.model_validate_json(text), RouterTable.model_validate_json(text)
        other = new.endpoints[5].model_copy(update={"weights": {"blue": 10, "green": 90}})
        new = table(*new.endpoints[:5], other, *new.endpoints[6:])
        assert [step.write for step in steps(old, new)] == ["weights"]

    assert growth(change_one_of, 125) < EIGHT_TIMES


def test_backends_that_come_and_go_by_themselves_are_not_waited_for():
    other = BLUE.model_copy(update={"backends": (BACKEND.model_copy(update={"port": 9002}),)})
    new = table(CHAT.model_copy(update={"deployments": (other, GREEN)}))
    assert steps(TABLE, new) == (WriteClusters(healthy={"chat/blue": 1}),)
    assert without_health(steps(TABLE, new)) == (WriteClusters(warm=False),)


def test_new_clusters_are_asked_once_before_a_route_names_them_whoever_waits_for_health():
    red = BLUE.model_copy(update={"name": "red"})
    new = table(CHAT.model_copy(update={"deployments": (BLUE, GREEN, red)}))
    first, *rest = without_health(steps(TABLE, new))
    assert first == WriteClusters(warm=True)
    assert [step.write for step in rest] == ["weights", "routes"]
