"""desired + observed -> what differs, why, who changed it, and what a fix costs. Pure.

Three columns per field: declared (the stack file), recorded (last applied), live (what runs).
`compare.py` finds the differences; `cli/report.py` formats them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from inference_provider.blame import Journal, touches
from inference_provider.compare import (
    changes_to,
    compare,
    covered,
    heaviest,
    recorded_otherwise,
    undeclared,
)
from inference_provider.desired import DesiredResource, sealed_properties
from inference_provider.observed import (
    RANK,
    Frozen,
    JournalEntry,
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    ResourceId,
)
from inference_provider.secret_text import masked
from inference_provider.spec import ChangeClass, Severity
from inference_provider.spec.fields import with_defaults
from inference_provider.waivers import Finding

UNKNOWN = "unknown"
"""Stands for an actor that the journal does not name."""


class Verdict(StrEnum):
    """The result for one resource."""

    CLEAN = "clean"
    DRIFTED = "drifted"
    MISSING = "missing"
    UNMANAGED = "unmanaged"
    """Carries the stack's label but is not declared."""
    UNREADABLE = "unreadable"
    """Could not be observed, which is not the same as missing."""


class Origin(StrEnum):
    """How a difference came about."""

    BY_HAND = "changed by hand"
    """Live differs from recorded."""
    CRASHED = "not running as recorded; nobody recorded stopping it"
    """Fewer instances run than were recorded, and the journal knows of no stop."""
    NOT_APPLIED = "not yet applied"
    """Recorded differs from declared; live equals recorded."""
    OTHER_OWNER = "owned by another stack"


class Fix(StrEnum):
    """What the next `up` would do to a resource."""

    NOTHING = "nothing"
    LIVE = "live"
    ROLLING = "rolling"
    REPLACE = "replace"
    CREATE = "create"
    DELETE = "delete"


class FieldDrift(Finding):
    """One field that differs; secrets are shown as `[secret]`."""

    path: str
    """Dotted, `request_settings.request_timeout_ms`."""
    declared: Any
    recorded: Any
    live: Any
    severity: Severity
    change_class: ChangeClass
    """What a fix does to what runs."""
    origin: Origin
    actor: str = UNKNOWN
    time: datetime | None = None
    """When the actor did it; None when unknown."""


class ResourceDrift(Finding):
    """One resource and its verdict; a finding itself where more than its fields differ."""

    id: ResourceId
    verdict: Verdict
    fields: tuple[FieldDrift, ...] = ()
    fix: Fix = Field(default=Fix.NOTHING, serialization_alias="mending")
    """Serialized as `mending`, the name that readers of the JSON report expect."""
    actor: str = UNKNOWN
    """Who caused it, for a resource that is missing or unmanaged, or that somebody has stopped."""
    time: datetime | None = None
    reason: str = ""
    """Why it could not be read, or one sentence on what is wrong; of one that is clean, what a
    person should know though it does not differ."""

    @property
    def is_finding(self) -> bool:
        """Whether more than fields is wrong: it is missing, or does not run as recorded."""
        if self.verdict == Verdict.DRIFTED:
            foreign = any(field.origin == Origin.OTHER_OWNER for field in self.fields)
            return not self.fields or bool(self.reason and not foreign)
        return self.verdict != Verdict.CLEAN

    @property
    def is_waived(self) -> bool:
        """Whether all findings are waived. What cannot be read cannot be waived."""
        if self.verdict in (Verdict.CLEAN, Verdict.UNREADABLE):
            return False
        return all(one.waiver for one in (*self.fields, *([self] if self.is_finding else [])))


class DriftReport(Frozen):
    """Every declared resource, and every unmanaged one."""

    stack: str
    resources: tuple[ResourceDrift, ...]
    notes: tuple[str, ...] = ()
    """On the review itself: a waiver of nothing, or what could not be compared."""

    def count(self, verdict: Verdict) -> int:
        """Return how many resources have a verdict and are not waived."""
        return sum(one.verdict == verdict and not one.is_waived for one in self.resources)

    @property
    def waived(self) -> int:
        """Resources of which all that is found is waived."""
        return sum(resource.is_waived for resource in self.resources)

    @property
    def counts(self) -> dict[str, int]:
        """Resources by verdict, worst first, without those that are waived."""
        order = (Verdict.DRIFTED, Verdict.MISSING, Verdict.UNMANAGED, Verdict.CLEAN)
        return {v.value: self.count(v) for v in (*order, Verdict.UNREADABLE)}

    @property
    def exit_code(self) -> int:
        """0 clean or waived, 2 drift, 1 when something could not be read.

        An error never reads as drift.
        """
        if self.count(Verdict.UNREADABLE):
            return 1
        return 0 if self.count(Verdict.CLEAN) + self.waived == len(self.resources) else 2


def drift(desired: Iterable[DesiredResource], observed: ObservedState, owner: str) -> DriftReport:
    """Compare what is declared with what is recorded and what runs.

    Args:
        desired: Resolved resources of one stack.
        observed: State of all its workspaces.
        owner: The stack's label; only what carries it can be unmanaged.
    """
    wanted = sorted(desired, key=lambda resource: RANK[resource.id.kind])
    journal = Journal(observed.journal)
    extra = [_unmanaged(there, journal) for there in undeclared(wanted, observed, owner)]
    found = [_judge(resource, observed.get(resource.id), journal) for resource in wanted]
    declared = {resource.id for resource in wanted}
    unknown = [_unreadable(there) for there in observed.unreadable if there.id not in declared]
    return DriftReport(stack=owner, resources=(*found, *extra, *unknown))


def _judge(resource: DesiredResource, there: ObservedResource, journal: Journal) -> ResourceDrift:
    if there.presence == Presence.ABSENT:
        return _missing(there, journal)
    if there.is_unreadable:
        return _unreadable(there)
    fields = _fields(resource, there, journal)
    if there.presence == Presence.UNKNOWN:
        reason = there.reason or "it did not answer"
        return ResourceDrift(
            id=resource.id, verdict=Verdict.UNREADABLE, fields=fields, reason=reason
        )
    if not fields and not there.degraded:
        note = there.note or _unrecorded(there)
        return ResourceDrift(id=resource.id, verdict=Verdict.CLEAN, reason=note)
    if any(field.origin == Origin.OTHER_OWNER for field in fields):
        owner = there.record.owner if there.record else UNKNOWN
        reason = f"it belongs to stack '{owner}'; this stack cannot change it"
        return ResourceDrift(id=resource.id, verdict=Verdict.DRIFTED, fields=fields, reason=reason)
    changes = changes_to(resource, there.properties)
    # what is degraded but has no differing field is restarted in place
    heavy = heaviest(changes) or ChangeClass.LIVE
    if there.is_outdated and heavy == ChangeClass.LIVE:
        heavy = ChangeClass.ROLLING
    ended = there.in_force and not there.under_way  # a rollout that no apply begins again
    fix = Fix.NOTHING if ended and not fields else Fix(heavy.value)
    stop = _stop(there, journal)
    return ResourceDrift(
        id=resource.id,
        verdict=Verdict.DRIFTED,
        fields=fields,
        fix=fix,
        actor=str(stop.actor) if stop else UNKNOWN,
        time=stop.time if stop else None,
        reason=there.degraded,
    )


def _stop(there: ObservedResource, journal: Journal) -> JournalEntry | None:
    """Return the stop because of which it does not run; of a count its own field tells that."""
    if not there.degraded or there.id.kind not in (Kind.WORKSPACE, Kind.TRAFFIC):
        return None
    return journal.stopped(there.id, there.record.time if there.record else None)


def _unrecorded(there: ObservedResource) -> str:
    told = recorded_otherwise(there)
    return f"{told}; the next apply records what is declared" if told else ""


def _missing(there: ObservedResource, journal: Journal) -> ResourceDrift:
    entry = journal.newest(there.id)
    deleted = entry is not None and entry.action == "delete"
    if deleted:
        reason = "it was deleted"
    elif there.record is not None or entry is not None:
        reason = "it was applied once and is gone"
    else:
        reason = "it was never applied"
    return ResourceDrift(
        id=there.id,
        verdict=Verdict.MISSING,
        fix=Fix.CREATE,
        actor=str(entry.actor) if entry and deleted else UNKNOWN,
        time=entry.time if entry and deleted else None,
        reason=reason,
    )


def _unreadable(there: ObservedResource) -> ResourceDrift:
    reason = there.reason or "it did not answer"
    return ResourceDrift(id=there.id, verdict=Verdict.UNREADABLE, reason=reason)


def _unmanaged(there: ObservedResource, journal: Journal) -> ResourceDrift:
    entry = journal.newest(there.id)
    return ResourceDrift(
        id=there.id,
        verdict=Verdict.UNMANAGED,
        fix=Fix.DELETE,
        actor=str(entry.actor) if entry else UNKNOWN,
        time=entry.time if entry else None,
        reason="it carries the stack's label and is declared nowhere",
    )


def _fields(
    resource: DesiredResource, there: ObservedResource, journal: Journal
) -> tuple[FieldDrift, ...]:
    """Return every field in which live differs from declared, and who changed it."""
    live, secrets = there.properties, resource.placeholders
    changes = changes_to(resource, live)
    if not changes:
        return tuple(_owner(resource, there, shared=True))
    recorded = sealed_properties(type(resource.spec), _recorded(resource, there), secrets)
    by_hand = [change.path for change in compare(resource.id.kind, recorded, live, secrets)]
    found: list[FieldDrift] = []
    for change in changes:
        origin = Origin.BY_HAND if touches(by_hand, change.path) else Origin.NOT_APPLIED
        entry = (
            journal.by_hand(there.id, change.path, there.record.time if there.record else None)
            if origin == Origin.BY_HAND
            else journal.newest(there.id, change.path)
        )
        if origin == Origin.BY_HAND and entry is None and _fewer(change.path, recorded, live):
            origin = Origin.CRASHED
        found.append(
            FieldDrift(
                path=change.path,
                declared=masked(change.new),
                recorded=masked(covered(_value(recorded, change.path), change.new)),
                live=masked(change.old),
                severity=change.severity,
                change_class=change.change_class,
                origin=origin,
                actor=str(entry.actor) if entry else UNKNOWN,
                time=entry.time if entry else None,
            )
        )
    return (*_owner(resource, there, shared=False), *found)


def _recorded(resource: DesiredResource, there: ObservedResource) -> Mapping[str, Any]:
    return with_defaults(type(resource.spec), there.record.properties) if there.record else {}


def _fewer(path: str, recorded: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Whether instances are gone; the only manual way to stop some is a command."""
    return path == "instance_count" and live.get(path, 0) < recorded.get(path, 0)


def _owner(resource: DesiredResource, there: ObservedResource, *, shared: bool) -> list[FieldDrift]:
    """Return the owner as a differing field, unless stacks share a workspace declared equally."""
    if there.record is None or there.record.owner == resource.owner:
        return []
    if resource.id.kind == Kind.WORKSPACE and shared:
        return []
    recorded = there.record.owner
    owner = FieldDrift(
        path="owner",
        declared=resource.owner,
        recorded=recorded,
        live=recorded,
        severity=Severity.IDENTITY,
        change_class=ChangeClass.REPLACE,
        origin=Origin.OTHER_OWNER,
    )
    return [owner]


def _value(properties: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; keys themselves may contain dots (those of tags do)."""
    if path in properties:
        return properties[path]
    for key, value in properties.items():
        if path.startswith(f"{key}.") and isinstance(value, Mapping):
            return _value(value, path[len(key) + 1 :])
    return None
