"""Amounts as Kubernetes writes them -> what Docker limits a container to. Pure."""

from collections.abc import Iterator
from typing import Any

from inference_provider.errors import Fault
from inference_provider.spec.amounts import bytes_of, cores
from inference_provider.spec.resources import Resources


def limits(resources: Resources, host_cores: int) -> dict[str, Any]:
    """Return the host configuration that holds an instance to its limits, else its requests."""
    found: dict[str, Any] = {}
    (_, cpu), (_, memory) = (_asked(resources, name) for name in ("cpu", "memory"))
    if cpu:
        # more than the host has would be refused, and would limit nothing
        found["nano_cpus"] = round(min(cores(cpu), host_cores) * 10**9)
    if memory:
        found["mem_limit"] = found["memswap_limit"] = bytes_of(memory)
    if resources.shm_size:
        found["shm_size"] = bytes_of(resources.shm_size)
    if resources.ulimits:
        named = sorted(resources.ulimits.items())
        found["ulimits"] = [{"Name": n, "Soft": one.soft, "Hard": one.hard} for n, one in named]
    return found


def refused(resources: Resources) -> Iterator[Fault]:
    """Yield what is wrong with amounts that an Engine does not take, or cannot keep."""
    yield from _too_small(resources)
    field, memory = _asked(resources, "memory")
    shared = resources.shm_size
    if shared and memory and bytes_of(shared) > bytes_of(memory):
        counted = f"which is counted as memory, and resources.{field}.memory is {memory}"
        reason = f"{shared}, {counted}: an instance would be killed before it has filled it"
        yield Fault("resources.shm_size", reason, "ask for less, or for more memory")


def _too_small(resources: Resources) -> Iterator[Fault]:
    for name, size, least, written in (
        ("cpu", cores, 0.01, "10m"),
        ("memory", bytes_of, 6 * 2**20, "6Mi"),
    ):
        field, amount = _asked(resources, name)
        if amount and size(amount) < least:
            reason = f"{amount}, and a Docker Engine limits to {written} or more"
            yield Fault(f"resources.{field}.{name}", reason, f"ask for at least {written}")


def _asked(resources: Resources, name: str) -> tuple[str, str | None]:
    """Return which of limits and requests counts, and its amount."""
    fields = ("limits", "requests")
    found = ((field, getattr(getattr(resources, field), name)) for field in fields)
    return next((one for one in found if one[1]), ("limits", None))
