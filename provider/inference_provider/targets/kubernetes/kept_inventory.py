"""Which GPUs a cluster has, asked once for many deployments that start together."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from inference_provider.gpus import Wish
from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.devices import (
    Device,
    counted,
    devices_in,
    held_on_nodes,
)
from inference_provider.targets.kubernetes.inventory import (
    NodeGpus,
    gpus_on,
    no_room,
    no_room_beside,
)
from inference_provider.targets.kubernetes.objects import (
    DEVICE_CLAIM,
    DEVICE_CLASS,
    DEVICE_SLICE,
    NODE,
    POD,
    Kind,
    Object,
    labels_of,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.refusals import Forbidden, NotThere

_Found = TypeVar("_Found")

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
        self._devices: _Devices | None = None
        self._devices_read_s = float("-inf")

    def all(self) -> list[NodeGpus] | None:
        """Return what nodes have, as if no pod held any: a list of all pods is long."""
        with self._reading:
            if time.monotonic() >= self._read_s + FRESH_S:
                self._known = self._read(lambda client: gpus_on(client.items(NODE), ()))
                self._read_s = time.monotonic()
            return self._known

    def pods(self, workspace: str, namespace: str) -> Mapping[str, list[Object]]:
        """Return the pods of instances, by `<workspace>/<endpoint>/<deployment>`."""
        return self._of_instances(POD, workspace, namespace)

    def _of_instances(self, kind: Kind, workspace: str, namespace: str) -> dict[str, list[Object]]:
        found: dict[str, list[Object]] = {}
        chosen = selector(names.selecting(workspace, names.INSTANCE))
        for one in self._read(lambda client: client.items(kind, namespace, chosen)) or ():
            name = f"{workspace}/{names.deployment_of(labels_of(one))}"
            found.setdefault(name, []).append(one)
        return found

    def in_use(self) -> list[NodeGpus] | None:
        """Return what nodes have now, and how much of it pods hold."""
        return self._read(lambda client: gpus_on(client.items(NODE), client.items(POD)))

    def devices(self, asked: GpuRequest, held: bool) -> list[NodeGpus] | None:
        """Return what a request for devices of a class could have; None where that is unknown.

        Args:
            asked: The request.
            held: Whether to read how many of them are held, too.
        """
        of_class, devices = self._of(asked)
        if of_class is None or devices is None:
            return None
        claims = self._read(lambda client: client.items(DEVICE_CLAIM)) if held else ()
        return counted(asked, of_class, devices, claims or ())

    def held_by_claims(
        self, asked: GpuRequest, claims: Iterable[Object]
    ) -> Mapping[str, Counter[str]]:
        """Return how many devices that would do some claims hold, by node."""
        of_class, devices = self._of(asked)
        if of_class is None or devices is None:
            return {}
        return held_on_nodes(asked, of_class, devices, claims)

    def claims(self, workspace: str, namespace: str) -> Mapping[str, list[Object]]:
        """Return the claims of instances, by `<workspace>/<endpoint>/<deployment>`."""
        return self._of_instances(DEVICE_CLAIM, workspace, namespace)

    def _of(self, asked: GpuRequest) -> tuple[Object | None, list[Device] | None]:
        with self._reading:
            if time.monotonic() >= self._devices_read_s + FRESH_S:
                self._devices = self._read(_read_devices)
                self._devices_read_s = time.monotonic()
            known = self._devices
        return (known.classes.get(asked.device_class), known.all) if known else (None, None)

    def _read(self, read: Callable[[Client], _Found]) -> _Found | None:
        try:
            return read(self._client())
        except (Forbidden, NotThere):
            return None


class _Devices(NamedTuple):
    """What drivers have published, and the classes of it."""

    classes: Mapping[str, Object]
    all: list[Device] | None
    """None where they cannot be counted."""


def _read_devices(client: Client) -> _Devices:
    classes = {name_of(one): one for one in client.items(DEVICE_CLASS)}
    return _Devices(classes, devices_in(client.items(DEVICE_SLICE)))


def surge_faults(
    inventory: KeptInventory, namespace_of: Callable[[str], str], wishes: Sequence[Wish]
) -> Mapping[str, tuple[str, str]]:
    """Say which deployments never fit beside their old pods; as `gpus.SurgeFaults`."""
    dynamic = [wish for wish in wishes if wish.asked.device_class]
    counted_ = [wish for wish in wishes if not wish.asked.device_class]
    return {
        **(_beside_pods(inventory, namespace_of, counted_) if counted_ else {}),
        **(_beside_claims(inventory, namespace_of, dynamic) if dynamic else {}),
    }


def _beside_claims(
    inventory: KeptInventory, namespace_of: Callable[[str], str], wishes: Sequence[Wish]
) -> Mapping[str, tuple[str, str]]:
    claims: dict[str, list[Object]] = {}
    for workspace in {wish.deployment.partition("/")[0] for wish in wishes}:
        claims |= inventory.claims(workspace, namespace_of(workspace))
    found = {}
    for name, asked, count in wishes:
        there = inventory.devices(asked, True)
        held = inventory.held_by_claims(asked, claims.get(name, ()))
        if there is not None and (fault := no_room(asked, count, there, held)):
            found[name] = fault
    return found


def _beside_pods(
    inventory: KeptInventory, namespace_of: Callable[[str], str], wishes: Sequence[Wish]
) -> Mapping[str, tuple[str, str]]:
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
