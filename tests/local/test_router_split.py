"""Weights, pin and mirror."""

import collections
import time

import pytest
from scipy.stats import binomtest, chisquare

from tests.local.server.model import Model, until
from tests.local.server.routing import Served, asked, deployment, endpoint, serving

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
        until(lambda: served.router.healthy_backends() is not None)
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
        until(lambda: (served.router.healthy_backends() or {}).get("chat/shadow") == 1)
        models["shadow"].hits = 0
        for _ in range(50):
            served.ask("chat/score", pin="blue")
        assert models["shadow"].hits == 0
        served.ask("chat/score")
        until(lambda: models["shadow"].hits == 1)
