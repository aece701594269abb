"""ResourceSlices and claims -> how many devices of a class a cluster has, and who holds them.

Pure. What CEL says of a device is known where it compares its driver or an attribute with a value;
the rest is taken to be true, so that more is counted rather than less.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from inference_provider.gpus import words_of
from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes.claims import PRODUCT
from inference_provider.targets.kubernetes.inventory import NodeGpus
from inference_provider.targets.kubernetes.objects import Object

_Place = tuple[str, str, str]
"""Driver, pool and name of a device."""


class Device(NamedTuple):
    """One device that a driver has published."""

    driver: str
    pool: str
    name: str
    node: str
    """Empty where it is not of one node alone."""
    attributes: Mapping[str, object] = {}
    """By `<domain>/<name>`."""
    is_one: bool = True
    """False where there may be more than one: what of a pool is not published yet, which has no
    name, or what several claims may have."""

    @property
    def place(self) -> _Place:
        return self.driver, self.pool, self.name

    @property
    def product(self) -> str:
        return str(self.attributes.get(f"{self.driver}/{PRODUCT}", ""))


def devices_in(slices: Iterable[Object]) -> list[Device]:
    """Return the devices of the newest generation of each pool."""
    pools: dict[tuple[str, str], list[Object]] = {}
    for one in (found["spec"] for found in slices):
        pools.setdefault((one["driver"], one["pool"]["name"]), []).append(one)
    return [device for found in pools.values() for device in _devices_of_pool(found)]


def _devices_of_pool(found: list[Object]) -> Iterator[Device]:
    newest = max(one["pool"]["generation"] for one in found)
    valid = [one for one in found if one["pool"]["generation"] == newest]
    if len(valid) < max(one["pool"]["resourceSliceCount"] for one in valid):
        yield Device(valid[0]["driver"], valid[0]["pool"]["name"], "", "", is_one=False)
    for one in valid:
        yield from _devices_of(one)


def _devices_of(spec: Object) -> Iterator[Device]:
    driver = spec["driver"]
    for one in spec.get("devices") or ():
        attributes = {
            name if "/" in name else f"{driver}/{name}": next(iter(value.values()), None)
            for name, value in (one.get("attributes") or {}).items()
        }
        node = one.get("nodeName") or spec.get("nodeName") or ""
        alone = not one.get("allowMultipleAllocations")
        yield Device(driver, spec["pool"]["name"], one["name"], node, attributes, alone)


def counted(
    asked: GpuRequest, of_class: Object, devices: Iterable[Device], claims: Iterable[Object]
) -> list[NodeGpus] | None:
    """Return what each node has: of the class that is asked for, and what else drivers have.

    None where it is not known how many of the class there are.

    Args:
        asked: What an instance claims.
        of_class: Its DeviceClass.
        devices: All that there are.
        claims: Those that hold some of them.
    """
    fits, held = _Filter(asked, of_class), _held(claims)
    found: dict[tuple[str, str, str], list[int]] = {}
    for device in devices:
        would_do = fits(device)
        if would_do and not device.is_one:
            return None
        if not device.name:
            continue
        name = asked.device_class if would_do else f"others of {device.driver}"
        numbers = found.setdefault((device.node, name, device.product), [0, 0])
        numbers[0] += 1
        numbers[1] += device.place in held
    return [NodeGpus(*where, *numbers) for where, numbers in found.items()]


def held_of(asked: GpuRequest, there: Iterable[NodeGpus]) -> dict[str, Counter[str]]:
    """Return how many devices that would do are held, by node."""
    found: dict[str, Counter[str]] = {}
    for one in there:
        if one.held and one.name == asked.device_class:
            found.setdefault(one.node, Counter())[one.name] += one.held
    return found


def _held(claims: Iterable[Object]) -> set[_Place]:
    return {
        (one["driver"], one["pool"], one["device"])
        for claim in claims
        for one in _allocated(claim)
        if not one.get("adminAccess")
    }


def _allocated(claim: Object) -> Iterable[Object]:
    given = (claim.get("status") or {}).get("allocation") or {}
    found: Iterable[Object] = (given.get("devices") or {}).get("results") or ()
    return found


class _Filter:
    """Says which devices might do for a request."""

    def __init__(self, asked: GpuRequest, of_class: Object) -> None:
        theirs = (one["cel"]["expression"] for one in of_class["spec"].get("selectors") or ())
        self._known = [pair for one in (*theirs, *asked.selectors) for pair in comparisons(one)]
        self._words = set(words_of(asked.product))

    def __call__(self, device: Device) -> bool:
        values = {"": device.driver, **device.attributes}
        if not device.name:
            return all(value == device.driver for name, value in self._known if not name)
        # a device without the attribute is an error in CEL, and is not given either
        is_so = all(values.get(name) == value for name, value in self._known)
        return is_so and self._words <= set(words_of(device.product))


_TOKEN = re.compile(r"""'[^']*'|"[^"]*"|&&|.""", re.DOTALL)
_COMPARES = re.compile(
    r"""device\.(?:driver|attributes\[(?P<q>['"])(?P<domain>[^'"]+)(?P=q)\]\.(?P<name>\w+))"""
    r"""\s*==\s*(?:'(?P<one>[^']*)'|"(?P<two>[^"]*)"|(?P<bool>true|false))"""
)


def comparisons(expression: str) -> Iterator[tuple[str, object]]:
    """Yield what an expression demands for certain: attributes, or the driver (``), with values."""
    if re.search(r"[|?\\]", expression):  # one of several may do
        return
    for part in _conjuncts(expression):
        if found := _COMPARES.fullmatch(part.strip()):
            name = f"{found['domain']}/{found['name']}" if found["domain"] else ""
            text = found["one"] if found["one"] is not None else found["two"]
            yield name, text if text is not None else found["bool"] == "true"


def _conjuncts(expression: str) -> list[str]:
    parts, depth = [""], 0
    for token in _TOKEN.findall(expression):
        depth += (token in "([{") - (token in ")]}")
        if token == "&&" and not depth:
            parts.append("")
        else:
            parts[-1] += token
    return parts
