"""What deployments take of their workspace's quota. Pure."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from inference_provider.spec.autoscale_rule import AutoscaleRuleSpec
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


def size_of(deployment: AnyDeployment, most: int = 0) -> Size:
    """Return what a deployment takes; one of a batch endpoint takes nothing until a job runs.

    Args:
        deployment: It.
        most: As many instances as its autoscale rule allows; 0 without one.
    """
    if deployment.kind != "online":
        return Size()
    return _size(max(deployment.instance_count, most), gpus_of(deployment))


def recorded_size(properties: Mapping[str, Any], most: int = 0) -> Size:
    """Return what a recorded deployment takes."""
    if properties.get("kind", "online") != "online":
        return Size()
    asked = gpu_request(properties["resources"])
    nodes = int(properties.get("nodes_per_instance", 1))  # an older release wrote none
    return _size(max(properties["instance_count"], most), asked and asked._replace(nodes=nodes))


def _size(count: int, asked: GpuRequest | None) -> Size:
    return Size(count, count * asked.nodes * asked.each if asked else 0)


def most_of(rule: AutoscaleRuleSpec | None) -> int:
    """Return how many instances an autoscale rule allows at any time; 0 without one that is on."""
    return rule.most_ever if rule and rule.enabled else 0


def gpus_of(deployment: AnyDeployment) -> GpuRequest | None:
    """Return what GPUs one instance asks for; None for none."""
    asked = gpu_request(deployment.resources.model_dump())
    spans = deployment.nodes_per_instance if deployment.kind == "online" else 1
    return asked and asked._replace(nodes=spans)


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
