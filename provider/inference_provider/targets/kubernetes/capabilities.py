"""What a cluster can do, and why it cannot do the rest."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from inference_provider.capabilities import (
    WITH_RULES,
    RuleFaults,
    TargetCapabilities,
)
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.gpus import SurgeFaults
from inference_provider.serving.buckets import INSIDE, KNOWN, READ_ONLY, protocol_of
from inference_provider.serving.image import is_brought
from inference_provider.serving.server import requirements
from inference_provider.spec import (
    DeploymentSpec,
    EndpointSpec,
    EnvironmentSpec,
    WorkspaceSpec,
)
from inference_provider.spec.cluster import ClusterSettings
from inference_provider.spec.gpus import GpuRequest
from inference_provider.spec.identity_provider import is_this_machine
from inference_provider.spec.resources import Resources
from inference_provider.spec.service import ServiceSettings
from inference_provider.spec.target import NAMESPACE
from inference_provider.targets.answers import ALIKE, CUTTING, NO_CONSOLE
from inference_provider.targets.kubernetes import callers, names
from inference_provider.targets.kubernetes.alert_amounts import alert_faults
from inference_provider.targets.kubernetes.inventory import NodeGpus, never_fits
from inference_provider.targets.transport import tls_faults

PARALLEL = 32
"""Deployments that start at once: this machine only waits. As many connections may be open."""
_NOT_ENFORCED = (
    "'disabled' needs a network plugin that enforces NetworkPolicies; a cluster does not tell",
    "run `inferctl doctor`, and set the workspace's `cluster: {network_policies: enforced}`; or"
    " `allow_unenforced_egress: true`, where something else closes it",
)
_FIRST_PORT = 1024
_LOOPBACK = ServiceSettings(port=1).bind_address
_MAKE_IMAGE = (
    "set registry, and it is built and pushed there; or make and push it with `inferctl image build"
    " --push registry.example.org/team/router:1`, from a stack on target docker, and write what"
    " that prints; or load it: `kind load docker-image`"
)
_NAME_ONE = (
    "name a Service of the cluster, such as http://collector.observability.svc:4318, or an address"
    " that pods reach"
)


class PlansImages(Protocol):
    """What a plan says of the images of a workspace's router and of environments."""

    def workspace_faults(self, spec: WorkspaceSpec) -> Iterable[Fault]: ...

    def environment_faults(
        self, resource: DesiredResource, space: WorkspaceSpec | None
    ) -> Iterable[Fault]: ...

    def notes(self, resource: DesiredResource, space: WorkspaceSpec | None) -> Iterable[str]: ...


def _nothing(*_asked: object) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class Asked:
    """What a cluster and its client are asked about what a stack declares."""

    strays: Callable[[str], tuple[str, ...]] = _nothing
    """Says which contexts a workspace that is not there could be meant for, the one that is taken
    among them, where the place names none."""
    taken_by: Callable[[str], str] = lambda _workspace: ""
    """Says which other workspace has the namespace of one that is not there; empty for none."""
    namespace_of_others: Callable[[str], str] = lambda _workspace: ""
    """Says the namespace of a workspace where somebody else made that."""
    namespace: Callable[[str], str] = lambda workspace: workspace
    """Says in which namespace a workspace is, or would be."""
    missing: Callable[[DeploymentSpec, WorkspaceSpec | None], Iterable[Fault]] = _nothing
    """Says which objects of the cluster a deployment names that are not there."""
    unserved: Callable[[WorkspaceSpec], Iterable[Fault]] = _nothing
    """Says what leads to a workspace's router that the cluster does not have."""
    named_faults: Callable[[WorkspaceSpec], Iterable[Fault]] = _nothing
    """Says which Secrets and accounts that a workspace's own pods need are not there."""
    images: PlansImages | None = None
    """Says what becomes of images."""
    surge_faults: SurgeFaults | None = None
    """Says what has no room for new instances beside the old."""
    devices: Callable[[GpuRequest, bool], list[NodeGpus] | None] = lambda _asked, _held: None
    """Says what a request for devices of a class could have, and, if told to, how much is held."""
    rule_faults: RuleFaults = _nothing
    """Says why an autoscale rule cannot be kept."""
    groups: Callable[[], Collection[str]] = _nothing
    """Says which groups the API has."""
    recorded: Callable[[str], WorkspaceSpec] = lambda workspace: WorkspaceSpec(name=workspace)
    """Says what is recorded of a workspace."""
    ranged: Callable[[str], Iterable[str]] = _nothing
    """Says which endpoints that are recorded of a workspace have ranges of callers."""


_UNASKED = Asked()


def kubernetes_capabilities(
    gpus: Callable[[], list[NodeGpus] | None],
    in_use: Callable[[], list[NodeGpus] | None],
    more: Asked = _UNASKED,
) -> TargetCapabilities:
    """Return what a cluster can do.

    Args:
        gpus: Says which GPUs its nodes have; None where this user may not see nodes.
        in_use: Says also how many of them are held, which takes longer.
        more: What else it is asked.
    """

    def workspace_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
        yield from _workspace_faults(spec)
        yield from _namespace_faults(spec, more.namespace(spec.name))
        yield from more.unserved(spec)
        yield from more.named_faults(spec)
        yield from callers.workspace_faults(spec, more.ranged)
        if more.images:
            yield from more.images.workspace_faults(spec)
        if contexts := more.strays(spec.name):
            yield _unnamed(spec.name, contexts)
            return
        if other := more.taken_by(spec.name):
            reason = f"namespace '{more.namespace(spec.name)}' has workspace '{other}'"
            yield Fault("target", reason, "name another namespace")
        bounds = [name for name in ("quota", "limits") if _bounds(spec, name)]
        if bounds and (namespace := more.namespace_of_others(spec.name)):
            reason = f"namespace '{namespace}' was there before, and is bounded by who made it"
            yield from (Fault(f"cluster.{name}", reason, "leave it out") for name in bounds)

    def fault(asked: GpuRequest) -> tuple[str, str] | None:
        dynamic = bool(asked.device_class)
        there = more.devices(asked, False) if dynamic else gpus()
        if there is None or not never_fits(asked, there):
            return None
        held = more.devices(asked, True) if dynamic else in_use()
        return never_fits(asked, held or there)

    def deployment_faults(
        spec: DeploymentSpec, workspace: WorkspaceSpec | None, environment: EnvironmentSpec | None
    ) -> Iterator[Fault]:
        if closed := closed_fault(spec, workspace, environment):
            yield closed
        yield from more.missing(spec, workspace)

    def endpoint_faults(spec: EndpointSpec, workspace: WorkspaceSpec | None) -> Iterator[Fault]:
        yield from alert_faults(spec, more.groups)
        if spec.allowed_source_ranges:
            yield from callers.endpoint_faults(spec, workspace or more.recorded(spec.workspace))

    def notes(resource: DesiredResource, workspace: WorkspaceSpec | None) -> Iterator[str]:
        if isinstance(resource.spec, WorkspaceSpec):
            yield from _about_storage(resource.spec)
        if more.images:
            yield from more.images.notes(resource, workspace)

    return TargetCapabilities(
        name="kubernetes",
        kinds=WITH_RULES,
        rule_faults=more.rule_faults,
        builds=True,
        environment_faults=more.images.environment_faults if more.images else _nothing,
        notes=notes,
        images=True,
        base_images=True,
        cluster_settings=True,
        parallel=PARALLEL,
        egress_control=True,
        deploys_as=lambda identity: f"ServiceAccount {names.identity(identity)}",
        outbound_rules=True,
        deployment_faults=deployment_faults,
        endpoint_faults=endpoint_faults,
        resource_limits=True,
        several_nodes=True,
        amount_faults=_amount_faults,
        workspace_faults=workspace_faults,
        instance_types=True,
        gpu_fault=fault,
        surge_faults=more.surge_faults,
        liveness_probes=True,
        success_thresholds=True,
        tls=True,
        source_ranges=True,
        metrics=True,
        service=True,
        rollouts=True,
        alerts=True,
        traces=True,
        logs=True,
        cutting=CUTTING,
        reasons=ALIKE,
    )


def _workspace_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    if spec.runtime_image is None and spec.registry is None:
        yield Fault("runtime_image", "a cluster needs the image of the router's pods", _MAKE_IMAGE)
    if spec.egress == "disabled" and not _may_be_closed(spec):
        yield Fault("egress", *_NOT_ENFORCED)
    for account in spec.cluster.service_accounts:
        if owner := names.owner_of_account(account):
            field, reason = f"cluster.service_accounts.{account}", f"the name is {owner}"
            yield Fault(field, reason, "use another, or declare an Identity with its annotations")
    yield from _storage_faults(spec)
    yield from _transport_faults(spec)
    yield from _metrics_faults(spec)
    yield from _collector_faults(spec)
    if spec.bind_address != WorkspaceSpec().bind_address:
        reason = "has no meaning on a cluster: the router is a Service there"
        yield Fault("bind_address", reason, "leave it out")
    if spec.service and spec.service.bind_address != _LOOPBACK:
        reason = "has no meaning on a cluster: what gives tokens is a Service there"
        yield Fault("service.bind_address", reason, "leave it out")


def _may_be_closed(spec: WorkspaceSpec) -> bool:
    return spec.cluster.network_policies == "enforced" or spec.allow_unenforced_egress


def _transport_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    """Refuse TLS that ends twice, and keys that leave the cluster unencrypted."""
    router = spec.cluster.router
    exposure = "ingress" if router.ingress else "gateway" if router.gateway else ""
    if spec.tls:
        yield from tls_faults(spec)
        if exposure:
            reason = f"the {exposure} in front of the router ends TLS, and speaks HTTP to its pods"
            yield Fault("tls", reason, "leave it out, and give the certificate to that")
    elif router.service != "ClusterIP" and not spec.allow_plain_http:
        reason = f"keys and tokens would leave the cluster unencrypted by a {router.service}"
        remedy = "add tls: {generate: true, names: [...]}, or set allow_plain_http: true"
        yield Fault("cluster.router.service", reason, remedy)


def _metrics_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    if spec.metrics is None:
        return
    port, own = spec.metrics.port, (names.ROUTER_PORT, names.METRICS_PORT, names.SYNC_PORT)
    if spec.metrics.otlp_endpoint:
        remedy = "set metrics.port, and have a collector of the cluster ask the router's pods"
        yield Fault("metrics.otlp_endpoint", "nothing sends metrics from a cluster yet", remedy)
    if port in {*own, names.EGRESS_PORT}:
        yield Fault("metrics.port", f"{port} is a port of the router's pods already", "use another")
    elif port and port < _FIRST_PORT:
        reason = f"the router's pods are not root, and open no port below {_FIRST_PORT}"
        yield Fault("metrics.port", reason, "use another, such as 9464")


def _collector_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    """Refuse a collector that only the pod itself could be."""
    sent = {
        "traces": (spec.traces and spec.traces.otlp_endpoint, "the router's pod"),
        "logs": (spec.logs and spec.logs.otlp_endpoint, "the pod that sends logs"),
    }
    for field, (url, pod) in sent.items():
        host = urlsplit(url).hostname if url else ""
        if host and is_this_machine(host):
            reason = f"{host} is {pod} itself, where no collector listens"
            yield Fault(f"{field}.otlp_endpoint", reason, _NAME_ONE)
    if spec.logs and spec.logs.days_of("console"):
        reason = "the kubelet bounds what a container prints by size alone, not by age"
        yield Fault("logs.retention_of", reason, NO_CONSOLE)


def _storage_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    asked, at = spec.cluster.storage, "cluster.storage"
    if asked.storage_class and asked.size is None:
        reason = "a class without a size makes no claim"
        yield Fault(f"{at}.storage_class", reason, "add size, for example 20Gi")
    if asked.url is None:
        for name in ("secret", "service_account", "connection"):
            if getattr(asked, name):
                yield Fault(f"{at}.{name}", "only a bucket needs it", "add url, or leave it out")
        return
    if asked.secret and asked.connection:
        reason = "a secret and a connection both have the bucket's credentials"
        yield Fault(f"{at}.connection", reason, "leave one of them out")
    if asked.size is not None:
        yield Fault(f"{at}.url", "content lies on a claim or in a bucket", "leave size out")
    protocol = protocol_of(asked.url)
    if protocol in INSIDE:
        reason = f"what {protocol}:// names is in the pod, and gone with it"
        yield Fault(f"{at}.url", reason, "name a bucket, for example s3://models/demo")
    elif protocol in READ_ONLY:
        yield Fault(f"{at}.url", f"nothing can be written by {protocol}://", "name a bucket")
    elif protocol not in KNOWN and spec.runtime_image is None:
        reason = f"which package of fsspec reaches {protocol}:// is not known here"
        remedy = "name a runtime_image that has it, by `inferctl image build --with PACKAGE`"
        yield Fault(f"{at}.url", reason, remedy)


def _namespace_faults(spec: WorkspaceSpec, namespace: str) -> Iterator[Fault]:
    """Refuse a namespace that no cluster may have, or that is Kubernetes' own."""
    field = "name" if namespace == spec.name else "target"
    if re.fullmatch(NAMESPACE, namespace) is None:
        reason = f"'{namespace}' would be a namespace, and those have small letters"
        remedy = f"write '{namespace.lower()}', or {{kind: kubernetes, namespace: …}} as its target"
        yield Fault(field, reason, remedy)
    if namespace.startswith("kube-"):
        reason = f"namespace '{namespace}' has a name that Kubernetes keeps for itself"
        yield Fault(field, reason, "use another name")


def _bounds(spec: WorkspaceSpec, name: str) -> bool:
    return bool(getattr(spec.cluster, name) != getattr(ClusterSettings(), name))


def _unnamed(workspace: str, contexts: tuple[str, ...]) -> Fault:
    """Refuse to make a workspace wherever the current context leads: it may be there elsewhere."""
    reason = (
        f"no context is named, and workspace '{workspace}' is not where the current one leads,"
        " which any command may change"
    )
    remedy = f"name it, {{kind: kubernetes, context: …}}; the kubeconfig has {', '.join(contexts)}"
    return Fault("target", reason, remedy)


def closed_fault(
    deployment: DeploymentSpec,
    workspace: WorkspaceSpec | None,
    environment: EnvironmentSpec | None,
    *,
    installs: bool | None = None,
) -> Fault | None:
    """Say why a deployment cannot be without a way out; None when it may, or is not to be.

    Args:
        deployment: What is asked for.
        workspace: Its workspace; None where it is not known.
        environment: Its environment; None where it is not known.
        installs: Whether its pods install packages; None where that is to be decided.
    """
    alone = deployment.egress_public_network_access == "disabled"
    if not alone and (workspace is None or workspace.egress == "enabled"):
        return None
    if alone and workspace is not None and not _may_be_closed(workspace):
        return Fault("egress_public_network_access", *_NOT_ENFORCED)
    if deployment.nodes_per_instance > 1:
        reason = "workers ask a name server for their leader, and without a way out there is none"
        return Fault("nodes_per_instance", reason, "leave egress enabled")
    has_registry = workspace is not None and workspace.registry is not None
    if installs is None:
        installs = environment is not None and not is_brought(environment) and not has_registry
    if installs and environment and requirements(environment):
        reason = "its packages are installed in the pod, which has no way out to an index"
        remedy = "name an image that has them, or set the workspace's registry: one is built then"
        if has_registry:
            remedy = "apply another version of it: an image that has them is built then"
        return Fault("environment", reason, remedy)
    return None


def _about_storage(spec: WorkspaceSpec) -> Iterator[str]:
    asked = spec.cluster.storage
    if asked.url is not None:
        ways = ("secret", "connection", "service_account")
        found = ((way, getattr(asked, way)) for way in ways)
        by = " and ".join(f"{way} {value}" for way, value in found if value)
        yield f"models and code lie in {asked.url}" + (f", reached by {by}" if by else "")
    elif asked.size is None:
        yield (
            "models and code lie on the disk of a node, and `up` copies them again after their pod"
            " has moved; `cluster: {storage: {size: 20Gi}}` keeps them on a claim"
        )


def _amount_faults(resources: Resources) -> Iterator[Fault]:
    if resources.gpu_devices:
        reason = "Kubernetes hands out GPUs by number, not by id"
        yield Fault("resources.gpu_devices", reason, "ask for limits: {gpu: 1} and a gpu_product")
    for name in resources.ulimits:
        reason = "Kubernetes sets no ulimits: those of the node's container runtime hold"
        yield Fault(f"resources.ulimits.{name}", reason, "leave it out")
