"""What deployments take of their workspace's quota. Pure."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from inference_provider.spec.deployment import AnyDeployment


class Size(NamedTuple):
    """What a deployment takes of its workspace's quota."""

    instances: int = 0
    gpus: int = 0

    def plus(self, other: "Size") -> "Size":
        return Size(self.instances + other.instances, self.gpus + other.gpus)

    def minus(self, other: "Size") -> "Size":
        return Size(self.instances - other.instances, self.gpus - other.gpus)


def size_of(deployment: AnyDeployment) -> Size:
    """Return what a deployment takes; one of a batch endpoint takes nothing until a job runs."""
    if deployment.kind != "online":
        return Size()
    count = deployment.instance_count
    return Size(count, count * gpus_per_instance(deployment))


def recorded_size(properties: Mapping[str, Any]) -> Size:
    """Return what a recorded deployment takes."""
    if properties.get("kind", "online") != "online":
        return Size()
    count, resources = properties["instance_count"], properties["resources"]
    amounts = (resources["limits"], resources["requests"])
    return Size(count, count * next((a["gpu"] for a in amounts if a.get("gpu")), 0))


def gpus_per_instance(deployment: AnyDeployment) -> int:
    """Return the number of whole GPUs that one instance gets: the limit, else the request."""
    resources = deployment.resources
    return int(resources.limits.gpu or resources.requests.gpu or 0)


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
