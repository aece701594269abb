"""A cluster's nodes are read once for many deployments, and its pods only for an error."""

import pytest
from tests.cluster_api import ClusterApi, client_of

from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes import kept_inventory
from inference_provider.targets.kubernetes.capabilities import kubernetes_capabilities
from inference_provider.targets.kubernetes.kept_inventory import KeptInventory

NODES, PODS = "GET /api/v1/nodes", "GET /api/v1/pods"


@pytest.fixture
def api():
    api = ClusterApi()
    node = {
        "kind": "Node",
        "metadata": {"name": "a-1", "labels": {"nvidia.com/gpu.product": "Tesla-T4"}},
        "spec": {},
        "status": {"allocatable": {"nvidia.com/gpu": "4"}},
    }
    api.put("/api/v1/nodes/a-1", node)
    return api


def fault_of(api):
    client = client_of(api)
    kept = KeptInventory(lambda: client)
    return kubernetes_capabilities(kept.all, kept.in_use).gpu_fault


def test_many_requests_for_gpus_read_the_nodes_once(api):
    fault = fault_of(api)
    assert [fault(GpuRequest("limits.gpu", 2)) for _ in range(50)] == [None] * 50
    assert api.requests == [NODES]


def test_nodes_that_were_read_a_while_ago_are_read_again(api, monkeypatch):
    monkeypatch.setattr(kept_inventory, "FRESH_S", 0.0)
    fault = fault_of(api)
    fault(GpuRequest("limits.gpu", 2))
    fault(GpuRequest("limits.gpu", 2))
    assert api.requests == [NODES, NODES]


def test_a_request_that_no_node_could_satisfy_is_told_with_what_is_free(api):
    assert fault_of(api)(GpuRequest("limits.gpu", 8)) == (
        "an instance asks for 8 nvidia.com/gpu, and the largest node has 4"
        " (Tesla-T4: 4 nvidia.com/gpu on 1 node, 4 free)",
        "ask for at most 4",
    )
    assert api.requests == [NODES, NODES, PODS]
