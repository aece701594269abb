"""A cluster's nodes are read once for many deployments, and its pods only for an error."""

import pytest
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes import kept_inventory
from inference_provider.targets.kubernetes.capabilities import Asked, kubernetes_capabilities
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


DEVICES = "/apis/resource.k8s.io/v1"


def test_many_requests_for_devices_of_a_class_read_the_classes_and_slices_once(api):
    pool = {"name": "a-1", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "a.b", "nodeName": "a-1", "pool": pool, "devices": [{"name": "gpu-0"}]}
    of_class = {"kind": "DeviceClass", "metadata": {"name": "a.b"}, "spec": {}}
    api.put(f"{DEVICES}/deviceclasses/a.b", of_class)
    one = {"kind": "ResourceSlice", "metadata": {"name": "a-1-x"}, "spec": spec}
    api.put(f"{DEVICES}/resourceslices/a-1-x", one)
    client = client_of(api)
    kept = KeptInventory(lambda: client)
    can = kubernetes_capabilities(kept.all, kept.in_use, Asked(devices=kept.devices))
    asked = GpuRequest("limits.gpu", 1, device_class="a.b")
    assert [can.gpu_fault(asked) for _ in range(50)] == [None] * 50
    assert api.requests == [f"GET {DEVICES}/deviceclasses", f"GET {DEVICES}/resourceslices"]
    assert can.gpu_fault(asked._replace(each=2)) == (
        "an instance asks for 2 a.b, and the largest node has 1"
        " (unknown product: 1 a.b on 1 node, 1 free)",
        "ask for at most 1",
    )
    assert can.gpu_fault(asked._replace(device_class="other")) is None


def test_devices_that_this_user_may_not_see_are_refused_nothing(api):
    may_not = 'User "ann" cannot list resource "resourceslices" in API group "resource.k8s.io"'
    api.refuse = lambda one: failure(403, may_not) if "slices" in one.url.path else None
    client = client_of(api)
    kept = KeptInventory(lambda: client)
    assert kept.devices(GpuRequest("limits.gpu", 99, device_class="a.b"), False) is None
