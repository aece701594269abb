"""What this machine can do, and why it cannot do the rest."""

import os
from collections.abc import Callable, Mapping

from inference_provider.capabilities import Answer, Capability, TargetCapabilities
from inference_provider.gpus import Ledger
from inference_provider.targets.answers import ALIKE
from inference_provider.targets.listening import address_fault
from inference_provider.targets.local.authorities import provider_faults
from inference_provider.targets.transport import tls_faults, tls_notes

_REASONS: Mapping[Capability, Answer] = {
    **ALIKE,
    "base_images": Answer("no image is built here: instances are processes", "leave it out"),
    "builds": Answer(
        "there are no containers to run it in", "name dependencies or a command instead"
    ),
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


def local_capabilities(gpus: Callable[[], Ledger]) -> TargetCapabilities:
    """Return what this machine can do.

    Args:
        gpus: Says which GPUs the machine has and who holds them.
    """
    return TargetCapabilities(
        name="local",
        gpus=lambda _base_image: gpus(),
        address_fault=address_fault,
        tls=True,
        source_ranges=True,
        workspace_faults=lambda space: (*tls_faults(space), *provider_faults(space)),
        notes=tls_notes,
        process_bytes=min(os.sysconf("SC_ARG_MAX"), 6 * 2**20),
        reasons=_REASONS,
    )
