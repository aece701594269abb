"""A node that is lost: its instances are told so, no request goes there, and others start."""

import json

import pytest

from inference_provider.targets.kubernetes.objects import SLICE
from inference_provider.targets.kubernetes.slices import instances_in
from tests.cluster.bare_instances import compute_of, nodes_of, unit
from tests.cluster.fake_nodes import gpu_node
from tests.cluster.test_gpus import BIG
from tests.conformance.labs import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

LONG_S = 150.0
"""Kubernetes waits 40 s and looks every 20 s; the scheduler and kwok play on two shared cores."""


@pytest.fixture
def node(api, fakes, namespace, compute):
    """Have an instance on one of two nodes, and return the name of that."""
    fakes.add(gpu_node("loss-a", BIG), gpu_node("loss-b", BIG))
    compute.ensure(unit(limits={"gpu": 1}), 1)
    [found] = nodes_of(api, namespace)
    return found


def faults(compute) -> list[str]:
    return [one.fault for one in compute.status().instances["iris/blue"]]


def backends(platform, namespace) -> int:
    """Return how many instances routers send requests to."""
    found = instances_in(platform.client.items(SLICE, namespace)).get("iris/blue", ())
    return sum(len(one.backends) for one in found)


def test_a_node_that_is_deleted_is_told_until_its_instance_runs_elsewhere(
    api, node, namespace, compute, platform
):
    assert faults(compute) == [""]
    api.delete(f"/api/v1/nodes/{node}")
    compute = compute_of(platform, namespace)
    assert faults(compute) == [f"its node {node} is gone"]
    [other] = {"loss-a", "loss-b"} - {node}
    wait_until(lambda: nodes_of(api, namespace) == [other], LONG_S)
    wait_until(lambda: backends(platform, namespace) == 1, LONG_S)
    assert faults(compute) == [""]


def test_a_node_that_is_silent_is_told_and_gets_no_request(api, node, namespace, compute, platform):
    def played(by: str | None) -> None:
        """Have kwok play the node, or leave it alone."""
        change = {"metadata": {"annotations": {"kwok.x-k8s.io/node": by}}}
        answer = api.http.patch(
            f"/api/v1/nodes/{node}",
            headers={"content-type": "application/merge-patch+json"},
            content=json.dumps(change),
        )
        assert answer.is_success

    assert backends(platform, namespace) == 1
    played(None)
    try:
        wait_until(lambda: backends(platform, namespace) == 0, LONG_S)
        [said] = faults(compute)
        assert said.startswith(f"its node {node} does not answer since 20")
    finally:
        played("fake")
