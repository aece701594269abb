"""Instances with GPUs, on nodes that kwok plays: where they run, and what they wait for."""

import threading

import pytest

from inference_provider.errors import NotReady
from inference_provider.gpus import Wish
from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes.kept_inventory import KeptInventory, surge_faults
from tests import docker_host
from tests.cluster.bare_instances import nodes_of, unit
from tests.cluster.fake_nodes import GPU, gpu_node

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

BIG, SMALL = "NVIDIA-Big-96GB", "NVIDIA-Small-8GB"
TEAM = {"key": "team", "value": "ml", "effect": "NoSchedule"}
SLICES = "nvidia.com/mig-1g.12gb"


def holding(namespace, node, count=1):
    """Describe a pod of somebody else that holds GPUs of a node."""
    amounts = {"resources": {"limits": {GPU: str(count)}}}
    container = {"name": "main", "image": docker_host.BASE_IMAGE, **amounts}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"holds-{node}", "namespace": namespace},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }


def test_each_instance_runs_on_the_product_that_it_names(api, fakes, namespace, compute):
    fakes.add(gpu_node("gpus-big", BIG), gpu_node("gpus-small", SMALL))
    compute.ensure(unit(limits={"gpu": 2}, gpu_product="Big 96GB"), 3)
    compute.ensure(unit("green", limits={"gpu": 1}, gpu_product="Small"), 2)
    assert nodes_of(api, namespace) == ["gpus-big"] * 3
    assert nodes_of(api, namespace, "green") == ["gpus-small"] * 2


def test_a_slice_is_asked_for_by_its_name(api, fakes, namespace, compute):
    sliced = gpu_node("gpus-sliced", BIG)
    sliced["status"]["allocatable"] |= {GPU: "0", SLICES: "7"}
    fakes.add(gpu_node("gpus-whole", BIG), sliced)
    compute.ensure(unit(mig={"1g.12gb": 3}), 2)
    assert nodes_of(api, namespace) == ["gpus-sliced"] * 2


def test_gpus_of_amd_are_asked_for_by_their_name_past_their_taint(api, fakes, namespace, compute):
    theirs = gpu_node("gpus-amd", BIG, taints=False)
    theirs["status"]["allocatable"] |= {GPU: "0", "amd.com/gpu": "8"}
    theirs["spec"]["taints"].append({"key": "amd.com/gpu", "effect": "NoSchedule"})
    fakes.add(gpu_node("gpus-nvidia", BIG), theirs)
    compute.ensure(unit(limits={"amd.com/gpu": 4}), 2)
    assert nodes_of(api, namespace) == ["gpus-amd"] * 2


def test_an_instance_is_scheduled_as_it_says(api, fakes, namespace, compute, platform):
    theirs = [gpu_node(f"gpus-{pool}", BIG, taints=False) for pool in ("a", "b")]
    for node in theirs:
        node["metadata"]["labels"]["pool"] = node["metadata"]["name"]
        node["spec"]["taints"] = [*node["spec"].get("taints", ()), TEAM]
    fakes.add(*theirs)
    scheduling = {
        "priority_class": "system-cluster-critical",
        "service_account": "default",
        "node_selector": {"pool": "gpus-b"},
        "tolerations": [{"key": "team", "value": "ml"}],
        "spread": "nodes",
    }
    asked = unit(scheduling=scheduling, limits={"gpu": 1})
    assert [*platform.capabilities.deployment_faults(asked.spec, None, None)] == []
    compute.ensure(asked, 2)
    assert nodes_of(api, namespace) == ["gpus-b"] * 2
    [pod, _] = api.items(f"/api/v1/namespaces/{namespace}/pods")
    assert pod["spec"]["priority"] > 0

    other = unit(scheduling={"priority_class": "top", "runtime_class": "gvisor"})
    assert [
        str(one) for one in platform.capabilities.deployment_faults(other.spec, None, None)
    ] == [
        "scheduling.priority_class: the cluster has no PriorityClass 'top'; leave it out, or use"
        " one of: system-cluster-critical, system-node-critical",
        "scheduling.runtime_class: the cluster has no RuntimeClass 'gvisor'; leave it out",
    ]


def test_a_node_with_another_taint_gets_no_instance(api, fakes, namespace, compute):
    kept = gpu_node("gpus-kept", BIG)
    kept["spec"]["taints"].append({"key": "team", "value": "other", "effect": "NoSchedule"})
    fakes.add(kept, gpu_node("gpus-open", BIG))
    compute.ensure(unit(limits={"gpu": 1}, gpu_product=BIG), 4)
    assert nodes_of(api, namespace) == ["gpus-open"] * 4


def test_what_no_node_could_ever_give_is_refused_with_what_there_is(api, fakes, platform):
    fakes.add(gpu_node("gpus-1", BIG, 4), gpu_node("gpus-2", BIG, 4))
    asked = GpuRequest("resources.limits.gpu", 8, product="Big-96GB")
    said, remedy = platform.capabilities.gpu_fault(asked)
    assert said.startswith(
        "an instance asks for 8 nvidia.com/gpu of Big-96GB, and the largest node has 4 ("
    )
    assert "NVIDIA-Big-96GB: 8 nvidia.com/gpu on 2 nodes, 8 free" in said
    assert remedy == "ask for at most 4"


def test_a_generation_that_does_not_fit_beside_the_old_one_is_refused(
    api, fakes, namespace, compute, platform
):
    fakes.add(gpu_node("gpus-full", BIG, 4))
    compute.ensure(unit(limits={"gpu": 2}, gpu_product=BIG), 2)
    asked = GpuRequest("resources.limits.gpu", 2, product=BIG)
    wishes = [Wish(f"{namespace}/iris/{name}", asked, 1) for name in ("blue", "green")]
    inventory = KeptInventory(lambda: platform.client)
    found = surge_faults(inventory, lambda _workspace: namespace, wishes)
    assert [*found] == [f"{namespace}/iris/blue"]  # green, which has no instance, may wait
    [(said, remedy)] = found.values()
    assert said.startswith(
        "new instances start beside the old ones: 1 of 2 nvidia.com/gpu each, and there is room for"
        " 0 ("
    )
    assert "NVIDIA-Big-96GB: 4 nvidia.com/gpu on 1 node, 0 free" in said
    assert remedy == "write `surge: 0`, which ends the old ones first, or add a node"


def fragmented(api, fakes, namespace):
    """Leave one GPU of two free on each of three nodes; return the pods that hold the others."""
    names = [f"gpus-{number}" for number in range(3)]
    fakes.add(*(gpu_node(name, BIG, 2) for name in names))
    api.apply(*(holding(namespace, name) for name in names))
    return [f"/api/v1/namespaces/{namespace}/pods/holds-{name}" for name in names]


def test_free_gpus_that_are_on_different_nodes_are_waited_for_in_vain(
    api, fakes, namespace, compute
):
    fragmented(api, fakes, namespace)
    said: list[str] = []
    wanted = unit(start_s=4, limits={"gpu": 2}, gpu_product=BIG)
    with pytest.raises(NotReady, match=r"PodUnschedulable: 0/\d+ nodes are available: .*Insuff"):
        compute.ensure(wanted, 1, lambda _id, text: said.append(text))
    assert said[0].startswith("waiting for pod iris-blue-5efdeb203621-")
    # the first time a node may still have the taint of one that is not ready
    assert any("3 Insufficient nvidia.com/gpu" in one for one in said)
    assert api.items(f"/apis/apps/v1/namespaces/{namespace}/deployments") == []


def test_an_instance_starts_once_gpus_are_free(api, fakes, namespace, compute):
    holders = fragmented(api, fakes, namespace)
    waits = threading.Event()

    def free() -> None:
        waits.wait(30)
        api.delete(holders[1])

    freeing = threading.Thread(target=free)
    freeing.start()
    try:
        wanted = unit(limits={"gpu": 2}, gpu_product=BIG)
        compute.ensure(wanted, 1, lambda _id, _text: waits.set())
    finally:
        waits.set()
        freeing.join()
    assert nodes_of(api, namespace) == ["gpus-1"]
