"""Desired resources and a target's capabilities -> what the target refuses before any change. Pure.

Comes out: one sentence for each thing that the target cannot do, but for GPUs (`gpu_wishes.py`).
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from inference_provider.alert_dimensions import dimension_faults
from inference_provider.capabilities import OWN_BYTES, Capability, TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.observed import Kind, ResourceId
from inference_provider.secret_text import Secrets, hidden
from inference_provider.serving.image import image_as_it_is
from inference_provider.spec import (
    DeploymentSpec,
    EndpointSpec,
    EnvironmentSpec,
    Reference,
    WorkspaceSpec,
)
from inference_provider.spec.autoscale_rule import AutoscaleRuleSpec
from inference_provider.spec.cluster import ClusterSettings
from inference_provider.spec.deployment import Probe, RequestSettings
from inference_provider.spec.resources import Resources
from inference_provider.spec.scheduling import Scheduling
from inference_provider.spec.sources import interface_in
from inference_provider.spec.target import kind_of
from inference_provider.spec.traffic import TrafficSpec

_OTHER_IMAGE = "use another image, or load it on the host"
_ENCRYPT = "add tls: {generate: true}, or set allow_plain_http: true"
_OF_WORKSPACES: Mapping[str, Capability] = {
    "metrics": "metrics",
    "logs": "logs",
    "traces": "traces",
    "service": "service",
    "engine_socket": "engine_socket",
    "tls": "tls",
    "allowed_source_ranges": "source_ranges",
    "trusted_hops": "source_ranges",
}
"""What a target must be able to do for a field of a workspace that says anything."""
_PER_VARIABLE_BYTES = 9
"""Bytes per variable beyond its text: a pointer, and the final null byte."""


class Refusal(NamedTuple):
    """One thing that a target cannot do."""

    place: str
    """`Deployment 'lab/iris/blue' on target 'docker'`."""
    fault: Fault
    """Its path is the field that asks for it; empty if the whole resource does."""

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}"


def refusals(
    desired: Iterable[DesiredResource], capabilities: TargetCapabilities
) -> tuple[Refusal, ...]:
    """Return each thing the target cannot do, apart from GPUs; empty when it can do all."""
    known = tuple(desired)
    specs = {one.id: one.spec for one in known}
    spaces = {one.id.name: one.spec for one in known if one.id.kind == Kind.WORKSPACE}
    environments = {
        one.spec.content_hash: one.spec for one in known if one.id.kind == Kind.ENVIRONMENT
    }
    return tuple(
        Refusal(at_target(one.id, capabilities), _hidden(fault, one.placeholders))
        for one in known
        for fault in (
            *_faults(one, capabilities),
            *_base_faults(one, spaces.get(one.id.workspace), capabilities),
            *_other_faults(one, specs, spaces.get(one.id.workspace), environments, capabilities),
        )
    )


def at_target(place: object, can: TargetCapabilities) -> str:
    """Return where something is refused: `Deployment 'lab/iris/blue' on target 'docker'`."""
    return f"{place} on target '{can.name}'"


def _hidden(fault: Fault, placeholders: Secrets) -> Fault:
    return Fault(fault.path, hidden(fault.reason, placeholders), hidden(fault.remedy, placeholders))


def _faults(resource: DesiredResource, can: TargetCapabilities) -> Iterator[Fault]:
    kind, variant = resource.id.kind, resource.variant
    if kind not in can.kinds:
        yield can.fault("", "kinds", kind.value)
    elif variant and variant not in can.endpoint_kinds:
        yield can.fault("kind", "endpoint_kinds", f"{variant} {kind.value.lower()}")
    else:
        yield from _FAULTS_OF.get((kind, variant), _no_faults)(resource.spec, can)


def _workspace_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    wanted = kind_of(spec.target)
    if wanted != can.name:
        yield Fault("target", f"'{wanted}' is not supported yet", f"use '{can.name}'")
    if spec.egress == "disabled" and not can.egress_control:
        yield can.fault("egress", "egress_control")
    if spec.outbound_rules and not can.outbound_rules:
        yield can.fault("outbound_rules", "outbound_rules")
    for field in ("base_image", "runtime_image", "registry"):
        if getattr(spec, field) and not can.base_images:
            yield can.fault(field, "base_images", getattr(spec, field))
    if spec.cluster != ClusterSettings() and not can.cluster_settings:
        yield can.fault("cluster", "cluster_settings")
    for field, capability in _OF_WORKSPACES.items():
        if getattr(spec, field) and not getattr(can, capability):
            yield can.fault(field, capability)
    yield from _metrics_faults(spec, can)
    yield from _range_faults("allowed_source_ranges", spec.allowed_source_ranges)
    yield from _range_faults("trusted_proxies", spec.trusted_proxies)
    yield from _plain_http_faults(spec, can)
    fault = can.address_fault(spec.bind_address, spec.router_port)
    if fault:
        yield Fault("", fault, "")  # the sentence says which of the two fields is at fault
    yield from can.workspace_faults(spec)


def _metrics_faults(spec: WorkspaceSpec, can: TargetCapabilities) -> Iterator[Fault]:
    if can.metrics and spec.metrics and spec.metrics.port and spec.metrics.port == spec.router_port:
        yield Fault("metrics.port", f"{spec.router_port} is the router_port too", "use another")


def _range_faults(field: str, ranges: Sequence[str]) -> Iterator[Fault]:
    """Refuse addresses of one interface: a router does not know by which one a caller came.

    Not in the range's type, since records of a release that took them must stay readable.
    """
    for number, one in enumerate(ranges):
        if interface := interface_in(one):
            reason = f"'{one}' names an interface, and the router does not know the caller's"
            remedy = f"write it without %{interface}; that lets it in on every interface"
            yield Fault(f"{field}[{number}]", reason, remedy)


def _plain_http_faults(spec: WorkspaceSpec, can: TargetCapabilities) -> Iterator[Fault]:
    """Refuse to let keys and tokens cross a network that anybody may listen on."""
    if spec.tls or spec.allow_plain_http or can.cluster_settings:  # a cluster binds a Service
        return
    if not ipaddress.ip_address(spec.bind_address).is_loopback:
        reason = f"keys and tokens would cross the network unencrypted, on {spec.bind_address}"
        yield Fault("bind_address", reason, _ENCRYPT)
    if spec.service and not spec.service.is_local:
        reason = f"tokens would cross the network unencrypted, on {spec.service.bind_address}"
        yield Fault("service.bind_address", reason, _ENCRYPT)


def _model_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if spec.type not in can.model_types:
        yield can.fault("type", "model_types", spec.type)


def _environment_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if spec.image and not can.images:
        yield can.fault("image", "images", spec.image)
    elif spec.build and not can.builds:
        yield can.fault("build", "builds", spec.build.path)
    brought = image_as_it_is(spec) if can.images else None  # what was built on one needs it no more
    if brought and (fault := can.image_fault(brought)):
        yield Fault("image", f"'{brought}': {fault}", _OTHER_IMAGE)


def _base_faults(
    resource: DesiredResource, workspace: WorkspaceSpec | None, can: TargetCapabilities
) -> Iterator[Fault]:
    """Refuse an image that cannot be used and that something has still to be made of."""
    path, image = _made_of(resource, workspace) if can.base_images else ("", None)
    if image and not can.has_image_of(resource, workspace) and (fault := can.image_fault(image)):
        of = "" if path else "the workspace's base_image "
        yield Fault(path, f"{of}'{image}': {fault}", _OTHER_IMAGE)


def _other_faults(
    resource: DesiredResource,
    known: Mapping[ResourceId, Any],
    workspace: WorkspaceSpec | None,
    environments: Mapping[str | None, EnvironmentSpec],
    can: TargetCapabilities,
) -> Iterator[Fault]:
    spec = resource.spec
    if isinstance(spec, DeploymentSpec):
        digest = Reference.parse(spec.environment).digest if spec.environment else None
        yield from can.deployment_faults(spec, workspace, environments.get(digest))
    elif isinstance(spec, AutoscaleRuleSpec) and resource.id.kind in can.kinds:
        of = resource.id.model_copy(update={"kind": Kind.DEPLOYMENT})
        yield from can.rule_faults(spec, known.get(of), workspace)
    elif isinstance(spec, EndpointSpec):
        yield from can.endpoint_faults(spec, workspace)
    elif isinstance(spec, TrafficSpec):
        yield from can.traffic_faults(spec, workspace)
    elif isinstance(spec, EnvironmentSpec):
        yield from can.environment_faults(resource, workspace)
    elif isinstance(spec, WorkspaceSpec):
        yield from can.taken_faults(resource)


def _made_of(resource: DesiredResource, workspace: WorkspaceSpec | None) -> tuple[str, str | None]:
    """Return the field and the name of the image that a router or an environment is made of."""
    kind, spec = resource.id.kind, resource.spec
    if kind == Kind.WORKSPACE:
        field = "runtime_image" if spec.runtime_image else "base_image"
        return field, getattr(spec, field)
    if kind != Kind.ENVIRONMENT or spec.build or image_as_it_is(spec):
        return "", None
    if spec.image:
        return "image", spec.image
    return "", workspace.base_image if workspace else None


def _endpoint_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if spec.auth_mode not in can.auth_modes:
        yield can.fault("auth_mode", "auth_modes", spec.auth_mode)
    if spec.allowed_source_ranges and not can.source_ranges:  # `disabled` needs some
        yield can.fault("allowed_source_ranges", "source_ranges")
    yield from _range_faults("allowed_source_ranges", spec.allowed_source_ranges)
    if spec.alerts and not can.alerts:
        yield can.fault("alerts", "alerts")
    yield from dimension_faults(spec.alerts)
    if spec.identity is not None and Kind.IDENTITY not in can.kinds:
        yield can.fault("identity", "kinds", Kind.IDENTITY.value)


def _identity_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if spec.annotations and not can.cluster_settings:
        yield can.fault("annotations", "cluster_settings")


def _deployment_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    own, settings = spec.readiness_probe.success_threshold, spec.request_settings
    asked: Mapping[tuple[str, Capability], bool] = {
        ("egress_public_network_access", "egress_control"): (
            spec.egress_public_network_access == "disabled"
        ),
        ("app_insights_enabled", "app_insights"): spec.app_insights_enabled,
        ("liveness_probe", "liveness_probes"): spec.liveness_probe != Probe(),
        ("readiness_probe.success_threshold", "success_thresholds"): own != 1,
        ("request_settings.max_queue_wait_ms", "queue_wait"): (
            settings.max_queue_wait_ms != RequestSettings().max_queue_wait_ms
        ),
        ("data_collector", "data_collector"): any(
            c.enabled for c in spec.data_collector.collections.values()
        ),
        ("nodes_per_instance", "several_nodes"): spec.nodes_per_instance != 1,
        ("scheduling", "cluster_settings"): spec.scheduling != Scheduling(),
    }
    for (path, capability), is_asked in asked.items():
        if is_asked and not getattr(can, capability):
            yield can.fault(path, capability)
    if (successes := spec.liveness_probe.success_threshold) != 1:
        reason = f"{successes}; one answer shows that an instance lives"
        yield Fault("liveness_probe.success_threshold", reason, "leave it at 1")
    if spec.instance_type and not can.instance_types:
        yield can.fault("instance_type", "instance_types", spec.instance_type)
    else:
        yield from _amount_faults(spec, can)
    yield from _different_gpus(spec)
    yield from _variable_faults(spec, can)


def _traffic_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if spec.rollout and not can.rollouts:
        yield can.fault("rollout", "rollouts")


def _amount_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if can.resource_limits:
        yield from can.amount_faults(spec.resources)
        return
    resources: Resources = spec.resources
    refused = {"limits": resources.limits}
    if not can.amounts_asked:
        refused = {"requests": resources.requests, **refused}
    asked = {
        f"{field}.{name}": name
        for field, amounts in refused.items()
        for name in ("cpu", "memory")
        if getattr(amounts, name)
    }
    asked |= {"shm_size": "shared memory"} if resources.shm_size else {}
    asked |= {f"ulimits.{name}": name for name in resources.ulimits}
    for field, what in asked.items():
        yield can.fault(f"resources.{field}", "resource_limits", what)


def _different_gpus(spec: Any) -> Iterator[Fault]:
    requested, limit = spec.resources.requests.gpu, spec.resources.limits.gpu
    if None not in (requested, limit) and requested != limit:
        reason = f"{requested}, and the limit is {limit}; an instance gets whole GPUs of its own"
        yield Fault("resources.requests.gpu", reason, "leave it out")


def _variable_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    size = sum(
        len(f"{name}={value.get_secret_value()}".encode(errors="surrogatepass"))
        + _PER_VARIABLE_BYTES
        for name, value in spec.environment_variables.items()
    )
    limit = can.process_bytes - OWN_BYTES
    if size > limit:
        reason = f"{size:,} bytes together, the limit is {limit:,}"
        yield Fault("environment_variables", reason, "put large values into files of the code")


def _no_faults(_spec: Any, _can: TargetCapabilities) -> Iterator[Fault]:
    return iter(())


_FAULTS_OF: Mapping[tuple[Kind, str], Callable[[Any, TargetCapabilities], Iterator[Fault]]] = {
    (Kind.WORKSPACE, ""): _workspace_faults,
    (Kind.MODEL, ""): _model_faults,
    (Kind.ENVIRONMENT, ""): _environment_faults,
    (Kind.IDENTITY, ""): _identity_faults,
    (Kind.ENDPOINT, "online"): _endpoint_faults,
    (Kind.DEPLOYMENT, "online"): _deployment_faults,
    (Kind.TRAFFIC, ""): _traffic_faults,
}
