"""A workspace in which more than one stack lives.

Goes in: a plan and what is observed. Comes out: the plan without what another stack needs, and
what a person is to know. A stack declares every workspace it uses; the first to do so owns it, and
the others may declare it equally. Anything else that another stack owns is refused.
"""

from collections.abc import Iterator

from inference_provider.errors import OwnedByAnother
from inference_provider.observed import Kind, ObservedState
from inference_provider.plan import Action, ActionKind, Plan

_SHOWN = 5
"""Of what is refused; the rest is counted."""


def refuse_what_is_owned(plan: Plan, observed: ObservedState) -> None:
    """Raise one OwnedByAnother that names what the plan declares and another stack owns."""
    taken: dict[str, list[Action]] = {}
    for action, owner in _foreign(plan, observed):
        if action.id.kind != Kind.WORKSPACE or action.kind != ActionKind.KEEP:
            taken.setdefault(owner, []).append(action)
    for owner, actions in taken.items():
        mine = actions[0].desired.owner if actions[0].desired else actions[0].owner
        raise _owned(actions, owner, mine)


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


def shared_lines(plan: Plan, observed: ObservedState) -> list[str]:
    """Say which declared workspaces are another stack's."""
    return [
        f"{action.id} is owned by stack '{owner}'; left as it is"
        for action, owner in _foreign(plan, observed)
        if action.id.kind == Kind.WORKSPACE and action.kind == ActionKind.KEEP
    ]


def _foreign(plan: Plan, observed: ObservedState) -> Iterator[tuple[Action, str]]:
    """Yield what the plan declares and another stack owns, with that owner."""
    for action in plan.actions:
        record = observed.get(action.id).record
        if action.desired and record and record.owner != action.desired.owner:
            yield action, record.owner


def without_shared(plan: Plan, observed: ObservedState) -> Plan:
    """Leave a workspace in which another stack lives."""
    kept = tuple(action for action in plan.actions if not _others_in(action, observed))
    return Plan(actions=kept)


def staying_lines(before: Plan, after: Plan, observed: ObservedState) -> list[str]:
    """Say which workspaces `without_shared` left, and for whom."""
    left = {action.id.address for action in after.actions}
    return [
        f"{action.id} stays: {_stacks(_others_in(action, observed))} in it"
        for action in before.actions
        if action.id.address not in left
    ]


def _stacks(names: list[str]) -> str:
    named = ", ".join(f"'{name}'" for name in names)
    return f"stack {named} lives" if len(names) == 1 else f"stacks {named} live"


def _others_in(action: Action, observed: ObservedState) -> list[str]:
    """Return the other stacks in a workspace that is to be deleted."""
    if action.kind != ActionKind.DELETE or action.id.kind != Kind.WORKSPACE:
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
