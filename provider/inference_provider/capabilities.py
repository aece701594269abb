"""What a target can do, and what it refuses in a declaration before any change. Pure.

Goes in: desired resources and a target's capabilities. Comes out: one sentence for each thing that
the target cannot do. A target may give its own reasons (`reasons`); the default one is just "not
supported yet".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.observed import Frozen, Kind
from inference_provider.secret_text import Secrets, hidden
from inference_provider.spec.deployment import Probe, RequestSettings
from inference_provider.spec.quota import size_of
from inference_provider.spec.target import kind_of

OWN_BYTES = 65_536
"""Bytes reserved for the command line and the variables that we set or pass on (PATH, HOME, …)."""
_PER_VARIABLE_BYTES = 9
"""Bytes per variable beyond its text: a pointer, and the final null byte."""

Capability = Literal[
    "app_insights",
    "auth_modes",
    "base_images",
    "data_collector",
    "egress_control",
    "endpoint_kinds",
    "gpu_count",
    "images",
    "instance_types",
    "kinds",
    "liveness_probes",
    "model_types",
    "private_endpoints",
    "queue_wait",
    "resource_limits",
    "success_thresholds",
]
"""Name of a field of TargetCapabilities."""


class Answer(NamedTuple):
    """Why a target cannot do something, and what to do instead.

    In both, `{asked}` stands for what was asked for and `{supported}` for what the target has.
    """

    reason: str
    remedy: str


_PLAIN: Mapping[Capability, Answer] = {
    "app_insights": Answer("not supported yet", "leave it false"),
    "auth_modes": Answer("'{asked}' is not supported yet", "use {supported}"),
    "base_images": Answer("not supported yet", "leave it out"),
    "data_collector": Answer("not supported yet", "leave it out"),
    "egress_control": Answer("'disabled' is not supported yet", "leave it enabled"),
    "endpoint_kinds": Answer("{asked}s are not supported yet", "use {supported}"),
    "gpu_count": Answer("{asked}, and the target has {supported}", "ask for fewer"),
    "images": Answer("not supported yet", "name dependencies or a command instead"),
    "instance_types": Answer("'{asked}' is not in the target's catalogue", "leave it out"),
    "kinds": Answer("{asked} is not supported yet", "leave it out"),
    "liveness_probes": Answer("not supported yet", "leave it out"),
    "model_types": Answer("'{asked}' is not supported yet", "use {supported}"),
    "private_endpoints": Answer("'disabled' is not supported yet", "leave it enabled"),
    "queue_wait": Answer("not supported yet", "set request_timeout_ms alone"),
    "resource_limits": Answer("not supported yet", "leave it out"),
    "success_thresholds": Answer("only 1 is supported yet", "leave it at 1"),
}


def _any_address(_host: str, _port: int) -> str:
    return ""


class TargetCapabilities(Frozen):
    """What a target can do; anything else is refused when planning."""

    name: str
    endpoint_kinds: frozenset[str] = frozenset({"online"})
    auth_modes: frozenset[str] = frozenset({"key"})
    kinds: frozenset[Kind] = frozenset(
        {
            Kind.WORKSPACE,
            Kind.MODEL,
            Kind.ENVIRONMENT,
            Kind.ENDPOINT,
            Kind.DEPLOYMENT,
            Kind.TRAFFIC,
        }
    )
    images: bool = False
    base_images: bool = False
    """Whether images are built, on a base that the workspace names."""
    egress_control: bool = False
    resource_limits: bool = False
    """Whether cpu and memory amounts are enforced."""
    liveness_probes: bool = False
    """Whether an instance that hangs is restarted; one that ends always is."""
    success_thresholds: bool = False
    """Whether readiness can require several successful answers in a row."""
    queue_wait: bool = False
    """Whether the wait in a server's queue has its own limit."""
    private_endpoints: bool = False
    """Whether one endpoint can be closed while the workspace is open."""
    data_collector: bool = False
    app_insights: bool = False
    instance_types: frozenset[str] = frozenset()
    model_types: frozenset[str] = frozenset({"custom_model"})
    gpu_count: int = 0
    """GPUs of the target, handed out or not."""
    process_bytes: int = 6 * 2**20
    """Most bytes of arguments and variables together that a new process can be given; Linux never
    accepts more than this, or than a quarter of the stack's limit if that is less."""
    address_fault: Callable[[str, int], str] = _any_address
    """Says why a router cannot listen on an address and a port; empty when it can."""
    reasons: Mapping[Capability, Answer] = {}
    """The target's own reasons for what it cannot do."""

    def fault(self, path: str, capability: Capability, asked: str = "") -> Fault:
        """Return the fault for a field that asks for something the target cannot do."""
        has = getattr(self, capability)
        supported = " or ".join(sorted(has)) if isinstance(has, frozenset) else str(has)
        answer = self.reasons.get(capability, _PLAIN[capability])
        reason, remedy = (
            text.replace("{supported}", supported).replace("{asked}", asked) for text in answer
        )
        return Fault(path, reason, remedy)


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
    """Return each thing the target cannot do; empty when it can do all."""
    wanted, target = tuple(desired), f"on target '{capabilities.name}'"
    found = tuple(
        Refusal(f"{resource.id} {target}", _hidden(fault, resource.placeholders))
        for resource in wanted
        for fault in _faults(resource, capabilities)
    )
    gpus = [size_of(r.spec).gpus for r in wanted if r.id.kind == Kind.DEPLOYMENT]
    if max(gpus, default=0) <= capabilities.gpu_count < sum(gpus):
        fault = capabilities.fault("resources.limits.gpu", "gpu_count", f"{sum(gpus)} together")
        found += (Refusal(f"all deployments {target}", fault),)
    return found


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
    if spec.base_image and not can.base_images:
        yield can.fault("base_image", "base_images", spec.base_image)
    fault = can.address_fault(spec.bind_address, spec.router_port)
    if fault:
        yield Fault("", fault, "")  # the sentence says which of the two fields is at fault


def _model_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if spec.type not in can.model_types:
        yield can.fault("type", "model_types", spec.type)


def _environment_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if spec.image and not can.images:
        yield can.fault("image", "images", spec.image)


def _endpoint_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if spec.auth_mode not in can.auth_modes:
        yield can.fault("auth_mode", "auth_modes", spec.auth_mode)
    if spec.public_network_access == "disabled" and not can.private_endpoints:
        yield can.fault("public_network_access", "private_endpoints")
    if spec.identity is not None and Kind.IDENTITY not in can.kinds:
        yield can.fault("identity", "kinds", Kind.IDENTITY.value)


def _deployment_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if spec.egress_public_network_access == "disabled" and not can.egress_control:
        yield can.fault("egress_public_network_access", "egress_control")
    if spec.app_insights_enabled and not can.app_insights:
        yield can.fault("app_insights_enabled", "app_insights")
    if spec.liveness_probe != Probe() and not can.liveness_probes:
        yield can.fault("liveness_probe", "liveness_probes")
    if spec.readiness_probe.success_threshold != 1 and not can.success_thresholds:
        yield can.fault("readiness_probe.success_threshold", "success_thresholds")
    waits = spec.request_settings.max_queue_wait_ms != RequestSettings().max_queue_wait_ms
    if waits and not can.queue_wait:
        yield can.fault("request_settings.max_queue_wait_ms", "queue_wait")
    collects = any(c.enabled for c in spec.data_collector.collections.values())
    if collects and not can.data_collector:
        yield can.fault("data_collector", "data_collector")
    if spec.instance_type and spec.instance_type not in can.instance_types:
        yield can.fault("instance_type", "instance_types", spec.instance_type)
    yield from _amount_faults(spec, can)
    yield from _gpu_faults(spec, can)
    yield from _variable_faults(spec, can)


def _amount_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if can.resource_limits:
        return
    for field, amounts in spec.resources:
        for name in ("cpu", "memory"):
            if getattr(amounts, name):
                yield can.fault(f"resources.{field}.{name}", "resource_limits", name)


def _gpu_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    requested, limit = spec.resources.requests.gpu, spec.resources.limits.gpu
    if None not in (requested, limit) and requested != limit:
        reason = f"{requested}, and the limit is {limit}; an instance gets whole GPUs of its own"
        yield Fault("resources.requests.gpu", reason, "leave it out")
    gpus = size_of(spec).gpus
    if gpus > can.gpu_count:
        field = "limits" if limit else "requests"
        yield can.fault(f"resources.{field}.gpu", "gpu_count", f"{gpus} for all instances")


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
    (Kind.ENDPOINT, "online"): _endpoint_faults,
    (Kind.DEPLOYMENT, "online"): _deployment_faults,
}
