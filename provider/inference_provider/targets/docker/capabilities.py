"""What a Docker host can do, and why it cannot do the rest."""

from collections.abc import Mapping

from inference_provider.capabilities import Answer, Capability, TargetCapabilities
from inference_provider.targets.answers import ALIKE

_REASONS: Mapping[Capability, Answer] = {
    **ALIKE,
    "gpu_count": Answer("{asked}, and the host has {supported}", "ask for fewer"),
    "instance_types": Answer("there is no '{asked}'", "name resources instead"),
}


def docker_capabilities(gpu_count: int) -> TargetCapabilities:
    """Return what a Docker host can do.

    Args:
        gpu_count: GPUs of the host, handed out or not.
    """
    return TargetCapabilities(
        name="docker",
        images=True,
        base_images=True,
        egress_control=True,
        resource_limits=True,
        gpu_count=gpu_count,
        reasons=_REASONS,
    )
