"""What this machine can do, and why it cannot do the rest."""

import os
from collections.abc import Mapping

from inference_provider.capabilities import Answer, Capability, TargetCapabilities
from inference_provider.targets.answers import ALIKE
from inference_provider.targets.local.addresses import address_fault

_REASONS: Mapping[Capability, Answer] = {
    **ALIKE,
    "base_images": Answer("no image is built here: instances are processes", "leave it out"),
    "egress_control": Answer("outgoing traffic cannot be blocked", "leave it enabled"),
    "gpu_count": Answer("{asked}, and the machine has {supported}", "ask for fewer"),
    "images": Answer(
        "there are no containers to run it in", "name dependencies or a command instead"
    ),
    "instance_types": Answer(
        "there is no '{asked}': instances are processes of this machine", "leave it out"
    ),
    "resource_limits": Answer("{asked} cannot be limited", "leave it out (gpu works)"),
}


def local_capabilities(gpu_count: int) -> TargetCapabilities:
    """Return what this machine can do.

    Args:
        gpu_count: GPUs of the machine, handed out or not.
    """
    return TargetCapabilities(
        name="local",
        gpu_count=gpu_count,
        address_fault=address_fault,
        process_bytes=min(os.sysconf("SC_ARG_MAX"), 6 * 2**20),
        reasons=_REASONS,
    )
