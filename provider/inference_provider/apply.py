"""plan + target -> observed: the one function that changes the world."""

from collections.abc import Callable

from inference_provider.errors import CapabilityMissing, at_most
from inference_provider.observed import Actor, ObservedResource
from inference_provider.plan import Action, ActionKind, Plan, refusals, replaced_under_others
from inference_provider.targets.base import Progress, Target, silent

Finished = Callable[[Action, ObservedResource | None], None]
"""Told after each action what is there now; None after a deletion."""


def _nobody(_action: Action, _observed: ObservedResource | None) -> None:
    pass


def refuse_what_cannot_be(plan: Plan, target: Target) -> None:
    """Raise one CapabilityMissing that names everything the target cannot do."""
    refused = refusals((a.desired for a in plan.actions if a.desired), target.capabilities)
    found = [*map(str, refused), *replaced_under_others(plan)]
    if found:
        raise CapabilityMissing(
            "plan", "the stack", "".join(f"\n  {line}" for line in at_most(found))
        )


def apply(
    plan: Plan,
    target: Target,
    actor: Actor,
    progress: Progress = silent,
    finished: Finished = _nobody,
) -> None:
    """Do every action of a plan in order; stops at the first that fails.

    Raises:
        CapabilityMissing: Before anything is changed, when the target cannot do all of it.
        TargetError: From the action that failed; those before it stay done.
    """
    refuse_what_cannot_be(plan, target)
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
    return target.apply(action.desired, actor, progress)
