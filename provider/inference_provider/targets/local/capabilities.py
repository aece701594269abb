"""What this machine can do, and why it cannot do the rest."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec

from inference_provider.capabilities import WITH_RULES, Answer, Capability, TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.gpus import Ledger
from inference_provider.spec import (
    DeploymentSpec,
    EnvironmentSpec,
    WorkspaceSpec,
)
from inference_provider.targets.answers import ALIKE, CUTTING
from inference_provider.targets.envoy.authorities import ca_file
from inference_provider.targets.listening import address_fault, bind_fault
from inference_provider.targets.local.machine import Fit, own_network_fit
from inference_provider.targets.samples import rule_faults
from inference_provider.targets.transport import tls_faults, tls_notes
from inference_provider.targets.web_faults import web_faults

_OTLP = "opentelemetry.exporter.otlp.proto.http"
_OPEN = "leave egress enabled"
_NO_AUTHORITIES = "this machine has no certificates of authorities, so that none could be checked"
_LEFT = "set the workspace's allow_unenforced_egress: true, where something else closes egress"
_REASONS: Mapping[Capability, Answer] = {
    **ALIKE,
    "base_images": Answer("no image is built here: instances are processes", "leave it out"),
    "builds": Answer(
        "there are no containers to run it in", "name dependencies or a command instead"
    ),
    "gpu_count": Answer("{asked}, and the machine has {supported}", "ask for fewer"),
    "images": Answer(
        "there are no containers to run it in", "name dependencies or a command instead"
    ),
    "instance_types": Answer(
        "there is no '{asked}': instances are processes of this machine", "leave it out"
    ),
    "resource_limits": Answer("{asked} cannot be limited", "leave it out (gpu works)"),
}


def local_capabilities(
    gpus: Callable[[], Ledger],
    own_network: Callable[[], Fit] = own_network_fit,
    taken: Callable[[DesiredResource], Iterable[Fault]] = lambda _workspace: (),
) -> TargetCapabilities:
    """Return what this machine can do.

    Args:
        gpus: Says which GPUs the machine has and who holds them.
        own_network: Says whether an instance can have a network of its own.
        taken: Says which ports of a workspace another one of it has.
    """

    def workspace_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
        yield from tls_faults(spec)
        yield from provider_faults(spec)
        yield from metrics_faults(spec)
        yield from service_faults(spec)
        yield from sending_faults(spec)
        yield from trace_faults(spec)
        if spec.egress == "disabled":
            yield from not_enforced("egress", spec)

    def deployment_faults(
        spec: DeploymentSpec, workspace: WorkspaceSpec | None, _environment: EnvironmentSpec | None
    ) -> Iterator[Fault]:
        alone = spec.egress_public_network_access == "disabled"
        if alone and workspace and workspace.egress == "enabled":
            yield from not_enforced("egress_public_network_access", workspace)

    def not_enforced(field: str, workspace: WorkspaceSpec) -> Iterator[Fault]:
        found = own_network()
        if found.fault and not workspace.allow_unenforced_egress:
            reason = f"'disabled' needs a network of its own for each instance, and {found.fault}"
            yield Fault(field, reason, found.remedy(_OPEN, _LEFT))
        elif found.fault and workspace.outbound_rules:
            reason = f"they let out what has a network of its own, and {found.fault}"
            yield Fault("outbound_rules", reason, found.remedy("leave outbound_rules out"))

    def notes(desired: DesiredResource, workspace: WorkspaceSpec | None) -> Iterator[str]:
        yield from tls_notes(desired, workspace)
        spec = desired.spec
        left = isinstance(spec, WorkspaceSpec) and spec.allow_unenforced_egress
        if left and (fault := own_network().fault):
            yield f"nothing here closes the way out of instances whose egress is disabled: {fault}"

    return TargetCapabilities(
        name="local",
        kinds=WITH_RULES,
        rule_faults=lambda rule, deployment, _workspace: rule_faults(rule, deployment),
        amounts_asked=True,
        rollouts=True,
        alerts=True,
        gpus=lambda _base_image: gpus(),
        address_fault=address_fault,
        egress_control=True,
        liveness_probes=True,
        outbound_rules=True,
        tls=True,
        traces=True,
        cutting=CUTTING,
        logs=True,
        metrics=True,
        service=True,
        source_ranges=True,
        workspace_faults=workspace_faults,
        taken_faults=taken,
        deployment_faults=deployment_faults,
        notes=notes,
        process_bytes=min(os.sysconf("SC_ARG_MAX"), 6 * 2**20),
        reasons=_REASONS,
    )


def _is_installed(module: str) -> bool:
    with suppress(ImportError):  # of a package that it is in
        return find_spec(module) is not None
    return False


def metrics_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    """Yield why metrics could not be served on this machine."""
    port = spec.metrics.port if spec.metrics else None
    fault = bind_fault("127.0.0.1", port) if port else None
    if fault and fault.errno != errno.EADDRINUSE:  # the status tells a port that is taken
        yield Fault(
            "metrics.port", f"{port} cannot be listened on: {fault.strerror}", "use another"
        )


def sending_faults(
    spec: WorkspaceSpec, is_installed: Callable[[str], bool] = _is_installed
) -> Iterator[Fault]:
    """Yield why nothing could be sent to an OpenTelemetry collector."""
    for field, settings in {"metrics": spec.metrics, "logs": spec.logs}.items():
        if settings and settings.otlp_endpoint and not is_installed(_OTLP):
            reason = f"the package that sends {field} by OTLP is not installed"
            remedy = "install `pulumi-inference[otlp]`, or leave it out"
            yield Fault(f"{field}.otlp_endpoint", reason, remedy)


def service_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    """Yield why the workspace service could not listen on this machine."""
    service = spec.service
    if service is None:
        return
    fault = bind_fault(service.bind_address, service.port)
    if fault and fault.errno != errno.EADDRINUSE:  # its own service has it, or `up` tells who
        place = f"{service.port} on {service.bind_address}"
        reason = f"{place} cannot be listened on: {fault.strerror}"
        yield Fault("service", reason, "use another port, or an address of this machine")
    yield from web_faults(spec)


def provider_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    """Yield why a router of this machine could not fetch the keys of a workspace's provider."""
    provider = spec.identity_provider
    uri = provider.jwks_uri if provider else None
    if uri and uri.startswith("https://") and not ca_file():
        remedy = "install its package ca-certificates, or use jwks_file"
        yield Fault("identity_provider.jwks_uri", _NO_AUTHORITIES, remedy)


def trace_faults(spec: WorkspaceSpec, trusted: Callable[[], str] = ca_file) -> Iterator[Fault]:
    """Yield why a router of this machine could not send spans."""
    if spec.traces and spec.traces.otlp_endpoint.startswith("https://") and not trusted():
        remedy = "install its package ca-certificates, or use a collector of this machine"
        yield Fault("traces.otlp_endpoint", _NO_AUTHORITIES, remedy)
