"""What is said of instances whose node is gone, or silent."""

import pytest
from tests.cluster_api import failure
from tests.cluster_controllers import NAMESPACE, READY
from tests.unit.cluster_compute.units import compute_over, unit

from inference_provider.targets.kubernetes import lost_nodes

NODES = "/api/v1/nodes"
POD = f"{NAMESPACE}/pods/iris-blue-5efdeb203621-0"


@pytest.fixture
def compute(api, controllers, monkeypatch):
    monkeypatch.setattr(lost_nodes, "FRESH_S", 0.0)
    made = compute_over(api)
    made.ensure(unit(), 1)
    there = api.objects[POD]
    api.put(POD, {**there, "spec": {**there.get("spec", {}), "nodeName": "gpu-1"}})
    return made


def node(api, name: str = "gpu-1", **ready: str) -> None:
    condition = {**READY, **ready}
    one = {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [condition]}}
    api.put(f"{NODES}/{name}", one)


def unready(api) -> None:
    there = api.objects[POD]
    conditions = [{"type": "Ready", "status": "False"}]
    api.put(POD, {**there, "status": {**there["status"], "conditions": conditions}})


def faults(compute) -> list[str]:
    return [one.fault for one in compute.status().instances["iris/blue"]]


def test_an_instance_whose_node_is_gone_is_told_so_though_it_is_said_to_be_ready(api, compute):
    node(api)
    assert faults(compute) == [""]
    api.drop(f"{NODES}/gpu-1")
    assert faults(compute) == ["its node gpu-1 is gone"]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (
            {"status": "Unknown", "lastTransitionTime": "2026-11-26T08:00:00Z"},
            "its node gpu-1 does not answer since 2026-11-26T08:00:00Z",
        ),
        (
            {"status": "False", "reason": "KubeletNotReady", "message": "no network plugin"},
            "its node gpu-1 is not ready: no network plugin",
        ),
        ({}, ""),
    ],
)
def test_an_instance_that_is_not_ready_is_told_what_its_node_has(api, compute, condition, told):
    node(api, **condition)
    assert faults(compute) == [""]
    unready(api)
    assert faults(compute) == [told]


def test_who_may_not_see_nodes_is_told_nothing_of_them_and_not_asked_again(api, compute):
    api.refuse = lambda asked: failure(403, "nodes") if asked.url.path == NODES else None
    assert faults(compute) == faults(compute) == [""]
    assert api.requests.count(f"GET {NODES}") == 1


def test_nodes_are_listed_once_for_many_looks(api, compute, monkeypatch):
    monkeypatch.setattr(lost_nodes, "FRESH_S", 60.0)
    node(api)
    for _ in range(5):
        compute.status("iris/blue")
    assert api.requests.count(f"GET {NODES}") == 1
