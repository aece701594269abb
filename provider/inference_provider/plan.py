"""desired + observed -> ordered actions. Pure; refuses by capability what the target cannot do."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from inference_provider.compare import Change, compare, heaviest, undeclared
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.observed import (
    RANK,
    Frozen,
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    ResourceId,
)
from inference_provider.secret_text import hidden
from inference_provider.spec import ChangeClass
from inference_provider.spec.deployment import Probe, RequestSettings
from inference_provider.spec.quota import Size, quota_fault, recorded_size, size_of


class ActionKind(StrEnum):
    """What is done to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    HAND_OVER = "hand over"
    """A workspace that its owner leaves and another stack lives in."""
    KEEP = "keep"


class Action(Frozen):
    """One operation on one resource."""

    kind: ActionKind
    id: ResourceId
    desired: DesiredResource | None = None
    """None for a deletion."""
    changes: tuple[Change, ...] = ()
    owner: str = ""
    """Owner label of what is deleted or handed over."""
    heir: str = ""
    """Stack that owns it after it was handed over."""


class Plan(Frozen):
    """Actions in the order in which they are done."""

    actions: tuple[Action, ...]

    @property
    def pending(self) -> tuple[Action, ...]:
        """All that would change something."""
        return tuple(action for action in self.actions if action.kind != ActionKind.KEEP)


def _any_address(_host: str, _port: int) -> str:
    return ""


class TargetCapabilities(Frozen):
    """What a target can do; the rest is refused when planning."""

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
    egress_control: bool = False
    resource_limits: bool = False
    """Whether cpu and memory amounts are enforced."""
    liveness_probes: bool = False
    """Whether an instance that does not answer is restarted; one that ends always is."""
    queue_wait: bool = False
    """Whether the wait in a server's queue is bounded on its own."""
    private_endpoints: bool = False
    """Whether one endpoint can be closed while the workspace is open."""
    data_collector: bool = False
    app_insights: bool = False
    instance_types: frozenset[str] = frozenset()
    model_types: frozenset[str] = frozenset({"custom_model"})
    gpu_count: int = 0
    """GPUs there are, handed out or not."""
    process_bytes: int = 6 * 2**20
    """Most bytes of arguments and variables together that a new process can be given; Linux never
    takes more than this, and a quarter of the stack's limit where that is less."""
    address_fault: Callable[[str, int], str] = _any_address
    """Says why a router cannot listen on an address and a port; empty when it can."""


OWN_BYTES = 65_536
"""Kept free for the command line and for the variables that we set or hand on (PATH, HOME, …)."""
_PER_VARIABLE_BYTES = 9
"""A variable's pointer, and the null byte at its end."""


class Refusal(NamedTuple):
    """One thing that a target cannot do."""

    place: str
    """`Deployment 'lab/iris/blue' on target 'local'`."""
    fault: Fault
    """Its path is the field that asks for it; empty where the whole resource does."""

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}"


def refusals(
    desired: Iterable[DesiredResource], capabilities: TargetCapabilities
) -> tuple[Refusal, ...]:
    """Return each thing the target cannot do; empty when it can do all."""
    wanted = tuple(desired)
    found = tuple(
        Refusal(
            f"{resource.id} on target '{capabilities.name}'",
            Fault(
                path, hidden(reason, resource.placeholders), hidden(remedy, resource.placeholders)
            ),
        )
        for resource in wanted
        for path, reason, remedy in _refusals(resource, capabilities)
    )
    gpus = [size_of(r.spec).gpus for r in wanted if r.id.kind == Kind.DEPLOYMENT]
    if max(gpus, default=0) <= capabilities.gpu_count < sum(gpus):
        reason = f"{sum(gpus)} together, and the machine has {capabilities.gpu_count}"
        fault = Fault("resources.limits.gpu", reason, "ask for fewer")
        found += (Refusal(f"all deployments on target '{capabilities.name}'", fault),)
    return found


_Faults = Iterator[tuple[str, str, str]]
"""Field, what is wrong with it, what to do."""


def _refusals(resource: DesiredResource, can: TargetCapabilities) -> _Faults:
    kind = resource.id.kind
    if kind not in can.kinds:
        yield "", f"{kind.value} cannot be enforced there yet", "leave it out"
    elif kind in _REFUSALS:
        yield from _REFUSALS[kind](resource.spec, can)


def _model_refusals(spec: Any, can: TargetCapabilities) -> _Faults:
    if spec.type not in can.model_types:
        remedy = "use custom_model with a scoring script"
        yield "type", f"no server for type '{spec.type}' yet", remedy


def _environment_refusals(spec: Any, can: TargetCapabilities) -> _Faults:
    if spec.image and not can.images:
        remedy = "name dependencies or a command"
        yield "image", "there are no containers to run it in", remedy


def _workspace_refusals(spec: Any, can: TargetCapabilities) -> _Faults:
    if spec.target != can.name:
        yield "target", f"'{spec.target}' is not supported yet", "use 'local'"
    if spec.egress == "disabled" and not can.egress_control:
        yield "egress", "the instances' way out cannot be closed", "leave it enabled"
    fault = can.address_fault(spec.bind_address, spec.router_port)
    if fault:
        yield "", fault, ""  # it names the field of the two


def _endpoint_refusals(spec: Any, can: TargetCapabilities) -> _Faults:
    if spec.kind not in can.endpoint_kinds:
        yield "kind", f"{spec.kind} endpoints cannot be served yet", "use online"
    if spec.auth_mode not in can.auth_modes:
        yield "auth_mode", f"'{spec.auth_mode}' cannot be checked yet", "use key"
    if spec.public_network_access == "disabled" and not can.private_endpoints:
        remedy = "bind the workspace to 127.0.0.1"
        yield "public_network_access", "one endpoint cannot be closed alone", remedy
    if spec.identity is not None and Kind.IDENTITY not in can.kinds:
        yield "identity", "identities cannot be enforced yet", "leave it out"


def _deployment_refusals(spec: Any, can: TargetCapabilities) -> _Faults:
    if spec.egress_public_network_access == "disabled" and not can.egress_control:
        reason = "an instance's way out cannot be closed"
        yield "egress_public_network_access", reason, "leave it enabled"
    if spec.app_insights_enabled and not can.app_insights:
        yield "app_insights_enabled", "there is no Application Insights", "leave it false"
    if spec.liveness_probe != Probe() and not can.liveness_probes:
        remedy = "leave it out (readiness_probe is kept)"
        yield "liveness_probe", "a hung instance is not restarted", remedy
    if spec.readiness_probe.success_threshold != 1:
        reason = "one answer makes an instance ready"
        yield "readiness_probe.success_threshold", reason, "leave it at 1"
    waits = spec.request_settings.max_queue_wait_ms != RequestSettings().max_queue_wait_ms
    if waits and not can.queue_wait:
        reason = "the wait in the queue is part of request_timeout_ms"
        yield "request_settings.max_queue_wait_ms", reason, "set that alone"
    collects = any(c.enabled for c in spec.data_collector.collections.values())
    if collects and not can.data_collector:
        yield "data_collector", "data cannot be collected yet", "leave it out"
    if spec.instance_type and spec.instance_type not in can.instance_types:
        reason = f"no '{spec.instance_type}' in the target's catalogue"
        yield "instance_type", reason, "leave it out"
    yield from _amount_refusals(spec, can)


def _amount_refusals(spec: Any, can: TargetCapabilities) -> _Faults:
    if not can.resource_limits:
        for field, amounts in spec.resources:
            for name in ("cpu", "memory"):
                if getattr(amounts, name):
                    remedy = "leave it out (gpu is handed out)"
                    yield f"resources.{field}.{name}", "the amount cannot be enforced", remedy
    size = sum(
        len(f"{name}={value.get_secret_value()}".encode(errors="surrogatepass"))
        + _PER_VARIABLE_BYTES
        for name, value in spec.environment_variables.items()
    )
    if size > can.process_bytes - OWN_BYTES:
        reason = f"{size:,} bytes together, the limit is {can.process_bytes - OWN_BYTES:,}"
        yield "environment_variables", reason, "put large values into files of the code"
    gpus = size_of(spec).gpus
    if gpus > can.gpu_count:
        field = "limits" if spec.resources.limits.gpu else "requests"
        reason = f"{gpus} for all instances, and the machine has {can.gpu_count}"
        yield f"resources.{field}.gpu", reason, "ask for fewer"


_REFUSALS: Mapping[Kind, Callable[[Any, TargetCapabilities], _Faults]] = {
    Kind.WORKSPACE: _workspace_refusals,
    Kind.MODEL: _model_refusals,
    Kind.ENVIRONMENT: _environment_refusals,
    Kind.ENDPOINT: _endpoint_refusals,
    Kind.DEPLOYMENT: _deployment_refusals,
}


def plan(desired: Iterable[DesiredResource], observed: ObservedState, owner: str) -> Plan:
    """Order what makes `observed` become `desired`.

    Creations and updates come in the order of dependence, deletions after them in reverse; only
    what carries `owner`'s label is deleted.
    """
    wanted = sorted(desired, key=lambda resource: RANK[resource.id.kind])
    steps = [_action(resource, observed.get(resource.id)) for resource in wanted]
    gone = [
        Action(kind=ActionKind.DELETE, id=there.id, owner=owner)
        for there in undeclared(wanted, observed, owner)
    ]
    gone.sort(key=lambda action: RANK[action.id.kind], reverse=True)
    return Plan(actions=(*steps, *gone))


def over_quota(plan: Plan, observed: ObservedState) -> tuple[str, ...]:
    """Return a sentence for each deployment that its workspace's quota would stop.

    What is deleted goes last, so it counts until then; so does what other stacks have there.
    """
    quotas, sizes = _held(observed)
    taken: dict[str, Size] = {}
    for id_, size in sizes.items():
        taken[id_.workspace] = taken.get(id_.workspace, Size()).plus(size)
    found = []
    for action in plan.actions:
        place, wanted = action.id.workspace, action.desired
        if wanted is not None and action.id.kind == Kind.WORKSPACE:
            quotas[place] = wanted.spec.quota.model_dump()
        elif wanted is not None and action.id.kind == Kind.DEPLOYMENT:
            before = sizes.get(action.id, Size())
            taken[place] = taken.get(place, Size()).minus(before).plus(size_of(wanted.spec))
            exceeded = quota_fault(taken[place], quotas.get(place, {}))
            if exceeded and _starts(action, before):
                field, reason = exceeded
                remedy = f"raise quota.{field}, or scale another deployment in"
                found.append(f"{action.id}: {reason}; {remedy}")
    return tuple(found)


def _held(observed: ObservedState) -> tuple[dict[str, Any], dict[ResourceId, Size]]:
    """Return the quotas of workspaces, and what each deployment takes of its own."""
    records = [there.record for there in observed.resources.values() if there.record]
    quotas = {r.id.workspace: r.properties["quota"] for r in records if r.id.kind == Kind.WORKSPACE}
    deployments = (record for record in records if record.id.kind == Kind.DEPLOYMENT)
    return quotas, {r.id: recorded_size(r.properties) for r in deployments}


def _starts(action: Action, before: Size) -> bool:
    """Whether new instances start."""
    if action.kind in (ActionKind.CREATE, ActionKind.REPLACE):
        return True
    grows = action.desired is not None and size_of(action.desired.spec).instances > before.instances
    return grows or any(c.change_class != ChangeClass.LIVE for c in action.changes)


def replaced_under_others(plan: Plan) -> tuple[str, ...]:
    """Return a sentence for each workspace that would be replaced while it is not empty."""
    there = {a.id.workspace for a in plan.actions if a.id.kind != Kind.WORKSPACE and _exists(a)}
    return tuple(
        f"{action.id}: a change of {', '.join(change.path for change in action.changes)} replaces"
        " it, and it is not empty; run `inferctl down`, then `inferctl up`"
        for action in plan.actions
        if action.id.kind == Kind.WORKSPACE
        and action.kind == ActionKind.REPLACE
        and action.id.workspace in there
    )


def _exists(action: Action) -> bool:
    return action.kind != ActionKind.CREATE


def _action(resource: DesiredResource, there: ObservedResource) -> Action:
    if there.presence == Presence.ABSENT:
        return Action(kind=ActionKind.CREATE, id=resource.id, desired=resource)
    changes = compare(
        resource.id.kind, there.properties, resource.properties, resource.placeholders
    )
    kind = {
        None: ActionKind.KEEP,
        ChangeClass.REPLACE: ActionKind.REPLACE,
    }.get(heaviest(changes), ActionKind.UPDATE)
    mine = there.record is None or there.record.owner == resource.owner
    limps = there.presence == Presence.UNKNOWN or there.degraded
    if kind == ActionKind.KEEP and mine and limps:
        kind = ActionKind.UPDATE  # what cannot be seen or limps is applied again: it is idempotent
    return Action(kind=kind, id=resource.id, desired=resource, changes=changes)
