"""What a Docker host can do, and why it cannot do the rest."""

from collections.abc import Callable, Iterator, Mapping

from inference_provider.capabilities import Answer, Capability, TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.gpus import Ledger
from inference_provider.serving.image import is_brought
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, WorkspaceSpec
from inference_provider.spec.deployment import Probe
from inference_provider.targets.answers import ALIKE
from inference_provider.targets.docker.amounts import refused
from inference_provider.targets.transport import tls_faults, tls_notes

_REASONS: Mapping[Capability, Answer] = {
    **ALIKE,
    "gpu_count": Answer("{asked}, and the host has {supported}", "ask for fewer"),
}


def docker_capabilities(
    gpus: Callable[[str | None], Ledger],
    image_fault: Callable[[str], str],
    has_image_of: Callable[[DesiredResource, WorkspaceSpec | None], bool],
) -> TargetCapabilities:
    """Return what a Docker host can do.

    Args:
        gpus: Says which GPUs the host has and who holds them.
        image_fault: Says why it cannot use an image.
        has_image_of: Says whether it has what is made for a workspace or an environment.
    """
    return TargetCapabilities(
        name="docker",
        images=True,
        base_images=True,
        builds=True,
        deployment_faults=deployment_faults,
        egress_control=True,
        liveness_probes=True,
        outbound_rules=True,
        resource_limits=True,
        amount_faults=refused,
        instance_types=True,
        gpus=gpus,
        tls=True,
        source_ranges=True,
        workspace_faults=tls_faults,
        notes=tls_notes,
        image_fault=image_fault,
        has_image_of=has_image_of,
        reasons=_REASONS,
    )


def deployment_faults(
    spec: DeploymentSpec, _workspace: WorkspaceSpec | None, environment: EnvironmentSpec | None
) -> Iterator[Fault]:
    """Yield why a host cannot keep what a deployment asks for."""
    if environment and is_brought(environment) and spec.liveness_probe != Probe():
        reason = "its image may have nothing to ask with, so one that hangs is not restarted"
        yield Fault("liveness_probe", reason, "leave it out")
