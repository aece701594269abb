"""What a target can do, and how it says that it cannot. Pure.

A target may give its own reasons (`reasons`); the default one is just "not supported yet". What is
refused for it, `refusals.py` decides.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.gpus import Ledger, SurgeFaults
from inference_provider.observed import Frozen, Kind
from inference_provider.spec import DeploymentSpec, EndpointSpec, EnvironmentSpec, WorkspaceSpec
from inference_provider.spec.autoscale_rule import AutoscaleRuleSpec
from inference_provider.spec.gpus import GpuRequest
from inference_provider.spec.resources import Resources
from inference_provider.spec.traffic import TrafficSpec

OWN_BYTES = 65_536
"""Bytes reserved for the command line and the variables that we set or pass on (PATH, HOME, …)."""

Capability = Literal[
    "alerts",
    "app_insights",
    "auth_modes",
    "base_images",
    "builds",
    "cluster_settings",
    "engine_socket",
    "data_collector",
    "egress_control",
    "endpoint_kinds",
    "gpu_count",
    "images",
    "instance_types",
    "kinds",
    "liveness_probes",
    "logs",
    "metrics",
    "model_types",
    "outbound_rules",
    "queue_wait",
    "resource_limits",
    "rollouts",
    "service",
    "several_nodes",
    "source_ranges",
    "success_thresholds",
    "tls",
    "traces",
]
"""Name of a field of TargetCapabilities."""


class Answer(NamedTuple):
    """Why a target cannot do something, and what to do instead.

    In both, `{asked}` stands for what was asked for and `{supported}` for what the target has.
    """

    reason: str
    remedy: str


_PLAIN: Mapping[Capability, Answer] = {
    "alerts": Answer("nothing here watches alerts yet", "leave it out"),
    "app_insights": Answer("not supported yet", "leave it false"),
    "auth_modes": Answer("'{asked}' is not supported yet", "use {supported}"),
    "base_images": Answer("not supported yet", "leave it out"),
    "builds": Answer("not supported yet", "name an image, dependencies or a command instead"),
    "cluster_settings": Answer("has no meaning here: only a cluster has it", "leave it out"),
    "data_collector": Answer("not supported yet", "leave it out"),
    "engine_socket": Answer("has no meaning here: only a Docker host has it", "leave it out"),
    "egress_control": Answer("'disabled' is not supported yet", "leave it enabled"),
    "endpoint_kinds": Answer("{asked}s are not supported yet", "use {supported}"),
    "gpu_count": Answer("{asked}, and the target has {supported}", "ask for fewer"),
    "images": Answer("not supported yet", "name dependencies or a command instead"),
    "instance_types": Answer("not supported yet", "name resources instead"),
    "kinds": Answer("{asked} is not supported yet", "leave it out"),
    "liveness_probes": Answer("not supported yet", "leave it out"),
    "logs": Answer("not supported yet", "leave it out"),
    "traces": Answer("not supported yet", "leave it out"),
    "metrics": Answer("not supported yet", "leave it out"),
    "model_types": Answer("'{asked}' is not supported yet", "use {supported}"),
    "queue_wait": Answer("not supported yet", "set request_timeout_ms alone"),
    "resource_limits": Answer("not supported yet", "leave it out"),
    "rollouts": Answer("nothing here goes on with a rollout yet", "leave it out"),
    "service": Answer("not supported yet", "leave it out"),
    "several_nodes": Answer("only a cluster has several nodes", "leave it out"),
    "outbound_rules": Answer("not supported yet", "leave it out"),
    "source_ranges": Answer("not supported yet", "leave it out"),
    "success_thresholds": Answer("only 1 is supported yet", "leave it at 1"),
    "tls": Answer("not supported yet", "leave it out"),
}


_ASSETS = (Kind.MODEL, Kind.ENVIRONMENT)
EVERYWHERE = frozenset(
    {
        Kind.WORKSPACE,
        Kind.CONNECTION,
        *_ASSETS,
        Kind.IDENTITY,
        Kind.ENDPOINT,
        Kind.ROLE_ASSIGNMENT,
        Kind.DEPLOYMENT,
        Kind.TRAFFIC,
    }
)
WITH_RULES = EVERYWHERE | {Kind.AUTOSCALE_RULE}


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


RuleFaults = Callable[
    [AutoscaleRuleSpec, DeploymentSpec | None, WorkspaceSpec | None], Iterable[Fault]
]


class TargetCapabilities(Frozen):
    """What a target can do; anything else is refused when planning."""

    name: str
    endpoint_kinds: frozenset[str] = frozenset({"online"})
    auth_modes: frozenset[str] = frozenset({"key", "aml_token", "aad_token"})
    kinds: frozenset[Kind] = EVERYWHERE
    images: bool = False
    base_images: bool = False
    """Whether the workspace names the image that others are made of."""
    builds: bool = False
    """Whether images are built of a folder and its Dockerfile."""
    cluster_settings: bool = False
    """Whether it is a cluster, with storage classes and services of its own."""
    engine_socket: bool = False
    """Whether a workspace's service is a container that needs its Engine's socket."""
    egress_control: bool = False
    outbound_rules: bool = False
    """Whether instances without a way out reach what a workspace lists."""
    deployment_faults: Callable[
        [DeploymentSpec, WorkspaceSpec | None, EnvironmentSpec | None], Iterable[Fault]
    ] = _nothing
    """Says what else of a deployment it cannot do; of its workspace and its environment it is told
    what is known."""
    endpoint_faults: Callable[[EndpointSpec, WorkspaceSpec | None], Iterable[Fault]] = _nothing
    """Says what else of an online endpoint it cannot do; of its workspace it is told what is
    known."""
    rule_faults: RuleFaults = _nothing
    """Says why it cannot keep a rule of a deployment; of that and of the workspace it is told what
    is known."""
    traffic_faults: Callable[[TrafficSpec, WorkspaceSpec | None], Iterable[Fault]] = _nothing
    """Says what else of a split it cannot do; of its workspace it is told what is known."""
    amounts_asked: bool = False
    """Whether an instance may ask for cpu and memory though nothing enforces amounts: autoscale
    rules count shares of what it asks for."""
    resource_limits: bool = False
    """Whether cpu and memory amounts, the size of shared memory and ulimits are enforced."""
    workspace_faults: Callable[[WorkspaceSpec], Iterable[Fault]] = _nothing
    """Says what else of a workspace it cannot do, or lacks."""
    taken_faults: Callable[[DesiredResource], Iterable[Fault]] = _nothing
    """Says what of a workspace another one has that is not of its stack."""
    environment_faults: Callable[[DesiredResource, WorkspaceSpec | None], Iterable[Fault]] = (
        _nothing
    )
    """Says what else of an environment it cannot do, or lacks."""
    notes: Callable[[DesiredResource, WorkspaceSpec | None], Iterable[str]] = _nothing
    """Says what a person should know before a workspace or an environment is made or changed."""
    deploys_as: Callable[[str], str] | None = None
    """Says as what of the target's own an identity deploys to a workspace by itself, if a role
    assignment lets it; None where none does."""
    amount_faults: Callable[[Resources], Iterable[Fault]] = _nothing
    """Says which amounts cannot be enforced, with the fields that ask for them."""
    liveness_probes: bool = False
    """Whether an instance that hangs is restarted; one that ends always is."""
    several_nodes: bool = False
    """Whether one instance may span several nodes."""
    success_thresholds: bool = False
    """Whether readiness can require several successful answers in a row."""
    queue_wait: bool = False
    """Whether the wait in a server's queue has its own limit."""
    rollouts: bool = False
    """Whether something watches a split on its way, and moves it."""
    source_ranges: bool = False
    """Whether a router sees the address of who calls it, and so can refuse some."""
    traces: bool = False
    """Whether routers send spans."""
    logs: bool = False
    """Whether logs are sent somewhere."""
    alerts: bool = False
    """Whether something watches the alerts of endpoints."""
    metrics: bool = False
    """Whether what is measured is served, or sent somewhere."""
    service: bool = False
    """Whether the workspace service listens, and gives tokens to callers."""
    tls: bool = False
    """Whether the router itself speaks TLS."""
    data_collector: bool = False
    app_insights: bool = False
    instance_types: bool = False
    """Whether an instance gets what its type says."""
    model_types: frozenset[str] = frozenset({"custom_model", "mlflow_model"})
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
    cutting: frozenset[str] = frozenset()
    """Fields of a workspace that its router's listener is made of: a change of one gives requests
    that are under way 10 s to end."""
    reasons: Mapping[Capability, Answer] = {}
    """The target's own reasons for what it cannot do."""

    def cut_note(self, changed: Iterable[str]) -> str:
        """Say that changes of a workspace cut long requests, by their paths; empty if none does."""
        fields = sorted({path.partition(".")[0] for path in changed} & self.cutting)
        if not fields:
            return ""
        return (
            f"a change of {' and '.join(fields)} ends the connections that are open: a request that"
            " takes more than 10 s from then on is cut, and so is a websocket"
        )

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
