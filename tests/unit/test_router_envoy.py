import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import SecretStr
from tests.growth import EIGHT_TIMES, cpu_s, growth

from inference_provider.errors import RouterRejected
from inference_provider.router import (
    Backend,
    DeploymentEntry,
    EndpointEntry,
    RouterTable,
    render,
)
from inference_provider.router.clusters import clusters
from inference_provider.router.egress import egress_listeners, egress_routes
from inference_provider.router.envoy import routes, runtime_layer
from inference_provider.router.form import form
from inference_provider.router.render import CDS, RDS, Renderer, clusters_in, version_of
from inference_provider.router.table import Draining, OutboundEntry, Proxy


def deployment(name: str, **values: Any) -> DeploymentEntry:
    backends = (Backend(host="127.0.0.1", port=9001),)
    return DeploymentEntry(
        **{"name": name, "backends": backends, "timeout_ms": 5000, "max_concurrent": 1, **values}
    )


def table(
    weights: dict[str, int],
    mirror: dict[str, int] | None = None,
    deployments: tuple[DeploymentEntry, ...] | None = None,
    keys: tuple[str, str] = ("key-one", "key-two"),
    count: int = 1,
) -> RouterTable:
    return RouterTable(
        folder="/srv/router",
        host="127.0.0.1",
        port=8080,
        metrics_port=8081,
        endpoints=tuple(
            EndpointEntry(
                name="chat" if count == 1 else f"chat-{number}",
                keys=(SecretStr(keys[0]), SecretStr(keys[1])),
                deployments=deployments or (deployment("blue"), deployment("green")),
                weights=weights,
                mirror=mirror or {},
            )
            for number in range(count)
        ),
    )


def chat_routes(of: RouterTable) -> list[dict[str, Any]]:
    trie = routes(of)["virtual_hosts"][0]["matcher"]["matcher_tree"]["prefix_match_map"]["map"]
    found: list[dict[str, Any]] = trie["/endpoints/chat/"]["action"]["typed_config"]["routes"]
    return found


def test_only_the_weights_file_changes_with_the_weights():
    before = render(table({"blue": 90, "green": 10}, {"green": 5})).files
    after = render(table({"blue": 10, "green": 90}, {"green": 50})).files
    assert [name for name in before if before[name] != after[name]] == ["rtds/rtds.json"]


def test_the_weights_file_holds_every_weight_and_mirror():
    assert runtime_layer(table({"blue": 100}, {"green": 20})) == {
        "w.chat/blue": 100,
        "w.chat/green": 0,
        "mirror.chat/green": 20,
    }


def test_the_admitted_requests_are_twice_the_concurrency_of_all_instances():
    two = tuple(Backend(host="127.0.0.1", port=port) for port in (9001, 9002))
    cluster = clusters(
        table({}, deployments=(deployment("blue", max_concurrent=3, backends=two),))
    )[0]
    assert cluster["circuit_breakers"]["thresholds"][0]["max_requests"] == 12


def test_an_instance_on_a_socket_is_asked_there_and_one_on_a_port_at_its_port():
    two = (
        Backend(host="127.0.0.1", port=9001, socket="/srv/sockets/9001"),
        Backend(host="127.0.0.1", port=9002),
    )
    cluster = clusters(table({}, deployments=(deployment("blue", backends=two),)))[0]
    hosts = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert [host["endpoint"]["address"] for host in hosts] == [
        {"pipe": {"path": "/srv/sockets/9001"}},
        {"socket_address": {"address": "127.0.0.1", "port_value": 9002}},
    ]


def test_every_route_hides_the_key_from_the_model():
    for route in chat_routes(table({"blue": 100}, {"green": 10})):
        keys = route["typed_per_filter_config"]["envoy.filters.http.api_key_auth"]
        assert keys["forwarding"] == {"header": "x-azml-client", "hide_credentials": True}


def test_two_equal_keys_are_one_credential():
    same = chat_routes(table({"blue": 100}, keys=("same", "same")))[0]
    keys = same["typed_per_filter_config"]["envoy.filters.http.api_key_auth"]
    assert [one["key"] for one in keys["credentials"]] == ["same"]


def test_pinned_routes_have_no_mirror_and_the_split_has():
    found = chat_routes(table({"blue": 100}, {"green": 10}))
    mirrored = [one["name"] for one in found if "request_mirror_policies" in one.get("route", {})]
    assert mirrored == ["chat/split"]


def test_no_positive_weight_is_a_404():
    assert chat_routes(table({"blue": 0}))[-1]["direct_response"]["status"] == 404


def test_score_of_a_split_with_different_scoring_paths_is_passed_as_it_is():
    both = (deployment("blue", scoring_path="/v1"), deployment("green"))
    names = [route["name"] for route in chat_routes(table({"blue": 100}, deployments=both))]
    assert names == [
        "chat/blue/score",
        "chat/blue",
        "chat/green",
        "chat/unknown-deployment",
        "chat/split",
    ]


def test_a_503_is_retried_only_where_every_deployment_allows_it():
    both = (deployment("blue", retry_on_503=True), deployment("green"))
    found = {route["name"]: route for route in chat_routes(table({"blue": 100}, deployments=both))}
    assert found["chat/blue"]["route"]["retry_policy"]["retriable_status_codes"] == [503]
    assert "retriable_status_codes" not in found["chat/split"]["route"]["retry_policy"]


@pytest.mark.parametrize("kind", ["weights", "mirror"])
def test_a_share_of_an_unknown_deployment_is_refused(kind: str):
    shares = {"weights": {"blue": 100}, "mirror": {}, kind: {"red": 10}}
    with pytest.raises(RouterRejected, match=r"'chat' gives a .* to 'red', which it does not have"):
        render(table(shares["weights"], shares["mirror"]))


def test_the_version_is_read_from_the_text():
    text = render(table({"blue": 100})).files[RDS]
    assert version_of(text[:64]) == json.loads(text)["version_info"]


@pytest.mark.parametrize(
    "text", ["", "{}", '{"resources": [], "version_info": "1"}', "version_info"]
)
def test_a_file_of_another_kind_has_no_version(text: str):
    assert version_of(text) == ""


def test_the_time_of_rendering_grows_with_the_count_of_endpoints():
    def render_all(count: int) -> None:
        render(table({"blue": 90, "green": 10}, count=count))

    assert growth(render_all, 125) < EIGHT_TIMES


def test_a_change_of_one_of_a_thousand_endpoints_costs_a_part_of_rendering_all():
    renderer, before = Renderer(), table({"blue": 90, "green": 10}, count=1000)
    for name in (CDS, RDS):
        renderer.file(name, before)
    fresh = before.endpoints[500].model_copy(update={"keys": (SecretStr("a"), SecretStr("b"))})
    endpoints = (*before.endpoints[:500], fresh, *before.endpoints[501:])
    after = before.model_copy(update={"endpoints": endpoints})

    def change() -> dict[str, str]:
        return {name: renderer.file(name, after) for name in (CDS, RDS)}

    assert cpu_s(change) < cpu_s(lambda: render(after)) / 4
    assert change() == {name: render(after).files[name] for name in (CDS, RDS)}


def test_what_was_rendered_of_endpoints_that_are_gone_is_not_in_the_files():
    renderer = Renderer()
    renderer.file(RDS, table({"blue": 100}, count=2))
    one = table({"blue": 100})
    assert renderer.file(RDS, one) == render(one).files[RDS]
    nothing = one.model_copy(update={"endpoints": ()})
    assert renderer.file(RDS, nothing) == render(nothing).files[RDS]


def test_a_draining_cluster_says_what_it_said():
    one = table({"blue": 100}, {"blue": 5}, deployments=(deployment("blue"),))
    draining = tuple(
        Draining(cluster=name, deployment=deployment("blue"), until_s=1)
        for name in ("chat/blue", "chat/blue/mirror")
    )
    gone = one.model_copy(update={"endpoints": (), "draining": draining})
    assert clusters(gone) == clusters(one)


def test_an_endpoint_without_keys_has_no_credential_on_any_route():
    closed = table({"blue": 100})
    closed = closed.model_copy(
        update={"endpoints": (closed.endpoints[0].model_copy(update={"keys": ()}),)}
    )
    credentials = [
        route["typed_per_filter_config"]["envoy.filters.http.api_key_auth"]["credentials"]
        for route in chat_routes(closed)
    ]
    assert credentials == [[], [], [], []]


def test_the_form_of_the_files_is_the_same_in_every_process():
    command = "from inference_provider.router.form import form; print(form())"
    fresh = subprocess.run((sys.executable, "-c", command), capture_output=True, check=True)
    assert fresh.stdout.decode().strip() == form()


def test_the_clusters_of_any_release_are_read_by_their_names():
    text = render(table({"blue": 100})).files[CDS]
    found = clusters_in(text)
    assert list(found) == ["chat/blue", "chat/green", "provider-keys", "holding"]
    beside = Renderer().file(CDS, table({"blue": 100}, count=2), found.values())
    names = [one["name"] for one in json.loads(beside)["resources"]]
    assert names[-4:] == list(found)
    assert clusters_in("") == clusters_in('{"resources": 5}') == clusters_in("[]") == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_metrics_and_readiness_are_on_the_address_that_the_table_says(host: str):
    there = RouterTable.model_validate({**table({}).model_dump(), "metrics_host": host})
    listeners = json.loads(render(there).bootstrap)["static_resources"]["listeners"]
    assert [one["address"] for one in listeners] == [
        {"socket_address": {"address": host, "port_value": 8081}}
    ]


def test_metrics_and_readiness_are_on_loopback_where_no_address_is_said():
    assert table({}).metrics_host == "127.0.0.1"


def test_the_forward_proxy_listens_on_a_socket_that_its_user_alone_can_enter():
    told = {
        "outbound": (OutboundEntry(destination="pypi.org", ports=(443,)),),
        "proxy": Proxy(host="127.0.0.1", port=3128, socket="/r/egress.sock"),
    }
    [found] = egress_listeners(table({}).model_copy(update=told), {"rds": {}})
    assert found["address"] == {"pipe": {"path": "/r/egress.sock", "mode": 0o600}}
    assert "freebind" not in found


def test_every_tunnel_of_the_forward_proxy_ends_within_an_hour():
    found = egress_routes([OutboundEntry(destination="pypi.org", ports=(443,))])
    tunnel, request = found["virtual_hosts"][0]["routes"]
    assert tunnel["route"]["max_stream_duration"] == {"max_stream_duration": "3600s"}
    assert "max_stream_duration" not in request["route"]
