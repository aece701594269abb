"""desired + observed -> ordered actions. Pure. `capabilities.py` says what a target cannot do."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any

from inference_provider.compare import (
    Change,
    changes_to,
    heaviest,
    recorded_otherwise,
    undeclared,
)
from inference_provider.desired import DesiredResource
from inference_provider.observed import (
    RANK,
    Frozen,
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    Record,
    ResourceId,
)
from inference_provider.spec import ChangeClass
from inference_provider.spec.autoscale_rule import recorded_rule
from inference_provider.spec.quota import Size, most_of, quota_fault, recorded_size, size_of

_RULE = Kind.AUTOSCALE_RULE


class ActionKind(StrEnum):
    """What is done to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    RECREATE = "recreate"
    """For a resource whose record cannot be read: it is set aside, and the resource applied."""
    DELETE = "delete"
    HAND_OVER = "hand over"
    """For a workspace that its owner gives up and another stack uses."""
    KEEP = "keep"


class Action(Frozen):
    """One operation on one resource."""

    kind: ActionKind
    id: ResourceId
    desired: DesiredResource | None = None
    """None for a deletion."""
    changes: tuple[Change, ...] = ()
    owner: str = ""
    """Owner's label of what is deleted or handed over."""
    unreadable: str = ""
    """Why its record cannot be read; such a record is set aside first, which needs consent."""
    repairs: str = ""
    """What does not run as recorded, or is not ready yet; no field need differ then."""
    unknown: str = ""
    """Why it cannot be compared with what is declared."""
    heir: str = ""
    """Stack that owns it after the handover."""


class Plan(Frozen):
    """Actions in the order in which they are done."""

    actions: tuple[Action, ...]

    @property
    def pending(self) -> tuple[Action, ...]:
        """Actions that change something."""
        return tuple(action for action in self.actions if action.kind != ActionKind.KEEP)


def plan(desired: Iterable[DesiredResource], observed: ObservedState, owner: str) -> Plan:
    """Return the actions that change `observed` into `desired`, in order.

    Creations and updates come in dependency order, then deletions in reverse order. Only what
    carries `owner`'s label is deleted, and what has an unreadable record where nobody else has any.
    """
    wanted = sorted(desired, key=lambda resource: RANK[resource.id.kind])
    steps = [_action(resource, observed.get(resource.id)) for resource in wanted]
    gone = [
        Action(kind=ActionKind.DELETE, id=there.id, owner=owner)
        for there in undeclared(wanted, observed, owner)
    ]
    gone += [
        Action(kind=ActionKind.DELETE, id=there.id, owner=owner, unreadable=there.reason)
        for there in observed.unreadable
        if there.id not in {resource.id for resource in wanted}
        and observed.owners(there.id.workspace) == {owner}
    ]
    gone.sort(key=lambda action: RANK[action.id.kind], reverse=True)
    return Plan(actions=(*steps, *gone))


def left_unknown(plan: Plan) -> tuple[str, ...]:
    """Return a sentence for each resource that is kept without knowing how it is."""
    return tuple(f"{a.id}: left as it is: {a.unknown}" for a in plan.actions if a.unknown)


def over_quota(plan: Plan, observed: ObservedState) -> tuple[str, ...]:
    """Return a sentence for each deployment that would exceed its workspace's quota.

    Deletions come last, so deployments to be deleted count; so do those of other stacks.
    """
    quotas, sizes = _held(observed)
    rules = {
        a.id: most_of(a.desired.spec) for a in plan.actions if a.desired and a.id.kind == _RULE
    }
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
            after = size_of(wanted.spec, rules.get(_rule_of(action.id), 0))
            taken[place] = taken.get(place, Size()).minus(before).plus(after)
            exceeded = quota_fault(taken[place], quotas.get(place, {}))
            if exceeded and _starts(action, before, after):
                field, reason = exceeded
                remedy = f"raise quota.{field}, or scale another deployment in"
                found.append(f"{action.id}: {reason}; {remedy}")
    return tuple(found)


def _held(observed: ObservedState) -> tuple[dict[str, Any], dict[ResourceId, Size]]:
    """Return the quota of each workspace, and how much of it each deployment uses."""
    records = [there.record for there in observed.resources.values() if there.record]
    quotas = {r.id.workspace: r.properties["quota"] for r in records if r.id.kind == Kind.WORKSPACE}
    rules = {r.id: _recorded_most(r) for r in records if r.id.kind == _RULE}
    deployments = (record for record in records if record.id.kind == Kind.DEPLOYMENT)
    sizes = {r.id: recorded_size(r.properties, rules.get(_rule_of(r.id), 0)) for r in deployments}
    return quotas, sizes


def _recorded_most(rule: Record) -> int:
    with suppress(ValueError):  # of a newer release, which counts it
        return most_of(recorded_rule(rule.properties))
    return 0


def _rule_of(deployment: ResourceId) -> ResourceId:
    return deployment.model_copy(update={"kind": _RULE})


def _starts(action: Action, before: Size, after: Size) -> bool:
    """Whether new instances start, or may."""
    if action.kind in (ActionKind.CREATE, ActionKind.REPLACE, ActionKind.RECREATE):
        return True
    return after.instances > before.instances or any(
        c.change_class != ChangeClass.LIVE for c in action.changes
    )


def replaced_under_others(plan: Plan) -> tuple[str, ...]:
    """Return a sentence for each workspace that would be replaced while it is not empty."""
    there = {a.id.workspace for a in plan.actions if a.id.kind != Kind.WORKSPACE and _exists(a)}
    return tuple(
        f"{action.id}: a change of {', '.join(change.path for change in action.changes)} replaces"
        " it, and it is not empty; delete the stack, then apply it again"
        for action in plan.actions
        if action.id.kind == Kind.WORKSPACE
        and action.kind == ActionKind.REPLACE
        and action.id.workspace in there
    )


def kept_by_rollouts(plan: Plan, observed: ObservedState) -> tuple[ResourceId, ...]:
    """Return deployments to be deleted that a rollout would still send requests, or gives them."""
    kept = {
        action.id: _kept_shares(action, observed.get(action.id))
        for action in plan.actions
        if action.id.kind == Kind.TRAFFIC and action.desired
    }
    gone = (a.id for a in plan.pending if a.kind == ActionKind.DELETE and a.desired is None)
    found = list[ResourceId]()
    for id_ in (one for one in gone if one.kind == Kind.DEPLOYMENT):
        traffic = id_.model_copy(update={"kind": Kind.TRAFFIC, "name": id_.endpoint})
        if kept.get(traffic, {}).get(id_.name.partition("/")[2], 0):
            found.append(id_)
    return tuple(found)


def _kept_shares(traffic: Action, there: ObservedResource) -> Mapping[str, int]:
    """Return shares that deployments keep, or may get back, after a split was applied."""
    wanted = traffic.desired.spec if traffic.desired else None
    goal, rollout = (_served(wanted.traffic), wanted.rollout) if wanted else ({}, None)
    if not goal or not rollout or there.record is None:
        return {}  # it changes at once
    recorded = _served(there.record.properties.get("traffic", {}))
    in_force = _served(there.in_force) or recorded
    if goal != recorded:
        return in_force
    return {**_served(there.origin), **in_force} if there.in_force else {}


def _served(split: Mapping[str, int]) -> dict[str, int]:
    return {name: share for name, share in split.items() if share}


def _exists(action: Action) -> bool:
    return action.kind != ActionKind.CREATE


def _action(resource: DesiredResource, there: ObservedResource) -> Action:
    if there.presence == Presence.ABSENT:
        return Action(kind=ActionKind.CREATE, id=resource.id, desired=resource)
    if there.is_unreadable:
        kind = ActionKind.RECREATE
        return Action(kind=kind, id=resource.id, desired=resource, unreadable=there.reason)
    changes = changes_to(resource, there.properties)
    kind = {
        None: ActionKind.KEEP,
        ChangeClass.REPLACE: ActionKind.REPLACE,
    }.get(heaviest(changes), ActionKind.UPDATE)
    mine = there.record is None or there.record.owner == resource.owner
    unknown = there.presence == Presence.UNKNOWN and (there.reason or "it did not answer")
    if kind == ActionKind.KEEP and unknown and resource.id.kind == Kind.CONNECTION:
        # its secret store is silent, and applying it would ask that again; what runs has its values
        return Action(kind=kind, id=resource.id, desired=resource, unknown=unknown)
    repairs = unknown or there.degraded or there.unready if mine else ""
    if kind == ActionKind.KEEP and mine:
        repairs = repairs or recorded_otherwise(there)
    if resource.at_once and there.under_way:
        repairs = there.under_way  # which it ends
    if kind == ActionKind.KEEP and repairs:
        kind = ActionKind.UPDATE  # applying again is idempotent, and repairs it or waits for it
    return Action(kind=kind, id=resource.id, desired=resource, changes=changes, repairs=repairs)


def without_deletions(found: Plan) -> Plan:
    """Return a plan without what it ends or hands over."""
    left = (ActionKind.DELETE, ActionKind.HAND_OVER)
    return Plan(actions=tuple(a for a in found.actions if a.kind not in left))
