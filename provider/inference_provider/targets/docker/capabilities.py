"""What a Docker host can do, and why it cannot do the rest."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from inference_provider.capabilities import WITH_RULES, Answer, Capability, TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.gpus import Ledger
from inference_provider.serving.image import is_brought
from inference_provider.spec import (
    AutoscaleRuleSpec,
    DeploymentSpec,
    EndpointSpec,
    EnvironmentSpec,
    WorkspaceSpec,
)
from inference_provider.spec.deployment import Probe
from inference_provider.spec.traffic import TrafficSpec
from inference_provider.targets.answers import ALIKE, CUTTING, NO_CONSOLE
from inference_provider.targets.docker.amounts import refused
from inference_provider.targets.samples import rule_faults
from inference_provider.targets.transport import tls_faults, tls_notes
from inference_provider.targets.web_faults import web_faults

_REASONS: Mapping[Capability, Answer] = {
    **ALIKE,
    "gpu_count": Answer("{asked}, and the host has {supported}", "ask for fewer"),
}
_NO_AGE = "a Docker Engine bounds what a container prints by size alone, not by age"
_FIRST_FREE = 1024
"""From here on a process without a capability may listen."""


def _no_socket(field: str, does: str, otherwise: str) -> Fault:
    """Return why a workspace without `engine_socket` has no service that does something."""
    reason = (
        f"a Docker host {does} by a container that has the Engine's socket, which is root of the"
        " host, and the workspace allows none"
    )
    remedy = f"set its engine_socket, to /var/run/docker.sock on most hosts, or {otherwise}"
    return Fault(field, reason, remedy)


def _rule_faults(
    rule: AutoscaleRuleSpec, deployment: DeploymentSpec | None, workspace: WorkspaceSpec | None
) -> Iterator[Fault]:
    """Yield why a rule cannot be kept; who applies it knows the workspace."""
    if rule.enabled and workspace is not None and not workspace.engine_socket:
        yield _no_socket("", "keeps rules", "scale by instance_count")
    yield from rule_faults(rule, deployment)


def _traffic_faults(spec: TrafficSpec, workspace: WorkspaceSpec | None) -> Iterator[Fault]:
    """Yield why a split cannot move; who applies it knows the workspace."""
    if spec.rollout and workspace is not None and not workspace.engine_socket:
        yield _no_socket("rollout", "moves splits", "leave it out")


def _endpoint_faults(spec: EndpointSpec, workspace: WorkspaceSpec | None) -> Iterator[Fault]:
    """Yield why alerts cannot be watched; who applies them knows the workspace."""
    if spec.alerts and workspace is not None and not workspace.engine_socket:
        yield _no_socket("alerts", "watches alerts", "leave them out")


def _workspace_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    yield from tls_faults(spec)
    if spec.metrics and not spec.engine_socket:
        yield _no_socket("metrics", "serves and sends metrics", "leave it out")
    if spec.logs and spec.logs.otlp_endpoint and not spec.engine_socket:
        yield _no_socket("logs.otlp_endpoint", "sends logs", "leave it out")
    if spec.logs and spec.logs.days_of("console"):
        yield Fault("logs.retention_of", _NO_AGE, NO_CONSOLE)
    if spec.logs and spec.logs.days_of("events") and not spec.engine_socket:
        yield _no_socket("logs.retention_of", "ends old events", "leave events out of it")
    if spec.service and not spec.engine_socket:
        yield _no_socket("service", "gives tokens over HTTP", "leave it out")
    if spec.service and spec.service.port < _FIRST_FREE:
        reason = f"{spec.service.port} cannot be listened on: its container has no right to"
        yield Fault("service.port", reason, f"use {_FIRST_FREE} or more")
    yield from web_faults(spec)
    port = spec.metrics.port if spec.metrics else None
    if port and port < _FIRST_FREE:
        reason = f"{port} cannot be listened on: its container has no right to"
        yield Fault("metrics.port", reason, f"use {_FIRST_FREE} or more")


def docker_capabilities(
    gpus: Callable[[str | None], Ledger],
    image_fault: Callable[[str], str],
    has_image_of: Callable[[DesiredResource, WorkspaceSpec | None], bool],
    taken: Callable[[DesiredResource], Iterable[Fault]] = lambda _workspace: (),
) -> TargetCapabilities:
    """Return what a Docker host can do.

    Args:
        gpus: Says which GPUs the host has and who holds them.
        image_fault: Says why it cannot use an image.
        has_image_of: Says whether it has what is made for a workspace or an environment.
        taken: Says which ports of a workspace another one of it has.
    """
    return TargetCapabilities(
        name="docker",
        kinds=WITH_RULES,
        rule_faults=_rule_faults,
        traffic_faults=_traffic_faults,
        endpoint_faults=_endpoint_faults,
        rollouts=True,
        alerts=True,
        engine_socket=True,
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
        metrics=True,
        traces=True,
        cutting=CUTTING,
        logs=True,
        service=True,
        workspace_faults=_workspace_faults,
        taken_faults=taken,
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
