"""A workspace that more than one stack uses. Pure.

Goes in: a plan and the observed state. Comes out: the plan in which workspaces that another stack
needs stay or are handed over, and notes for the user. A stack declares every workspace it uses; the
first to do so owns it, and others may declare it identically. An owner that is deleted before the
others hands it over. Anything else that another stack owns is refused.
"""

from collections import Counter
from collections.abc import Iterator

from inference_provider.compare import compare
from inference_provider.desired import DesiredResource
from inference_provider.errors import OwnedByAnother, TargetError, at_most
from inference_provider.observed import Kind, ObservedState, Record
from inference_provider.plan import Action, ActionKind, Plan

_SHOWN = 5
"""How many refused resources a message names; the rest is counted."""


def refuse_what_is_owned(plan: Plan, observed: ObservedState) -> None:
    """Raise one OwnedByAnother that names everything declared here that another stack owns."""
    taken: dict[str, list[Action]] = {}
    for action, owner in _foreign(plan, observed):
        if action.id.kind != Kind.WORKSPACE or action.kind != ActionKind.KEEP:
            taken.setdefault(owner, []).append(action)
    for owner, actions in taken.items():
        mine = actions[0].desired.owner if actions[0].desired else actions[0].owner
        raise _owned(actions, owner, mine)


def refuse_unreadable(plan: Plan, observed: ObservedState, owner: str) -> None:
    """Refuse to change a workspace with an unreadable record that may be another stack's.

    Where every other record is this stack's, the unreadable one is too.
    """
    changed = {action.id.workspace for action in plan.pending}
    found = [
        there
        for there in observed.unreadable
        if there.id.workspace in changed and observed.owners(there.id.workspace) != {owner}
    ]
    if found:
        reasons = "".join(f"\n  {line}" for line in at_most([there.reason for there in found]))
        others = sorted(observed.owners(found[0].id.workspace) - {owner})
        why = f"{_stacks(others)} the workspace too" if others else "no other record tells it"
        reason = f"the owner of these records is unknown, and {why}:{reasons}"
        raise TargetError("change", f"workspace '{found[0].id.workspace}'", reason)


def _owned(actions: list[Action], owner: str, mine: str) -> OwnedByAnother:
    more = f" and {len(actions) - _SHOWN} more" if len(actions) > _SHOWN else ""
    named = ", ".join(str(action.id) for action in actions[:_SHOWN]) + more
    verb = "it belongs" if len(actions) == 1 else "they belong"
    reason = f"{verb} to stack '{owner}', not to '{mine}'"
    if all(action.id.kind == Kind.WORKSPACE for action in actions):
        fields = ", ".join(change.path for action in actions for change in action.changes)
        reason += f", and {fields} would change"
        remedy = f"declare it as '{owner}' does to share it, or name another workspace"
    else:
        them = "it" if len(actions) == 1 else "them"
        remedy = f"rename {them} here, or take {them} out of '{owner}' first"
    return OwnedByAnother("plan", named, reason, remedy)


def notes(plan: Plan, observed: ObservedState) -> list[str]:
    """Say who owns the workspaces, which of them stay, and whose state will show a change."""
    return [
        *_shared(plan, observed),
        *_staying(plan, observed),
        *_held(plan, observed),
    ]


def _shared(plan: Plan, observed: ObservedState) -> list[str]:
    """Say which declared workspaces another stack owns."""
    return [
        f"{action.id} is owned by stack '{owner}'; left unchanged"
        for action, owner in _foreign(plan, observed)
        if action.id.kind == Kind.WORKSPACE and action.kind == ActionKind.KEEP
    ]


def _foreign(plan: Plan, observed: ObservedState) -> Iterator[tuple[Action, str]]:
    """Yield each declared resource that another stack owns, with that owner."""
    for action in plan.actions:
        record = observed.get(action.id).record
        if action.desired and record and record.owner != action.desired.owner:
            yield action, record.owner


def is_shared(desired: DesiredResource, record: Record | None) -> bool:
    """Whether a workspace is declared exactly as another stack, its owner, made it."""
    return (
        desired.id.kind == Kind.WORKSPACE
        and record is not None
        and record.owner != desired.owner
        and not compare(Kind.WORKSPACE, record.properties, desired.properties, desired.placeholders)
    )


def without_shared(plan: Plan, observed: ObservedState) -> Plan:
    """Replace the deletion of a workspace that another stack uses with a handover."""
    return Plan(actions=tuple(_handed_over(action, observed) for action in plan.actions))


def _handed_over(action: Action, observed: ObservedState) -> Action:
    others = _others_in(action, observed)
    if not others:
        return action
    return action.model_copy(update={"kind": ActionKind.HAND_OVER, "heir": others[0]})


def _staying(plan: Plan, observed: ObservedState) -> list[str]:
    """Say which workspaces are handed over, and why."""
    return [
        f"{action.id} stays: {_stacks(_others_in(action, observed))} it;"
        f" it is handed over to '{action.heir}'"
        for action in plan.actions
        if action.kind == ActionKind.HAND_OVER
    ]


def _held(plan: Plan, observed: ObservedState) -> list[str]:
    """Say how many of the changed resources each state holds."""
    claims = (observed.get(action.id).record for action in plan.pending)
    holders = Counter(r.claim.holder for r in claims if r is not None and r.claim is not None)
    return [
        f"{count} of these {'is' if count == 1 else 'are'} held by {holder};"
        " its next refresh will show these changes"
        for holder, count in sorted(holders.items())
    ]


def _stacks(names: list[str]) -> str:
    named = ", ".join(f"'{name}'" for name in names)
    return f"stack {named} uses" if len(names) == 1 else f"stacks {named} use"


def _others_in(action: Action, observed: ObservedState) -> list[str]:
    """Return the other stacks in a workspace that is to be deleted."""
    removed = (ActionKind.DELETE, ActionKind.HAND_OVER)
    if action.kind not in removed or action.id.kind != Kind.WORKSPACE:
        return []
    return sorted(
        {
            there.record.owner
            for there in observed.resources.values()
            if there.record is not None
            and there.record.owner != action.owner
            and there.id.workspace == action.id.workspace
        }
    )
