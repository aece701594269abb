"""What a Docker host can do, and why it cannot do the rest."""

from collections.abc import Mapping

from inference_provider.capabilities import Answer, Capability, TargetCapabilities

_REASONS: Mapping[Capability, Answer] = {
    "app_insights": Answer("there is no Application Insights", "leave it false"),
    "egress_control": Answer("outgoing traffic cannot be blocked yet", "leave it enabled"),
    "gpu_count": Answer("{asked}, and the host has {supported}", "ask for fewer"),
    "instance_types": Answer("there is no '{asked}'", "name resources instead"),
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
    "success_thresholds": Answer("one answer makes an instance ready", "leave it at 1"),
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
        resource_limits=True,
        gpu_count=gpu_count,
        reasons=_REASONS,
    )
