"""A pod of the router, new or started again, serves what is recorded before it is ready."""

import threading
from pathlib import Path

import httpx
import pytest
from tests.cluster_api import failure
from tests.local.router_pod.cluster import SLICES, Cluster, RouterPod, away, deployment, traffic
from tests.local.server.model import until

from inference_provider.errors import RouterRejected
from inference_provider.targets.envoy.agent_errors import read
from inference_provider.targets.kubernetes import sync

pytestmark = pytest.mark.local


def test_a_container_that_is_started_again_is_ready_once_it_has_read_what_is_recorded(
    pod: RouterPod, cluster: Cluster, folder: Path
):
    pod.end()
    revision = cluster.edit(traffic(green=100))
    again = RouterPod(folder, cluster)
    slow = threading.Event()

    def late(asked: httpx.Request) -> None:
        if asked.url.path == SLICES:
            slow.wait(9)

    again.refuse = late
    again.start()
    try:
        until(again.sync.envoy.is_ready)
        assert again.client.get("/ready").json() == {"fault": "its records are not read yet"}
        slow.set()
        until(again.is_ready)
        assert again.weights == {"blue": 0, "green": 100}
        assert again.outcome(revision)["error"] is None
    finally:
        slow.set()
        again.end()


def test_a_container_that_is_started_again_serves_what_other_pods_serve(
    pod: RouterPod, cluster: Cluster, folder: Path
):
    bad = cluster.edit(deployment("blue", request_timeout_ms=-5))
    assert pod.outcome(bad)["error"] is not None
    pod.end()
    again = RouterPod(folder, cluster).start()
    try:
        until(again.is_ready, 5)
        assert pod.score() == (200, "blue")  # Envoy listens where it did before
    finally:
        again.end()


def test_a_container_that_is_started_again_serves_without_the_api_server(
    pod: RouterPod, cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sync, "UNTOLD_S", 1.0)
    pod.end()
    revision = cluster.edit(traffic(green=100))
    again = RouterPod(folder, cluster)
    again.refuse = away
    again.start()
    try:
        until(again.is_ready)
        assert again.weights == {"blue": 100, "green": 0}
        assert again.outcome(0)["revision"] == -1
        again.refuse = lambda _asked: None
        assert again.outcome(revision)["error"] is None
        assert again.weights == {"blue": 0, "green": 100}
    finally:
        again.end()


def test_a_new_pod_that_cannot_read_the_records_says_why_it_is_not_ready(
    folder: Path, cluster: Cluster
):
    found = RouterPod(folder, cluster)
    said = (
        'secrets is forbidden: User "router" cannot list resource "secrets" in API group "" in the'
        ' namespace "lab"'
    )
    found.refuse = lambda _asked: failure(403, said)
    found.start()
    try:
        until(lambda: len(found.said) > 1)
        told = found.client.get("/ready")
        assert told.status_code == 503
        assert "'router' may not list secrets; ask for a Role" in told.json()["fault"]
        assert found.client.get("/live").status_code == 200
        found.refuse = lambda _asked: None
        until(found.is_ready)
    finally:
        found.end()


def test_a_first_table_that_envoy_refuses_is_never_served(folder: Path, cluster: Cluster):
    bad = cluster.edit(deployment("blue", request_timeout_ms=-5))
    found = RouterPod(folder, cluster).start()
    try:
        refused = found.outcome(bad)
        assert isinstance(read(refused["error"]), RouterRejected)
        assert found.client.get("/ready").status_code == 503
        cluster.edit(deployment("blue"))
        until(found.is_ready)
    finally:
        found.end()


def test_a_namespace_without_records_is_served_as_it_is(folder: Path):
    found = RouterPod(folder, Cluster()).start()
    try:
        until(found.is_ready)
        assert found.outcome(0)["revision"] == 0
        assert found.score()[0] == 404
    finally:
        found.end()
