"""plan + target -> observed: the one function that changes the world."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inference_provider.capabilities import refusals
from inference_provider.desired import reference
from inference_provider.errors import CapabilityMissing, at_most
from inference_provider.observed import Actor, Kind, ObservedResource, ObservedState
from inference_provider.plan import (
    Action,
    ActionKind,
    Plan,
    over_quota,
    replaced_under_others,
)
from inference_provider.secret_text import Secrets, hidden
from inference_provider.targets.base import Target
from inference_provider.workspace.ports import Progress, silent

Finished = Callable[[Action, ObservedResource | None], None]
"""Told after each action what is there now; None after a deletion."""


def nobody(_action: Action, _observed: ObservedResource | None) -> None:
    """A Finished that tells nobody."""


def refuse_unsupported(plan: Plan, target: Target, observed: ObservedState | None = None) -> None:
    """Raise one CapabilityMissing that names everything the target cannot do.

    Args:
        plan: What is to be done.
        target: Where.
        observed: What is there; quotas are not looked at without it.
    """
    refused = refusals((a.desired for a in plan.actions if a.desired), target.capabilities)
    found = [*map(str, refused), *replaced_under_others(plan), *_unheld(plan, target)]
    found += over_quota(plan, observed) if observed is not None else ()
    if found:
        raise CapabilityMissing(
            "plan", "the stack", "".join(f"\n  {line}" for line in at_most(found))
        )


def _unheld(plan: Plan, target: Target) -> Iterator[str]:
    """Yield a sentence for each pinned content that is neither declared nor there."""
    declared = {
        (action.id.kind, action.id.workspace, reference(action.desired.spec))
        for action in plan.actions
        if action.desired and action.id.kind in (Kind.MODEL, Kind.ENVIRONMENT)
    }
    for action in plan.pending:
        if action.desired is None or action.id.kind != Kind.DEPLOYMENT:
            continue
        for kind in (Kind.MODEL, Kind.ENVIRONMENT):
            field = kind.value.lower()
            pinned = (getattr(action.desired.spec, field) or "").removeprefix("azureml:")
            asset = (kind, action.id.workspace, pinned)
            if pinned and asset not in declared and not target.holds(*asset):
                name, _, digest = pinned.partition("@sha256:")
                yield (
                    f"{action.id}: {field}: content {digest[:12]} of '{name}' is neither declared"
                    f" nor in the workspace; write '{name}' to use what is declared"
                )


def apply(
    plan: Plan,
    target: Target,
    actor: Actor,
    progress: Progress = silent,
    finished: Finished = nobody,
) -> None:
    """Do every action of a plan in order; stops at the first that fails.

    Raises:
        CapabilityMissing: Before anything is changed, when the target cannot do all of it.
        TargetError: From the action that failed; those before it stay done.
    """
    refuse_unsupported(plan, target)
    for action in plan.pending:
        finished(action, execute(action, target, actor, progress))


def execute(
    action: Action, target: Target, actor: Actor, progress: Progress = silent
) -> ObservedResource | None:
    """Do one action; return what is there now, None after a deletion."""
    if action.kind == ActionKind.HAND_OVER:
        target.transfer(action.id, action.heir, actor)
        progress(action.id, f"handed over to stack '{action.heir}', which lives in it")
        return target.observe_one(action.id)
    if action.desired is None:
        target.delete(action.id, action.owner, actor, progress)
        return None
    if action.kind == ActionKind.REPLACE:
        target.delete(action.id, action.desired.owner, actor, progress)
    with hiding(action.desired.placeholders):
        return target.apply(action.desired, actor, progress)


@contextmanager
def hiding(placeholders: Secrets) -> Iterator[None]:
    """Take what placeholders stood for, and the userinfo of URLs, out of an error's message."""
    try:
        yield
    except Exception as exc:
        fault: BaseException | None = exc
        while fault is not None:
            fault.args = tuple(
                hidden(a, placeholders) if isinstance(a, str) else a for a in fault.args
            )
            fault = fault.__cause__ or fault.__context__
        raise
