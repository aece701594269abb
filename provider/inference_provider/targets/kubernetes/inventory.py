"""Nodes and pods -> which GPUs a cluster has, and whether a pod could ever have what it asks for.

Pure. A node names what it can hand out (`nvidia.com/gpu`, `nvidia.com/mig-1g.5gb`,
`amd.com/gpu`), and its labels say of which product. Which card a pod gets is the node's affair.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, get_args

from inference_provider.gpus import words_of
from inference_provider.spec.gpus import GpuRequest, GpuResource
from inference_provider.spec.resources import MIG_PREFIX
from inference_provider.targets.kubernetes.objects import Object, labels_of, name_of
from inference_provider.targets.kubernetes.pods import is_ending

WHOLE = get_args(GpuResource)
"""Names of whole GPUs."""
SHARED = "nvidia.com/gpu.shared"
"""Name of GPUs that NVIDIA's device plugin shares, when it renames them (`renameByDefault`)."""
PRODUCT_LABELS = ("nvidia.com/gpu.product", "amd.com/gpu.product-name", "gpu.intel.com/product")
_SHOWN = 6


class NodeGpus(NamedTuple):
    """GPUs of one name on one node."""

    node: str
    """Empty for devices that are not of one node alone."""
    name: str
    product: str
    total: int
    """What may be handed out."""
    held: int = 0

    @property
    def free(self) -> int:
        return max(0, self.total - self.held)


def gpus_on(nodes: Iterable[Object], pods: Iterable[Object]) -> list[NodeGpus]:
    """Return what GPUs the nodes have that take pods, and how many are held."""
    held, found = _held_on(pods), []
    for node in nodes:
        if node["spec"].get("unschedulable"):
            continue
        name, product = name_of(node), _product_of(node)
        for resource, count in (node["status"].get("allocatable") or {}).items():
            if is_gpu(resource) and int(count):
                taken = held.get(name, Counter())[resource]
                found.append(NodeGpus(name, resource, product, int(count), taken))
    return found


def is_gpu(resource: str) -> bool:
    """Whether a resource of a node is GPUs, or slices of them."""
    return resource in (*WHOLE, SHARED) or resource.startswith(MIG_PREFIX)


def resource_of(asked: GpuRequest) -> str:
    """Return the name under which a pod asks for GPUs."""
    if asked.device_class:
        return asked.device_class
    if asked.mig:
        return f"{MIG_PREFIX}{asked.mig}"
    return SHARED if asked.share else asked.resource


def fitting(asked: GpuRequest, gpus: Iterable[NodeGpus]) -> list[NodeGpus]:
    """Return the nodes' GPUs of the name and the product that are asked for."""
    wanted, words = resource_of(asked), set(words_of(asked.product))
    return [g for g in gpus if g.name == wanted and words <= set(words_of(g.product))]


def products_of(asked: GpuRequest, gpus: Iterable[NodeGpus]) -> list[str]:
    """Return the products that fit, as nodes name them."""
    return sorted({g.product for g in fitting(asked, gpus) if g.product})


def never_fits(asked: GpuRequest, gpus: list[NodeGpus]) -> tuple[str, str] | None:
    """Return why no nodes could ever run an instance, and what to do; None if some could."""
    there = fitting(asked, gpus)
    most = _most(there)
    what = f"{asked.each} {resource_of(asked)}" + (f" of {asked.product}" if asked.product else "")
    if most < asked.each:
        where = " on each of its nodes" if asked.nodes > 1 else ""
        has = f"the largest node has {most}" if most else "no node has any"
        reason = f"an instance asks for {what}{where}, and {has} ({summary(gpus)})"
        return reason, f"ask for at most {most}" if most else "ask for what there is, or add a node"
    room = _room(asked, _totals(there))
    if room >= asked.nodes:
        return None
    reason = f"an instance asks for {what} {asked.nodes} times, and there is room for {room}"
    return f"{reason} ({summary(gpus)})", "spread it over fewer nodes, or add one"


def _totals(gpus: Iterable[NodeGpus]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in gpus:
        found[one.node] += one.total
    return found


def _most(gpus: Iterable[NodeGpus]) -> int:
    """Return how many one instance could have at most: of one node, and of what is no node's."""
    totals = _totals(gpus)
    return totals.pop("", 0) + max(totals.values(), default=0)


def _room(asked: GpuRequest, left: Counter[str]) -> int:
    """Return how many pods have room, each on one node; what is no node's may go with any."""
    return left.total() // asked.each if left[""] else sum(n // asked.each for n in left.values())


def no_room_beside(
    asked: GpuRequest, count: int, gpus: list[NodeGpus], old: Iterable[Object]
) -> tuple[str, str] | None:
    """Return why new instances never fit while old pods run; None if they may, or none run.

    Args:
        asked: What each new one asks for.
        count: How many there are to be.
        gpus: What nodes have, with all that is held.
        old: The pods that end only after the new ones are there.
    """
    return no_room(asked, count, gpus, _held_on(old))


def no_room(
    asked: GpuRequest, count: int, gpus: list[NodeGpus], held: Mapping[str, Counter[str]]
) -> tuple[str, str] | None:
    """Return the same, where it is known what the old ones hold by node; nothing if none run."""
    if not held:
        return None
    left = _totals(fitting(asked, gpus))
    for node, names in held.items():
        left[node] = max(0, left[node] - names[resource_of(asked)])
    room = _room(asked, left) // asked.nodes
    if room >= count:
        return None
    each = f"{asked.each} {resource_of(asked)} each"
    each += f" on {asked.nodes} nodes" if asked.nodes > 1 else ""
    reason = (
        f"new instances start beside the old ones: {count} of {each}, and there is room for"
        f" {room} ({summary(gpus)})"
    )
    return reason, "write `surge: 0`, which ends the old ones first, or add a node"


def summary(gpus: Iterable[NodeGpus]) -> str:
    """Write how many of each product there are, and how many are free."""
    counts: dict[tuple[str, str], list[int]] = {}
    for one in gpus:
        known = counts.setdefault((one.product, one.name), [0, 0, 0])
        counts[one.product, one.name] = [
            n + m for n, m in zip(known, (1, one.total, one.free), strict=True)
        ]
    told = [
        f"{product or 'unknown product'}: {total} {name} on {nodes} node{'s' * (nodes != 1)},"
        f" {free} free"
        for (product, name), (nodes, total, free) in sorted(counts.items())
    ]
    more = len(told) - _SHOWN
    shown = "; ".join(told[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    return shown or "the cluster has no GPU"


def _product_of(node: Object) -> str:
    labels: Mapping[str, str] = labels_of(node)
    return next((labels[name] for name in PRODUCT_LABELS if name in labels), "")


def _held_on(pods: Iterable[Object]) -> dict[str, Counter[str]]:
    """Return what pods hold, by node."""
    held: dict[str, Counter[str]] = {}
    for pod in pods:
        node, asked = pod["spec"].get("nodeName"), _asked_by(pod)
        if node and asked and not is_ending(pod):
            held.setdefault(node, Counter()).update(asked)
    return held


def _asked_by(pod: Object) -> Counter[str]:
    found: Counter[str] = Counter()
    for container in pod["spec"].get("containers") or ():
        limits = (container.get("resources") or {}).get("limits") or {}
        found.update({name: int(n) for name, n in limits.items() if is_gpu(name)})
    return found
