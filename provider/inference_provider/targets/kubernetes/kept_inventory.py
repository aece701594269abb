"""Which GPUs a cluster has, asked once for many deployments that start together."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from inference_provider.gpus import Wish
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.inventory import NodeGpus, gpus_on, no_room_beside
from inference_provider.targets.kubernetes.objects import NODE, POD, Object, labels_of, selector
from inference_provider.targets.kubernetes.refusals import Forbidden

FRESH_S = 10.0
"""How long the nodes that were read count as all there are, seconds."""


class KeptInventory:
    """The GPUs of one cluster; None where this user may not see nodes.

    Args:
        client: Returns the cluster's API, which nothing needs before a deployment asks for GPUs.
    """

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client
        self._reading = threading.Lock()
        self._known: list[NodeGpus] | None = None
        self._read_s = float("-inf")

    def all(self) -> list[NodeGpus] | None:
        """Return what nodes have, as if no pod held any: a list of all pods is long."""
        with self._reading:
            if time.monotonic() >= self._read_s + FRESH_S:
                self._known = self._read(lambda client: gpus_on(client.items(NODE), ()))
                self._read_s = time.monotonic()
            return self._known

    def pods(self, workspace: str, namespace: str) -> Mapping[str, list[Object]]:
        """Return the pods of instances, by `<workspace>/<endpoint>/<deployment>`."""
        found: dict[str, list[Object]] = {}
        chosen = selector(names.selecting(workspace, names.INSTANCE))
        for pod in self._client().items(POD, namespace, chosen):
            name = f"{workspace}/{names.deployment_of(labels_of(pod))}"
            found.setdefault(name, []).append(pod)
        return found

    def in_use(self) -> list[NodeGpus] | None:
        """Return what nodes have now, and how much of it pods hold."""
        return self._read(lambda client: gpus_on(client.items(NODE), client.items(POD)))

    def _read(self, read: Callable[[Client], list[NodeGpus]]) -> list[NodeGpus] | None:
        try:
            return read(self._client())
        except Forbidden:
            return None


def surge_faults(
    inventory: KeptInventory, namespace_of: Callable[[str], str], wishes: Sequence[Wish]
) -> Mapping[str, tuple[str, str]]:
    """Say which deployments never fit beside their old pods; as `gpus.SurgeFaults`."""
    there = inventory.in_use()
    if there is None:
        return {}
    pods: dict[str, list[Object]] = {}
    for workspace in {wish.deployment.partition("/")[0] for wish in wishes}:
        pods |= inventory.pods(workspace, namespace_of(workspace))
    said = {
        name: no_room_beside(asked, count, there, pods.get(name, ()))
        for name, asked, count in wishes
    }
    return {name: fault for name, fault in said.items() if fault}
