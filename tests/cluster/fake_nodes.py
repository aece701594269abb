"""Nodes that are none: kwok says of them that they are ready, and of pods there that they run."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.api import Api
from tests.cluster.places import NODE_ADDRESS, Places

GPU = "nvidia.com/gpu"
PRODUCT = "nvidia.com/gpu.product"
_MARK = "kwok.x-k8s.io/node"
_STAGES = Path(__file__).parent / "stages.yaml"
_ADDRESSES = "10.220.0.0/16"


def gpu_node(name: str, product: str, gpus: int = 8, *, taints: bool = True) -> dict[str, Any]:
    """Describe a node with GPUs, which keeps away what asks for none, as those of clouds do."""
    amounts = {"cpu": "96", "memory": "1Ti", "pods": "110", GPU: str(gpus)}
    keeps_away = [{"key": GPU, "value": "present", "effect": "NoSchedule"}] if taints else []
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {_MARK: "fake"},
            "labels": {PRODUCT: product, "kubernetes.io/hostname": name},
        },
        "spec": {"taints": keeps_away},
        "status": {"capacity": amounts, "allocatable": amounts},
    }


class FakeNodes:
    """The fake nodes of a cluster, as long as `kwok` runs."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._names: set[str] = set()

    def add(self, *nodes: dict[str, Any]) -> None:
        """Add nodes, and wait until they are ready."""
        for node in nodes:
            self._api.create("/api/v1/nodes", node)
            self._names.add(node["metadata"]["name"])
        for node in nodes:
            self._api.until_ready(f"/api/v1/nodes/{node['metadata']['name']}")

    def remove(self) -> None:
        """Remove all, as soon as the pods there are gone; who made those has deleted them."""
        self._api.until("/api/v1/pods", lambda seen: not self._on_them(seen["items"]), limit_s=180)
        self._api.delete(*(f"/api/v1/nodes/{name}" for name in self._names))

    def _on_them(self, pods: Sequence[dict[str, Any]]) -> bool:
        return any(one["spec"].get("nodeName") in self._names for one in pods)


@contextlib.contextmanager
def fake_nodes(at: Places, api: Api) -> Iterator[FakeNodes]:
    """Run kwok for the time of a block, and give the nodes that it plays."""
    command = [
        str(at.programs / "kwok"),
        f"--kubeconfig={at.kubeconfig}",
        f"--config={_STAGES}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={_MARK}=fake",
        f"--cidr={_ADDRESSES}",
        f"--node-ip={NODE_ADDRESS}",
    ]
    with at.log("kwok").open("ab") as log:
        kwok = subprocess.Popen(command, stdout=log, stderr=log)
    nodes = FakeNodes(api)
    try:
        try:
            yield nodes
        finally:
            nodes.remove()
    finally:
        kwok.terminate()
        kwok.wait()
