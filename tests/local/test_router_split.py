"""Weights, pin and mirror."""

import collections
import concurrent.futures
import re
import time
from collections.abc import Iterator

import pytest
from scipy.stats import binomtest, chisquare
from websockets.sync.client import connect

from tests.local.server.model import Model, RawModel, until
from tests.local.server.routing import KEY, Served, asked, deployment, endpoint, serving

pytestmark = pytest.mark.envoy


def test_the_pin_chooses_the_deployment(served: Served):
    found = [served.ask("chat/score", pin=name) for name in ("blue", "green")]
    assert [one.json()["model"] for one in found] == ["blue", "green"]
    assert [one.headers["azureml-model-deployment"] for one in found] == ["blue", "green"]


def test_a_pin_passes_where_there_is_no_traffic(served: Served):
    assert served.ask("idle/score", pin="blue").status_code == 200


def test_split_and_mirror_are_what_was_asked_over_10000_requests(models: dict[str, Model]):
    blue, green, shadow = models["blue"], models["green"], models["shadow"]
    three = (deployment("blue", blue), deployment("green", green), deployment("shadow", shadow))
    weights = {"blue": 90, "green": 10, "shadow": 0}
    with serving(endpoint("chat", weights, *three, mirror={"shadow": 20})) as served:
        until(lambda: served.status().healthy is not None)
        until(lambda: served.ask("chat/score", pin="blue").status_code == 200)
        shadow.hits = 0
        count = collections.Counter(asked(served, 10_000))
        until(lambda: not served.router.admin.stats("active$").get("none", 0))
        time.sleep(0.3)
        mirrored = shadow.hits
        split_p = chisquare([count["blue"], count["green"]], [9000, 1000]).pvalue
        mirror_p = binomtest(mirrored, 10_000, 0.2).pvalue
        print(f"split {dict(count)} p={split_p:.3f}, mirrored {mirrored} p={mirror_p:.3f}")
        assert set(count) == {"blue", "green"}
        assert split_p > 0.001
        assert mirror_p > 0.001
        counter = 'envoy_cluster_upstream_rq_total{envoy_cluster_name="chat/shadow/mirror"}'
        assert f"{counter} {mirrored}\n" in served.metrics()


def test_pinned_requests_are_never_mirrored(models: dict[str, Model]):
    two = (deployment("blue", models["blue"]), deployment("shadow", models["shadow"]))
    weights = {"blue": 100, "shadow": 0}
    with serving(endpoint("chat", weights, *two, mirror={"shadow": 100})) as served:
        until(lambda: served.ask("chat/score", pin="blue").status_code == 200)
        until(lambda: (served.status().healthy or {}).get("chat/shadow") == 1)
        models["shadow"].hits = 0
        for _ in range(50):
            served.ask("chat/score", pin="blue")
        assert models["shadow"].hits == 0
        served.ask("chat/score")
        until(lambda: models["shadow"].hits == 1)


@pytest.fixture(scope="module")
def mirroring(models: dict[str, Model], raw_model: RawModel) -> Iterator[Served]:
    """Mirror all, to what takes two requests at once and to what has no instance."""
    blue = deployment("blue", models["blue"])
    with serving(
        endpoint(
            "narrow",
            {"blue": 100, "shadow": 0},
            *(blue, deployment("shadow", models["shadow"], max_concurrent=1)),
            mirror={"shadow": 100},
        ),
        endpoint(
            "dead", {"blue": 100, "shadow": 0}, blue, deployment("shadow"), mirror={"shadow": 100}
        ),
        endpoint("stuck", {"blue": 100}, blue, deployment("raw", raw_model), mirror={"raw": 100}),
    ) as served:
        until(lambda: (served.status().healthy or {}).get("stuck/raw") == 1)
        until(lambda: served.ask("narrow/score").status_code == 200)
        yield served


def counted(served: Served, counter: str, endpoint_name: str) -> int:
    pattern = rf'{counter}\{{envoy_cluster_name="{endpoint_name}/shadow/mirror"\}} (\d+)'
    found = re.search(pattern, served.metrics())
    return int(found[1]) if found else 0


def test_mirrored_requests_over_the_limit_are_skipped_and_counted(mirroring: Served):
    sent = counted(mirroring, "upstream_rq_total", "narrow")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: mirroring.ask("narrow/sleep/1"), range(8)))
    assert [one.status_code for one in found] == [200] * 8
    until(lambda: counted(mirroring, "upstream_rq_active_overflow", "narrow") == 6)
    assert counted(mirroring, "upstream_rq_total", "narrow") == sent + 2


def test_mirrored_requests_without_a_healthy_instance_are_skipped_and_counted(mirroring: Served):
    found = [mirroring.ask("dead/score").status_code for _ in range(3)]
    assert found == [200, 200, 200]
    until(lambda: counted(mirroring, "upstream_cx_none_healthy", "dead") == 3)


@pytest.mark.parametrize("path", ["narrow/status/500", "narrow/sleep/0.1", "narrow/stream"])
def test_the_mirrors_answer_is_never_the_callers(mirroring: Served, path: str):
    assert mirroring.ask(path).headers["azureml-model-deployment"] == "blue"


def test_a_body_over_the_retry_buffer_is_mirrored_whole(
    mirroring: Served, models: dict[str, Model]
):
    until(lambda: mirroring.router.admin.stats("mirror.*rq_active$")
          .get("cluster.narrow/shadow/mirror.upstream_rq_active", 0) == 0)  # fmt: skip
    found = mirroring.ask("narrow/score", method="POST", content=b"x" * 20_000_000)
    assert found.json()["bytes"] == 20_000_000
    until(lambda: models["shadow"].sizes[-1:] == [20_000_000])


def test_a_mirror_that_does_not_read_holds_no_caller_back(mirroring: Served, raw_model: RawModel):
    raw_model.seen.clear()
    body = b"x" * 30_000_000
    found = mirroring.ask("stuck/stuck", method="POST", content=body, timeout=10)
    assert found.json()["bytes"] == 30_000_000
    assert raw_model.seen == ["POST /stuck HTTP/1.1"]


def test_a_mirrored_request_carries_no_key_and_the_same_id(
    mirroring: Served, models: dict[str, Model]
):
    mirroring.ask("narrow/score", headers={"x-request-id": "mirrored-1"})
    until(lambda: models["shadow"].last_headers.get("x-request-id") == "mirrored-1")
    assert "authorization" not in models["shadow"].last_headers
    assert models["shadow"].last_headers["host"] == models["blue"].last_headers["host"]


def test_a_websocket_on_a_mirrored_endpoint_talks_to_one_deployment(mirroring: Served):
    address = f"ws://127.0.0.1:{mirroring.ports[0]}/endpoints/narrow/ws"
    with connect(address, additional_headers=KEY) as opened:
        for _ in range(3):
            opened.send("one")
            assert opened.recv(5) == "one"
