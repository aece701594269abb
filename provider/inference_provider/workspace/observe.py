"""Records and the ports' answers -> observed resources.

Reads the records once, and asks compute and the router once each, whatever the number of resources.
When one of them does not answer, what it would have reported is UNKNOWN, never absent.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from inference_provider.errors import (
    SecretNotRead,
    SecretStoreUnreachable,
    TargetError,
    TargetUnreachable,
)
from inference_provider.observed import (
    Frozen,
    Kind,
    ObservedResource,
    Presence,
    Record,
    ResourceId,
    Restarts,
)
from inference_provider.router.build import has_keys
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.workspace.bucket_credentials import lacking
from inference_provider.workspace.credentials import are_lost
from inference_provider.workspace.drain import is_drained_now
from inference_provider.workspace.endings import Endings, keeps_dying, restarts
from inference_provider.workspace.injection import stale_fault
from inference_provider.workspace.kept_alerts import webhooks_of
from inference_provider.workspace.kept_tls import KeptTls
from inference_provider.workspace.observed_split import merged, split_now
from inference_provider.workspace.ports import Clock, Ports
from inference_provider.workspace.shifts import shift_of
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import (
    ComputeStatus,
    InstanceStatus,
    RouterAddress,
    RouterStatus,
)

RUNNING = frozenset({Kind.WORKSPACE, Kind.DEPLOYMENT, Kind.TRAFFIC})
"""Kinds whose state must be read from what runs; the other kinds are fully recorded."""

HELD = frozenset({Kind.CONNECTION, Kind.IDENTITY, Kind.ROLE_ASSIGNMENT})
"""Kinds of which some targets hold more than their records."""

_Fields = dict[str, object]


class Snapshot(Frozen):
    """What a workspace's compute and router answered."""

    compute: ComputeStatus = ComputeStatus()
    router: RouterStatus = RouterStatus()
    minute: int = 0
    """When it was taken, in minutes since 1970."""
    held: dict[ResourceId, str] = {}
    """What of identities, role assignments and connections is gone, was changed by hand, or is
    left over."""
    unreachable: str = ""
    """Why compute could not be asked; empty when it answered, or is known not to run."""


def holds(ports: Ports, kind: Kind) -> bool:
    """Whether a target holds more of a kind than its records."""
    if kind == Kind.CONNECTION:
        return ports.registry_users is not None
    return kind in HELD and ports.identities is not None


def take_snapshot(ports: Ports, clock: Clock, one: ResourceId | None = None) -> Snapshot:
    """Ask compute, then the router, once each for all resources, or for what one of them needs."""
    name = one.name if one is not None and one.kind == Kind.DEPLOYMENT else ""
    runs = one is None or one.kind != Kind.TRAFFIC
    try:
        compute = ports.compute.status(name) if runs else ComputeStatus()
        router = ports.router.status()
        leftovers = one is None or one.kind in {Kind.WORKSPACE, *HELD}
        held = dict(ports.identities.faults(leftovers=leftovers)) if ports.identities else {}
        held |= ports.registry_users.faults() if ports.registry_users else {}
        held |= ports.bucket_user.faults() if ports.bucket_user else {}
    except TargetUnreachable as silent:
        return Snapshot(unreachable=str(silent))
    minute = int(clock.now().timestamp() // 60)
    return Snapshot(compute=compute, router=router, held=held, minute=minute)


class Observer:
    """Combines the records of one workspace with a snapshot of it."""

    def __init__(self, ports: Ports, state: State, snapshot: Snapshot | None) -> None:
        """Without a snapshot, assume that everything runs as recorded."""
        self._ports = ports
        self._state = state
        self._snapshot = snapshot

    def resource(self, record: Record) -> ObservedResource:
        """Return one recorded resource as it is now."""
        base = ObservedResource(id=record.id, presence=Presence.PRESENT, record=record)
        read = {
            (Kind.WORKSPACE, ""): self._workspace,
            (Kind.CONNECTION, ""): self._connection,
            (Kind.MODEL, ""): self._asset,
            (Kind.ENVIRONMENT, ""): self._asset,
            (Kind.ENDPOINT, "online"): self._endpoint,
            (Kind.DEPLOYMENT, "online"): self._deployment,
            (Kind.TRAFFIC, ""): self._traffic,
            (Kind.AUTOSCALE_RULE, ""): self._autoscale_rule,
            (Kind.IDENTITY, ""): self._held,
            (Kind.ROLE_ASSIGNMENT, ""): self._held,
        }.get((record.id.kind, record.variant), _as_recorded)
        return base.model_copy(update=read(record))

    def _address(self) -> RouterAddress:
        return self._ports.router.address()

    def _workspace(self, record: Record) -> _Fields:
        address, seen = self._address(), self._snapshot
        outputs = {"router_url": address.url, "metrics_url": address.metrics_url}
        kept, fault = self._certificate(seen.minute if seen else 0)
        if kept and kept.trusted:
            outputs["ca_certificate"] = kept.trusted
        if seen is None:
            return {"outputs": outputs}
        if seen.unreachable:
            return {"outputs": outputs, **_unknown(seen.unreachable)}
        router = seen.router
        ended = self._restarts("router", router.endings, router.start_limit_s, seen.minute)
        left = (self._leftovers(seen.compute), seen.held.get(record.id, ""), self._bucket())
        found = (router.fault, router.missing, fault, self._unpublished(), *left)
        faults = "; ".join(filter(None, found))
        note = f"autoscale rules are {router.unkept['']}" if "" in router.unkept else ""
        told = (faults or "router ready", router.beside, note, router.note)
        known: _Fields = {"outputs": outputs, "degraded": faults, "restarts": ended}
        return {**known, "note": note, "status": "; ".join(filter(None, told))}

    def _certificate(self, minute: int) -> tuple[KeptTls | None, str]:
        """Return what the router shows, and what is wrong with that in some minute since 1970."""
        try:
            kept = self._state.tls()
        except TargetError:
            return None, "its certificate is gone"
        now = datetime.fromtimestamp(60 * minute, UTC)
        return kept, kept.fault(now) if kept else ""

    def _unpublished(self) -> str:
        """Say that the router may serve something else than what is recorded."""
        killed = self._state.is_unpublished()
        return "the last change was killed before the router served it" if killed else ""

    def _bucket(self) -> str:
        """Say that the connection is gone that has the credentials of its bucket."""
        name = lacking(self._state)
        return f"connection '{name}', which its storage names, is not there" if name else ""

    def _leftovers(self, compute: ComputeStatus) -> str:
        """Say how many instances, and be they ended, belong to deployments that have no record.

        One that has ended still has its port and its GPUs.
        """
        unknown = compute.instances.keys() - self._state.recorded(Kind.DEPLOYMENT)
        left = sum(
            len(compute.instances[name]) for name in unknown if not self._state.is_started_now(name)
        )
        noun = "instance" if left == 1 else "instances"
        return f"{left} leftover {noun} of a deleted deployment" if left else ""

    def _connection(self, record: Record) -> _Fields:
        secrets = self._state.secrets
        try:
            fault = secrets.fault(record.id.name)
        except SecretNotRead as silent:
            return _unknown(silent.reason)
        is_there = not fault and not secrets.is_outside(record.id.name)
        live = {"credentials": secrets.marks(record)} if is_there else {}
        held = self._snapshot.held.get(record.id, "") if self._snapshot else ""
        faults = "; ".join(filter(None, (fault, held)))
        outside = secrets.is_outside(record.id.name)
        found = {"live": live, "status": "read" if outside else "kept", "degraded": faults}
        return {**found, "is_outdated": bool(fault) and outside}

    def _asset(self, record: Record) -> _Fields:
        content, outputs = self._ports.content, {"reference": record.pinned}
        if self._snapshot is None:
            return {"outputs": outputs, "status": "kept"}
        fault, note = content.fault(record), content.note(record)
        told = "; ".join(filter(None, (fault or "kept", note)))
        return {"outputs": outputs, "status": told, "degraded": fault, "note": note}

    def _endpoint(self, record: Record) -> _Fields:
        base = f"{self._address().url}/endpoints/{record.id.name}"
        name, properties = record.id.name, record.properties
        keys = self._state.keys(name) if has_keys(properties) else None
        secrets = {"primary_key": keys[0], "secondary_key": keys[1]} if keys else {}
        return {
            "outputs": {"scoring_uri": f"{base}/score", "openapi_uri": f"{base}/swagger.json"},
            "secret_outputs": secrets,
            **self._alerts(record),
        }

    def _alerts(self, record: Record) -> _Fields:
        """Say what has fired of an endpoint, and what it lacks."""
        name, properties = record.id.name, record.properties
        lost = ["its keys are gone"] * are_lost(self._state, name, properties)
        if properties.get("alert_webhooks") and webhooks_of(self._state, name) is None:
            lost.append("the webhooks of its alerts are gone")
        note = "; ".join(self._snapshot.router.alerts.get(name, ())) if self._snapshot else ""
        told = "; ".join(filter(None, ("declared", note)))
        return {"status": told, "note": note, "degraded": "; ".join(lost)}

    def _deployment(self, record: Record) -> _Fields:
        found = {"outputs": {"generation": record.generation}, **self._instances(record)}
        if self._snapshot is None or found.get("degraded"):
            return found
        fault = ""
        with suppress(SecretStoreUnreachable):  # which its connection tells
            fault = stale_fault(self._state, record)
        if fault:
            return {**found, "degraded": fault, "is_outdated": True}
        fault = self._ports.content.fault(record) or self._unheld(record)
        return {**found, "degraded": fault} if fault else found

    def _held(self, record: Record) -> _Fields:
        seen = self._snapshot
        if seen and seen.unreachable:
            return _unknown(seen.unreachable)
        fault = seen.held.get(record.id, "") if seen else ""
        return {"status": fault or "recorded", "degraded": fault}

    def _unheld(self, record: Record) -> str:
        """Say what is wrong with the identity as which a deployment runs."""
        if self._snapshot is None or not self._snapshot.held:
            return ""
        place, name = record.id.workspace, record.id.endpoint or ""
        with suppress(TargetError):  # an unreadable one is told as such
            found = self._state.record(ResourceId(kind=Kind.ENDPOINT, workspace=place, name=name))
            if identity := found and found.properties.get("identity"):
                held = ResourceId(kind=Kind.IDENTITY, workspace=place, name=identity)
                return self._snapshot.held.get(held, "")
        return ""

    def _instances(self, record: Record) -> _Fields:
        seen = self._snapshot
        if seen is None:
            return {}
        if seen.unreachable:
            return _unknown(seen.unreachable)
        fault = seen.compute.faults.get(record.id.name)
        if fault:
            return {"status": fault, "degraded": fault}
        there = seen.compute.instances.get(record.id.name, ())
        healthy = (seen.router.healthy or {}).get(record.id.name, 0)
        ended: dict[str, Restarts] = {}
        for one in there:
            limit_s = _start_limit_s(record.properties)
            ended |= self._restarts(one.name, one.endings, limit_s, seen.minute)
        dying = [one.name for one in there if one.name in ended and keeps_dying(ended[one.name])]
        running = [i for i in there if i.runs and _is_recorded(i, record) and i.name not in dying]
        wanted = least = record.properties["instance_count"]
        found: _Fields = {"live": {"instance_count": len(running)}, "restarts": ended}
        if rule := self._rule(record):  # its count is no field that anybody declares
            wanted, least = sum(_is_recorded(i, record) for i in there), rule.min_instances
            found["live"] = {}
        if seen.compute.unsupervised and healthy:
            fault = f"{healthy} of {wanted} instances serve on, {seen.compute.unsupervised}"
            return {**found, "status": fault, "degraded": fault}
        ready = _ready(running, healthy)
        said = f"{ready} of {wanted} instances ready"
        if rule and not rule.least_ever and not wanted:
            said = "no instance, until a request comes"
        if seen.router.healthy is None and running:
            silent = "the router does not say which are ready"
            said = f"{len(running)} of {wanted} instances run; {silent}"
        faults = [_death(name, ended[name]) for name in dying]
        faults += [f"{one.name}: {one.fault}" for one in running if one.fault]
        faults += seen.compute.altered.get(record.id.name, ())
        idle = [i for i in there if i not in running and i.name not in dying]
        if rule:
            idle = self._without_passing(idle, record)
        came_back = [n for n, one in ended.items() if one.lately and n not in dying]
        degraded = "; ".join([*faults, *_idle(idle, record)])
        waits = ready < least <= len(running) and not degraded
        found |= {"degraded": degraded, "unready": said if waits else ""}
        told = [_death(name, ended[name]) for name in came_back]
        return {**found, "status": "; ".join([said, *faults, *told])}

    def _without_passing(self, idle: list[InstanceStatus], record: Record) -> list[InstanceStatus]:
        """Leave out what comes or goes now, or has gone since: a rule may change it any time."""
        left = {one.name for one in idle if not _is_recorded(one, record)}
        if not left or self._ports.compute.replaces_instances:
            return idle
        compute, name = self._ports.compute, record.id.name
        if not (self._state.is_changed_now(name) or is_drained_now(self._ports.records, name)):
            left -= {one.name for one in compute.instances(name).get(name, ())}
        return [one for one in idle if one.name not in left]

    def _rule(self, record: Record) -> AutoscaleRuleSpec | None:
        with suppress(TargetError):  # an unreadable one is told as such
            return self._state.rule_of(record.id)
        return None

    def _autoscale_rule(self, record: Record) -> _Fields:
        limits, seen = limits_text(record.properties), self._snapshot
        unkept = seen.router.unkept.get(record.id.name, "") if seen else ""
        note = unkept if record.properties["enabled"] else ""
        return {"note": note, "status": "; ".join(filter(None, (limits, note)))}

    def _traffic(self, record: Record) -> _Fields:
        seen = self._snapshot
        if seen is None:
            return {}
        if seen.unreachable:
            return _unknown(seen.unreachable)
        router = seen.router
        if router.weights is None or router.mirrors is None:
            if not router.runs:  # not unknown: the next start serves what was applied
                return {"status": "not served", "degraded": "the router does not run"}
            return _unknown("the router does not answer")
        name, fields = record.id.name, record.properties
        live = {
            "traffic": merged(fields["traffic"], router.weights.get(name, {})),
            "mirror_traffic": merged(fields["mirror_traffic"], router.mirrors.get(name, {})),
        }
        try:
            return split_now(shift_of(self._state, record), record, live, seen.minute)
        except TargetError as fault:
            return _unknown(str(fault))

    @staticmethod
    def _restarts(
        name: str, endings: Endings, start_limit_s: int, minute: int
    ) -> dict[str, Restarts]:
        return {name: restarts(endings, start_limit_s, minute)} if endings.total else {}


def _as_recorded(_record: Record) -> _Fields:
    return {"status": "recorded"}


def _unknown(reason: str) -> _Fields:
    return {"presence": Presence.UNKNOWN, "reason": reason}


def _ready(running: list[InstanceStatus], healthy: int) -> int:
    # The router notices a restarted instance late, at its next readiness probe.
    starting = sum(bool(one.endings.total) and not one.answers for one in running)
    return min(healthy, len(running) - starting)


def _idle(instances: list[InstanceStatus], record: Record) -> Iterator[str]:
    """Say how many recorded instances do not run, and how many unrecorded ones still do."""
    stopped = sum(_is_recorded(one, record) for one in instances)
    left = len(instances) - stopped
    if stopped:
        yield f"{stopped} instance{'s' * (stopped != 1)} not running"
    if left:
        yield f"{left} leftover instance{'s' * (left != 1)}"


def _is_recorded(instance: InstanceStatus, record: Record) -> bool:
    return record.admits(instance.name, instance.generation)


def _start_limit_s(properties: Mapping[str, Any]) -> int:
    return int(properties["readiness_probe"]["initial_delay"] + properties["start_timeout_s"])


def _death(name: str, restarts: Restarts) -> str:
    times = f"{restarts.lately} time{'s' * (restarts.lately != 1)}"
    why = f", last by {restarts.why}" if restarts.why else ""
    return f"{name} ended {times} in the last {restarts.minutes} minutes{why}"


def limits_text(rule: Mapping[str, Any]) -> str:
    """Format the limits of an autoscale rule for display: `1 to 5 instances`."""
    if not rule["enabled"]:
        return "off"
    return f"{rule['min_instances']} to {rule['max_instances']} instances"
