"""plan + target -> observed: the one function that changes the world.

`order.py` says which actions wait for which, and `schedule.py` runs the others concurrently.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from inference_provider.desired import DesiredResource, reference
from inference_provider.errors import CapabilityMissing, Interrupted, at_most
from inference_provider.gpu_wishes import asks_for_gpus, chosen_gpus, gpu_refusals, surge_refusals
from inference_provider.observed import Actor, Kind, ObservedResource, ObservedState, ResourceId
from inference_provider.order import Stage, stages
from inference_provider.plan import (
    Action,
    ActionKind,
    Plan,
    over_quota,
    replaced_under_others,
)
from inference_provider.plan_roles import lacking_roles
from inference_provider.refusals import refusals
from inference_provider.schedule import Calls, default_parallel, run
from inference_provider.secret_text import Secrets, hidden
from inference_provider.spec.quota import size_of
from inference_provider.spec.reference import Reference
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.ports import Progress, silent
from inference_provider.workspace.rolling import ForEach, Roll, in_turn

Finished = Callable[[Action, ObservedResource | None], None]
"""Told after each action the resource as it is now; None after a deletion."""


def nobody(_action: Action, _observed: ObservedResource | None) -> None:
    """A Finished that does nothing."""


def refuse_unsupported(
    plan: Plan, target: Engine, observed: ObservedState | None = None, user: str = ""
) -> None:
    """Raise one CapabilityMissing that names everything that cannot be done.

    Args:
        plan: What to do.
        target: Where to do it.
        observed: The state before; without it, quotas and roles are not checked.
        user: Who asks.
    """
    wanted = [action.desired for action in plan.actions if action.desired]
    refused = refusals(wanted, target.capabilities)
    refused += gpu_refusals(_taking_gpus(plan), target.capabilities, together=True)
    found = [*map(str, refused), *replaced_under_others(plan), *_unheld(plan, target)]
    if observed is not None:
        records = ((one, observed.get(one.id).record) for one in _taking_gpus(plan))
        found += map(str, surge_refusals(records, target.capabilities))
        found += over_quota(plan, observed)
        found += lacking_roles(plan, observed, user)
    if found:
        raise CapabilityMissing(
            "plan", "the stack", "".join(f"\n  {line}" for line in at_most(found))
        )


def _taking_gpus(plan: Plan) -> list[DesiredResource]:
    """Return deployments that will take GPUs, and the workspaces; what stays keeps those it has."""
    wanted = [action.desired for action in plan.actions if action.desired]
    spaces = [resource for resource in wanted if resource.id.kind == Kind.WORKSPACE]
    changing = [action.desired for action in plan.pending if action.desired]
    return [*spaces, *filter(asks_for_gpus, changing)]


def _with_gpus(plan: Plan, target: Engine) -> Plan:
    """Choose GPUs for all deployments at once: which the first of them took could be another's."""
    chosen = chosen_gpus(_taking_gpus(plan), target.capabilities)
    given = {
        action.id: action.desired.model_copy(update={"gpus": chosen[action.id]})
        for action in plan.pending
        if action.desired and action.id in chosen
    }
    actions = (
        action.model_copy(update={"desired": given.get(action.id, action.desired)})
        for action in plan.actions
    )
    return Plan(actions=tuple(actions))


def _unheld(plan: Plan, target: Engine) -> Iterator[str]:
    """Yield a sentence for each pinned content that is neither declared nor kept."""
    declared = {
        (action.id.kind, action.id.workspace, str(reference(action.desired.spec)))
        for action in plan.actions
        if action.desired and action.id.kind in (Kind.MODEL, Kind.ENVIRONMENT)
    }
    for action in plan.pending:
        if action.desired is None or action.id.kind != Kind.DEPLOYMENT:
            continue
        for kind in (Kind.MODEL, Kind.ENVIRONMENT):
            field = kind.value.lower()
            pinned = Reference.parse(getattr(action.desired.spec, field) or "")
            asset = (kind, action.id.workspace, str(pinned))
            if pinned.name and asset not in declared and not target.holds(*asset):
                yield (
                    f"{action.id}: {field}: content {pinned.digest[:12]} of '{pinned.asset}' is"
                    " neither declared nor in the workspace;"
                    f" write '{pinned.asset}' to use what is declared"
                )


def apply(  # noqa: PLR0917 - callers name the optional ones
    plan: Plan,
    target: Engine,
    actor: Actor,
    progress: Progress = silent,
    finished: Finished = nobody,
    parallel: int = 1,
) -> None:
    """Do every action of a plan, independent ones concurrently.

    Args:
        plan: What to do.
        target: Where to do it. Called from several threads when `parallel` is more than 1.
        actor: Who asks.
        progress: Told each step, in the thread that does it.
        finished: Told each completed action, in the caller's thread.
        parallel: How many deployments and environments may start or build at once; 1 does every
            action in the plan's order.

    Raises:
        CapabilityMissing: The target cannot do all of it; raised before any change.
        TargetError: From the action that failed. No new action begins after it, running ones are
            awaited, and completed ones stay.
        SeveralFailed: More than one action failed.
    """
    refuse_unsupported(plan, target)
    plan = _with_gpus(plan, target)

    for_each = concurrently(target, ActionKind.UPDATE, progress, parallel)
    going = {a.id for a in plan.pending if a.kind == ActionKind.DELETE and a.desired is None}

    def call(action: Action) -> ObservedResource | None:
        return execute(action, target, actor, progress, for_each, going=going)

    for stage in stages(plan):
        _do(stage, call, finished, progress, parallel)


def at_once(target: Engine) -> int:
    """Return how many servers start side by side when nobody says."""
    return target.capabilities.parallel or default_parallel()


def concurrently(target: Engine, kind: ActionKind, progress: Progress, parallel: int) -> ForEach:
    """Return what rolls recorded deployments concurrently, as `apply` does those of a plan.

    Args:
        target: Whose GPUs they share.
        kind: UPDATE where instances run, beside which there may be no room for all new ones at
            once; CREATE where none do.
        progress: Told which deployments failed.
        parallel: How many may start at once; 1 does one after another.
    """

    def for_each(deployments: Sequence[DesiredResource], roll: Roll) -> None:
        def call(action: Action) -> None:
            if action.desired is not None:
                with hiding(action.desired.placeholders):
                    roll(action.desired)

        actions = tuple(Action(kind=kind, id=one.id, desired=one) for one in deployments)
        stage, _ = stages(_with_gpus(Plan(actions=actions), target))
        _do(stage, call, nobody, progress, parallel, goes_on=True)

    return for_each


def _do(
    stage: Stage,
    call: Callable[[Action], ObservedResource | None],
    finished: Finished,
    progress: Progress,
    parallel: int,
    *,
    goes_on: bool = False,
) -> None:
    actions = stage.actions
    work = frozenset(i for i, action in enumerate(actions) if _is_work(action))

    def do(i: int) -> ObservedResource | None:
        try:
            return call(actions[i])
        except Exception as exc:
            # raised only once all running actions have ended
            if parallel > 1 and not isinstance(exc, Interrupted):
                progress(actions[i].id, "failed; waiting for what is under way")
            raise

    calls = Calls(do, stage.waits, work, goes_on)
    run(calls, lambda i, there: finished(actions[i], there), parallel)


def _is_work(action: Action) -> bool:
    """Whether an action starts or builds something; other actions edit records and wait."""
    if action.desired is None:
        return False
    if action.id.kind == Kind.DEPLOYMENT:
        return bool(size_of(action.desired.spec).instances)
    return action.id.kind in (
        Kind.WORKSPACE,
        Kind.MODEL,
        Kind.ENVIRONMENT,
        Kind.AUTOSCALE_RULE,
    )


def execute(
    action: Action,
    target: Engine,
    actor: Actor,
    progress: Progress = silent,
    for_each: ForEach = in_turn,
    *,
    going: Collection[ResourceId] = (),
) -> ObservedResource | None:
    """Do one action; return the resource as it is now, None after a deletion.

    What is `going` is deleted by other actions of the same plan.
    """
    if action.kind == ActionKind.HAND_OVER:
        target.transfer(action.id, action.heir, actor)
        progress(action.id, f"handed over to stack '{action.heir}', which uses it")
        return target.observe_one(action.id)
    if action.desired is None:
        target.delete(action.id, action.owner, actor, progress, going=going)
        return None
    if action.kind == ActionKind.REPLACE:
        target.delete(action.id, action.desired.owner, actor, progress)
    with hiding(action.desired.placeholders):
        return target.apply(action.desired, actor, progress, for_each)


@contextmanager
def hiding(placeholders: Secrets) -> Iterator[None]:
    """Hide the values of placeholders, and the userinfo of URLs, in an error's message."""
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
