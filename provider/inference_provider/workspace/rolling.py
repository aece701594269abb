"""Every recorded deployment of a workspace, made to run as it is recorded."""

from collections.abc import Callable, Sequence

from inference_provider.desired import DesiredResource
from inference_provider.errors import InferenceError, Interrupted, SeveralFailed
from inference_provider.observed import Actor, Kind, Record
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import Progress
from inference_provider.workspace.rollout import Rollout
from inference_provider.workspace.units import recorded_deployment

Roll = Callable[[DesiredResource], object]
ForEach = Callable[[Sequence[DesiredResource], Roll], None]
"""Calls the second for each of the first, and then raises all failures; none holds up another."""


def _any(_record: Record) -> bool:
    return True


def roll_recorded(
    workspace: Workspace,
    actor: Actor,
    progress: Progress,
    for_each: ForEach,
    which: Callable[[Record], bool] = _any,
) -> None:
    """Make recorded deployments run as they are recorded; one that fails holds up no other.

    Raises:
        SeveralFailed: More than one failed.
    """
    rollout, found = Rollout(workspace, actor, progress), list[DesiredResource]()
    for record in filter(which, workspace.state.of_kind(Kind.DEPLOYMENT, "online")):
        desired = recorded_deployment(workspace.state, record)
        if desired is None:
            progress(record.id, "not started: its blueprint is gone; apply the stack again")
        else:
            found.append(desired)
    for_each(found, lambda desired: rollout.run(desired, recorded=True))


def in_turn(deployments: Sequence[DesiredResource], roll: Roll) -> None:
    """A ForEach that does one after another."""
    failures = list[InferenceError]()
    for desired in deployments:
        try:
            roll(desired)
        except Interrupted:
            raise
        except InferenceError as fault:
            failures.append(fault)
    if failures:
        raise failures[0] if len(failures) == 1 else SeveralFailed(failures)
