"""What this machine can do, and why it cannot do the rest."""

import os
from collections.abc import Mapping

from inference_provider.capabilities import Answer, Capability, TargetCapabilities
from inference_provider.targets.local.addresses import address_fault

_REASONS: Mapping[Capability, Answer] = {
    "app_insights": Answer("there is no Application Insights", "leave it false"),
    "base_images": Answer("no image is built here: instances are processes", "leave it out"),
    "egress_control": Answer("outgoing traffic cannot be blocked", "leave it enabled"),
    "gpu_count": Answer("{asked}, and the machine has {supported}", "ask for fewer"),
    "images": Answer(
        "there are no containers to run it in", "name dependencies or a command instead"
    ),
    "instance_types": Answer(
        "there is no '{asked}': instances are processes of this machine", "leave it out"
    ),
    "liveness_probes": Answer(
        "a hung instance is not restarted", "leave it out (readiness_probe works)"
    ),
    "model_types": Answer(
        "there is no server for '{asked}' yet", "use custom_model with a scoring script"
    ),
    "private_endpoints": Answer(
        "one endpoint cannot be closed alone",
        "leave it enabled; to close all of them, bind the workspace to 127.0.0.1",
    ),
    "queue_wait": Answer("the wait in the queue is part of request_timeout_ms", "set that alone"),
    "resource_limits": Answer("{asked} cannot be limited", "leave it out (gpu works)"),
    "success_thresholds": Answer("one answer makes an instance ready", "leave it at 1"),
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
