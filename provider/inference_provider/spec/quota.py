"""What deployments take of their workspace's quota. Pure."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from inference_provider.spec.deployment import AnyDeployment
from inference_provider.spec.gpus import GpuRequest, gpu_request


class Size(NamedTuple):
    """What a deployment takes of its workspace's quota."""

    instances: int = 0
    gpus: int = 0
    """A slice counts as one, and so does a share."""

    def plus(self, other: "Size") -> "Size":
        return Size(self.instances + other.instances, self.gpus + other.gpus)

    def minus(self, other: "Size") -> "Size":
        return Size(self.instances - other.instances, self.gpus - other.gpus)


def size_of(deployment: AnyDeployment) -> Size:
    """Return what a deployment takes; one of a batch endpoint takes nothing until a job runs."""
    if deployment.kind != "online":
        return Size()
    count = deployment.instance_count
    asked = gpus_of(deployment)
    return Size(count, count * (asked.each if asked else 0))


def recorded_size(properties: Mapping[str, Any]) -> Size:
    """Return what a recorded deployment takes."""
    if properties.get("kind", "online") != "online":
        return Size()
    count, asked = properties["instance_count"], gpu_request(properties["resources"])
    return Size(count, count * (asked.each if asked else 0))


def gpus_of(deployment: AnyDeployment) -> GpuRequest | None:
    """Return what GPUs one instance asks for; None for none."""
    return gpu_request(deployment.resources.model_dump())


def total(sizes: Iterable[Size]) -> Size:
    return functools.reduce(Size.plus, sizes, Size())


def quota_fault(taken: Size, quota: Mapping[str, int | None]) -> tuple[str, str] | None:
    """Return the field of a quota that is exceeded, and by how much; None when none is."""
    for field, count in (("max_instances", taken.instances), ("max_gpus", taken.gpus)):
        limit = quota.get(field)
        if limit is not None and count > limit:
            noun = field.removeprefix("max_")
            return field, f"would bring the workspace to {count} {noun}; its quota is {limit}"
    return None
