"""A plan as text and as JSON.

Goes in: a Plan. Comes out: lines or JSON values, no secret in any.
"""

from typing import Any

from inference_provider.plan import Action, ActionKind, Plan
from inference_provider.secret_text import masked

_MARK = {
    ActionKind.CREATE: "+",
    ActionKind.UPDATE: "~",
    ActionKind.REPLACE: "-/+",
    ActionKind.RECREATE: "-/+",
    ActionKind.DELETE: "-",
    ActionKind.HAND_OVER: ">",
}
_COUNTED = tuple(_MARK)


def plan_lines(plan: Plan) -> list[str]:
    """Write one line an action, its changes below, and a verdict at the end."""
    lines = []
    for action in plan.pending:
        lines.append(f"{_MARK[action.kind]:>3} {action.id}")
        lines += [f"      {change}" for change in action.changes]
        lines += [f"      {reason}" for reason in (action.unreadable, action.repairs) if reason]
    return [*lines, verdict(plan)]


def verdict(plan: Plan) -> str:
    """Say in one line what would be done: `2 to create, 1 to update; 5 unchanged`."""
    kept = sum(action.kind == ActionKind.KEEP for action in plan.actions)
    if not plan.pending:
        return f"no changes; {kept} unchanged"
    counts = {kind: sum(a.kind == kind for a in plan.pending) for kind in _COUNTED}
    parts = [f"{count} to {kind.value}" for kind, count in counts.items() if count]
    return f"{', '.join(parts)}; {kept} unchanged"


def plan_json(plan: Plan) -> list[dict[str, Any]]:
    """Return the pending actions as JSON values."""
    return [_action_json(action) for action in plan.pending]


def _action_json(action: Action) -> dict[str, Any]:
    changes = [
        {
            "path": change.path,
            "old": masked(change.old),
            "new": masked(change.new),
            "class": change.change_class.value,
            "severity": change.severity.value,
        }
        for change in action.changes
    ]
    return {
        "action": action.kind.value,
        "kind": action.id.kind.value,
        "workspace": action.id.workspace,
        "name": action.id.name,
        "changes": changes,
    }
