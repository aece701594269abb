"""What deployments take of their workspace's quota. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from inference_provider.spec.deployment import DeploymentSpec


class Size(NamedTuple):
    """What a deployment takes of its workspace's quota."""

    instances: int
    gpus: int


def size_of(deployment: DeploymentSpec) -> Size:
    count = deployment.instance_count
    return Size(count, count * gpus_per_instance(deployment))


def recorded_size(properties: Mapping[str, Any]) -> Size:
    """Return what a recorded deployment takes."""
    count, resources = properties["instance_count"], properties["resources"]
    amounts = (resources["limits"], resources["requests"])
    return Size(count, count * next((a["gpu"] for a in amounts if a.get("gpu")), 0))


def gpus_per_instance(deployment: DeploymentSpec) -> int:
    """Return the whole GPUs one instance gets: the limit, else the request."""
    resources = deployment.resources
    return int(resources.limits.gpu or resources.requests.gpu or 0)


def quota_fault(sizes: Iterable[Size], quota: Mapping[str, int | None]) -> tuple[str, str] | None:
    """Return the field of a quota that is exceeded, and by how much; None when none is."""
    instances, gpus = (sum(column) for column in zip(Size(0, 0), *sizes, strict=True))
    for field, total in (("max_instances", instances), ("max_gpus", gpus)):
        limit = quota.get(field)
        if limit is not None and total > limit:
            noun = field.removeprefix("max_")
            return field, f"would bring the workspace to {total} {noun}, its quota is {limit}"
    return None
