"""A cluster's nodes are read once for many deployments, and its pods only for an error."""

import pytest
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.gpus import Wish
from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes import kept_inventory, names
from inference_provider.targets.kubernetes.capabilities import Asked, kubernetes_capabilities
from inference_provider.targets.kubernetes.kept_inventory import KeptInventory, surge_faults

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


@pytest.fixture
def devices(api):
    """Have one node with a device of the class `a.b`."""
    pool = {"name": "a-1", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "a.b", "nodeName": "a-1", "pool": pool, "devices": [{"name": "gpu-0"}]}
    of_class = {"kind": "DeviceClass", "metadata": {"name": "a.b"}, "spec": {}}
    api.put(f"{DEVICES}/deviceclasses/a.b", of_class)
    one = {"kind": "ResourceSlice", "metadata": {"name": "a-1-x"}, "spec": spec}
    api.put(f"{DEVICES}/resourceslices/a-1-x", one)


def test_many_requests_for_devices_of_a_class_read_the_classes_and_slices_once(api, devices):
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


def claim(api, namespace, workspace="demo"):
    """Have an instance of blue hold the device, in some namespace."""
    labels = names.labels(workspace, "instance", endpoint="iris", deployment="blue")
    results = [{"driver": "a.b", "pool": "a-1", "device": "gpu-0"}]
    api.put(
        f"{DEVICES}/namespaces/{namespace}/resourceclaims/blue",
        {
            "kind": "ResourceClaim",
            "metadata": {"name": "blue", "namespace": namespace, "labels": labels},
            "status": {"allocation": {"devices": {"results": results}}},
        },
    )


def test_many_deployments_that_claim_devices_are_asked_about_together(api, devices):
    claim(api, "lab")
    client = client_of(api)
    asked = GpuRequest("limits.gpu", 1, device_class="a.b")
    wishes = [Wish(f"demo/iris/{name}", asked, 1) for name in ("blue", *map(str, range(50)))]
    found = surge_faults(KeptInventory(lambda: client), lambda _workspace: "lab", wishes)
    assert [*found] == ["demo/iris/blue"]
    assert found["demo/iris/blue"][0] == (
        "new instances start beside the old ones: 1 of 1 a.b each, and there is room for 0"
        " (unknown product: 1 a.b on 1 node, 0 free)"
    )
    assert api.requests == [
        f"GET {DEVICES}/deviceclasses",
        f"GET {DEVICES}/resourceslices",
        f"GET {DEVICES}/resourceclaims",
    ]


def test_claims_of_a_workspace_of_that_name_elsewhere_are_not_its_own(api, devices):
    claim(api, "other")
    client = client_of(api)
    wish = Wish("demo/iris/blue", GpuRequest("limits.gpu", 1, device_class="a.b"), 1)
    assert surge_faults(KeptInventory(lambda: client), lambda _workspace: "lab", [wish]) == {}
