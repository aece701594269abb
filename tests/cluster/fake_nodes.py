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
_MARK = {"kwok.x-k8s.io/node": "fake"}
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
            "annotations": _MARK,
            "labels": {PRODUCT: product, "kubernetes.io/hostname": name},
        },
        "spec": {"taints": keeps_away},
        "status": {"capacity": amounts, "allocatable": amounts},
    }


@contextlib.contextmanager
def fake_nodes(at: Places, api: Api, nodes: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Have nodes in a cluster until the end of the block."""
    log = at.log("kwok").open("ab")
    kwok = subprocess.Popen(
        [
            at.programs / "kwok",
            f"--kubeconfig={at.kubeconfig}",
            f"--config={_STAGES}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds=40",
            f"--cidr={_ADDRESSES}",
            f"--node-ip={NODE_ADDRESS}",
        ],
        env=at.surroundings(),
        stdout=log,
        stderr=log,
    )
    names = [node["metadata"]["name"] for node in nodes]
    try:
        for node in nodes:
            api.create("/api/v1/nodes", node)
        for name in names:
            api.until_ready(f"/api/v1/nodes/{name}")
        yield
    finally:
        kwok.terminate()
        kwok.wait()
        log.close()
        api.delete(*(f"/api/v1/nodes/{name}" for name in names))
