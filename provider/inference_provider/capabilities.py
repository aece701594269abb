"""What a target can do, and what it refuses in a declaration before any change. Pure.

Goes in: desired resources and a target's capabilities. Comes out: one sentence for each thing that
the target cannot do. A target may give its own reasons (`reasons`); the default one is just "not
supported yet".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.gpus import Ledger, SurgeFaults
from inference_provider.observed import Frozen, Kind, ResourceId
from inference_provider.secret_text import Secrets, hidden
from inference_provider.serving.image import image_as_it_is
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, Reference, WorkspaceSpec
from inference_provider.spec.autoscale_rule import AutoscaleRuleSpec
from inference_provider.spec.cluster import ClusterSettings
from inference_provider.spec.deployment import Probe, RequestSettings
from inference_provider.spec.gpus import GpuRequest
from inference_provider.spec.resources import Resources
from inference_provider.spec.scheduling import Scheduling
from inference_provider.spec.target import kind_of

OWN_BYTES = 65_536
"""Bytes reserved for the command line and the variables that we set or pass on (PATH, HOME, …)."""
_OTHER_IMAGE = "use another image, or load it on the host"
_PER_VARIABLE_BYTES = 9
"""Bytes per variable beyond its text: a pointer, and the final null byte."""

Capability = Literal[
    "app_insights",
    "auth_modes",
    "base_images",
    "builds",
    "cluster_settings",
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
    "builds": Answer("not supported yet", "name an image, dependencies or a command instead"),
    "cluster_settings": Answer("has no meaning here: only a cluster has it", "leave it out"),
    "data_collector": Answer("not supported yet", "leave it out"),
    "egress_control": Answer("'disabled' is not supported yet", "leave it enabled"),
    "endpoint_kinds": Answer("{asked}s are not supported yet", "use {supported}"),
    "gpu_count": Answer("{asked}, and the target has {supported}", "ask for fewer"),
    "images": Answer("not supported yet", "name dependencies or a command instead"),
    "instance_types": Answer("not supported yet", "name resources instead"),
    "kinds": Answer("{asked} is not supported yet", "leave it out"),
    "liveness_probes": Answer("not supported yet", "leave it out"),
    "model_types": Answer("'{asked}' is not supported yet", "use {supported}"),
    "private_endpoints": Answer("'disabled' is not supported yet", "leave it enabled"),
    "queue_wait": Answer("not supported yet", "set request_timeout_ms alone"),
    "resource_limits": Answer("not supported yet", "leave it out"),
    "success_thresholds": Answer("only 1 is supported yet", "leave it at 1"),
}


_ASSETS = (Kind.MODEL, Kind.ENVIRONMENT)
BASIC = frozenset({Kind.WORKSPACE, *_ASSETS, Kind.ENDPOINT, Kind.DEPLOYMENT, Kind.TRAFFIC})
"""Kinds that every target has."""
WITH_RULES = BASIC | {Kind.AUTOSCALE_RULE}


def _any_address(_host: str, _port: int) -> str:
    return ""


def _no_gpus(_base_image: str | None) -> Ledger:
    return Ledger()


def _any_image(_image: str) -> str:
    return ""


def _nothing(*_asked: object) -> tuple[()]:
    return ()


def _builds_nothing(_resource: DesiredResource, _workspace: WorkspaceSpec | None) -> bool:
    return True


class TargetCapabilities(Frozen):
    """What a target can do; anything else is refused when planning."""

    name: str
    endpoint_kinds: frozenset[str] = frozenset({"online"})
    auth_modes: frozenset[str] = frozenset({"key"})
    kinds: frozenset[Kind] = BASIC
    images: bool = False
    base_images: bool = False
    """Whether the workspace names the image that others are made of."""
    builds: bool = False
    """Whether images are built of a folder and its Dockerfile."""
    cluster_settings: bool = False
    """Whether it is a cluster, with storage classes and services of its own."""
    egress_control: bool = False
    deployment_faults: Callable[
        [DeploymentSpec, WorkspaceSpec | None, EnvironmentSpec | None], Iterable[Fault]
    ] = _nothing
    """Says what else of a deployment it cannot do; of its workspace and its environment it is told
    what is known."""
    rule_faults: Callable[[AutoscaleRuleSpec, DeploymentSpec | None], Iterable[Fault]] = _nothing
    """Says why it cannot keep a rule of a deployment, of which it is told what is known."""
    resource_limits: bool = False
    """Whether cpu and memory amounts, the size of shared memory and ulimits are enforced."""
    workspace_faults: Callable[[WorkspaceSpec], Iterable[Fault]] = _nothing
    """Says what else of a workspace it cannot do, or lacks."""
    environment_faults: Callable[[DesiredResource, WorkspaceSpec | None], Iterable[Fault]] = (
        _nothing
    )
    """Says what else of an environment it cannot do, or lacks."""
    notes: Callable[[DesiredResource, WorkspaceSpec | None], Iterable[str]] = _nothing
    """Says what a person should know before a workspace or an environment is made or changed."""
    amount_faults: Callable[[Resources], Iterable[Fault]] = _nothing
    """Says which amounts cannot be enforced, with the fields that ask for them."""
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
    instance_types: bool = False
    """Whether an instance gets what its type says."""
    model_types: frozenset[str] = frozenset({"custom_model"})
    gpus: Callable[[str | None], Ledger] = _no_gpus
    """Says which GPUs there are and who holds them; asked only when a deployment wants some. It may
    have to run a container, on the base image that is named, or on its own."""
    gpu_fault: Callable[[GpuRequest], tuple[str, str] | None] | None = None
    """Says why an instance could never have the GPUs that it asks for, and what to do; None if it
    could. In place of `gpus`, where those that are held now may be free later."""
    surge_faults: SurgeFaults | None = None
    """None where old instances share their GPUs with new ones."""
    parallel: int = 0  # servers that start at once when nobody says it; 0: by this machine's cores
    process_bytes: int = 6 * 2**20
    """Most bytes of arguments and variables together that a new process can be given; Linux never
    accepts more than this, or than a quarter of the stack's limit if that is less."""
    address_fault: Callable[[str, int], str] = _any_address
    """Says why a router cannot listen on an address and a port; empty when it can."""
    image_fault: Callable[[str], str] = _any_image
    """Says why an image cannot be used, as far as the target knows; empty when it can."""
    has_image_of: Callable[[DesiredResource, WorkspaceSpec | None], bool] = _builds_nothing
    """Says whether the target has what a workspace or an environment runs, so that the image which
    that is built of is needed no more; of the second it is told the workspace, if that is known."""
    reasons: Mapping[Capability, Answer] = {}
    """The target's own reasons for what it cannot do."""

    def fault(
        self, path: str, capability: Capability, asked: str = "", supported: str = ""
    ) -> Fault:
        """Return the fault for a field that asks for something the target cannot do."""
        has = getattr(self, capability, None)
        supported = supported or (" or ".join(sorted(has)) if isinstance(has, frozenset) else "")
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
    for field in ("base_image", "runtime_image", "registry"):
        if getattr(spec, field) and not can.base_images:
            yield can.fault(field, "base_images", getattr(spec, field))
    if spec.cluster != ClusterSettings() and not can.cluster_settings:
        yield can.fault("cluster", "cluster_settings")
    fault = can.address_fault(spec.bind_address, spec.router_port)
    if fault:
        yield Fault("", fault, "")  # the sentence says which of the two fields is at fault
    yield from can.workspace_faults(spec)


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
        yield from can.rule_faults(spec, known.get(of))
    elif isinstance(spec, EnvironmentSpec):
        yield from can.environment_faults(resource, workspace)


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
    if spec.public_network_access == "disabled" and not can.private_endpoints:
        yield can.fault("public_network_access", "private_endpoints")
    if spec.identity is not None and Kind.IDENTITY not in can.kinds:
        yield can.fault("identity", "kinds", Kind.IDENTITY.value)


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
        ("scheduling", "cluster_settings"): spec.scheduling != Scheduling(),
    }
    for (path, capability), is_asked in asked.items():
        if is_asked and not getattr(can, capability):
            yield can.fault(path, capability)
    if spec.instance_type and not can.instance_types:
        yield can.fault("instance_type", "instance_types", spec.instance_type)
    else:
        yield from _amount_faults(spec, can)
    yield from _different_gpus(spec)
    yield from _variable_faults(spec, can)


def _amount_faults(spec: Any, can: TargetCapabilities) -> Iterator[Fault]:
    if can.resource_limits:
        yield from can.amount_faults(spec.resources)
        return
    resources: Resources = spec.resources
    asked = {
        f"{field}.{name}": name
        for field, amounts in (("requests", resources.requests), ("limits", resources.limits))
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
    (Kind.ENDPOINT, "online"): _endpoint_faults,
    (Kind.DEPLOYMENT, "online"): _deployment_faults,
}
