"""Which GPUs a cluster has, asked once for many deployments that start together."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TypeVar

from inference_provider.gpus import Wish
from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.devices import (
    Device,
    counted,
    devices_in,
    held_of,
)
from inference_provider.targets.kubernetes.fresh import Fresh
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
        self._all = Fresh(lambda: self._read(lambda client: gpus_on(client.items(NODE), ())))
        self._published = Fresh(lambda: self._read(_published))

    def all(self) -> list[NodeGpus] | None:
        """Return what nodes have, as if no pod held any: a list of all pods is long."""
        return self._all.within(FRESH_S)

    def pods(self, workspace: str, namespace: str) -> Mapping[str, list[Object]]:
        """Return the pods of instances, by `<workspace>/<endpoint>/<deployment>`."""
        chosen = selector(names.selecting(workspace, names.INSTANCE))
        return _by_deployment(self._client().items(POD, namespace, chosen))

    def in_use(self) -> list[NodeGpus] | None:
        """Return what nodes have now, and how much of it pods hold."""
        return self._read(lambda client: gpus_on(client.items(NODE), client.items(POD)))

    def devices(self, asked: GpuRequest, held: bool) -> list[NodeGpus] | None:
        """Return what a request for devices of a class could have; None where that is unknown.

        Args:
            asked: The request.
            held: Whether to read how many of them are held, too.
        """
        known = self.published()
        return known.of(asked, (self.claims() or ()) if held else ()) if known else None

    def published(self) -> "Published | None":
        """Return what drivers have published; None where this user may not see it."""
        return self._published.within(FRESH_S)

    def claims(self) -> list[Object] | None:
        """Return the claims of devices that there are now."""
        return self._read(lambda client: client.items(DEVICE_CLAIM))

    def _read(self, read: Callable[[Client], _Found]) -> _Found | None:
        try:
            return read(self._client())
        except (Forbidden, NotThere):
            return None


class Published:
    """What drivers have published, and the classes of it, by name."""

    def __init__(self, classes: Mapping[str, Object], devices: list[Device]) -> None:
        self._classes = classes
        self._devices = devices
        self._free: dict[GpuRequest, list[NodeGpus] | None] = {}
        """What all that ask for the same have counted, as if no claim held any."""

    def of(self, asked: GpuRequest, claims: Collection[Object] = ()) -> list[NodeGpus] | None:
        """Count what a request could have, and what claims hold of it; None where unknown."""
        of_class = self._classes.get(asked.device_class)
        if of_class is None:
            return None
        if claims:
            return counted(asked, of_class, self._devices, claims)
        any_number = asked._replace(field="", each=0, nodes=1)
        if any_number not in self._free:
            self._free[any_number] = counted(asked, of_class, self._devices, ())
        return self._free[any_number]


def _published(client: Client) -> Published:
    classes = {name_of(one): one for one in client.items(DEVICE_CLASS)}
    return Published(classes, devices_in(client.items(DEVICE_SLICE)))


def _workspace_of(one: Object) -> str:
    return labels_of(one).get(names.WORKSPACE, "")


def _by_deployment(objects: Iterable[Object]) -> dict[str, list[Object]]:
    """Return what is of instances, by `<workspace>/<endpoint>/<deployment>`."""
    found: dict[str, list[Object]] = {}
    for one in objects:
        has = labels_of(one)
        if names.DEPLOYMENT in has:
            name = f"{_workspace_of(one)}/{names.deployment_of(has)}"
            found.setdefault(name, []).append(one)
    return found


def surge_faults(
    inventory: KeptInventory, namespace_of: Callable[[str], str], wishes: Sequence[Wish]
) -> Mapping[str, tuple[str, str]]:
    """Say which deployments never fit beside their old pods; as `gpus.SurgeFaults`."""
    dynamic = [wish for wish in wishes if wish.asked.device_class]
    counted_ = [wish for wish in wishes if not wish.asked.device_class]
    return {
        **(_beside_pods(inventory, namespace_of, counted_) if counted_ else {}),
        **(dict(_beside_claims(inventory, namespace_of, dynamic)) if dynamic else {}),
    }


def _beside_claims(
    inventory: KeptInventory, namespace_of: Callable[[str], str], wishes: Sequence[Wish]
) -> Iterator[tuple[str, tuple[str, str]]]:
    known, claims = inventory.published(), inventory.claims()
    if known is None or claims is None:
        return
    # two namespaces may each have a workspace of one name
    places = {name: namespace_of(name) for name in {w.deployment.partition("/")[0] for w in wishes}}
    own = (c for c in claims if places.get(_workspace_of(c)) == c["metadata"]["namespace"])
    old, now = _by_deployment(own), cache(partial(known.of, claims=claims))
    for name, asked, count in wishes:
        if name not in old:
            continue
        there, held = now(asked), known.of(asked, old[name])
        if there and held and (fault := no_room(asked, count, there, held_of(asked, held))):
            yield name, fault


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
