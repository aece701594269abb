"""Splits that an `up` has begun to move -> their end, where their plan says to wait for it.

The service of a workspace moves them; here they are only looked at, and nothing is held.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from inference_provider.desired import DesiredResource
from inference_provider.errors import InferenceError, NotReady, RolloutFailed, SeveralFailed
from inference_provider.observed import Kind, ObservedResource, Presence, ResourceId
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.ports import Clock, Progress
from inference_provider.workspace.system_clock import SystemClock

_PAUSE_S = 2.0
_OPERATION = "wait for the rollout of"


@dataclass(frozen=True)
class _Awaited:
    id: ResourceId
    """Of the Traffic."""
    goal: dict[str, Any]
    limit_s: float


def await_rollouts(
    wanted: Iterable[DesiredResource],
    target: Engine,
    progress: Progress,
    clock: Clock | None = None,
) -> None:
    """Wait until the splits whose plan says so are in force.

    Args:
        wanted: What is applied by now; others than these splits are passed over.
        target: Where it is.
        progress: Told each step that is reached.
        clock: This machine's when left out.

    Raises:
        RolloutFailed: One went back or is held, or somebody has set another split meanwhile.
        NotReady: One takes longer than its plan lets an `up` wait; it goes on.
        SeveralFailed: More than one of these.
    """
    awaited, faults = [*_awaited(wanted)], list[Exception]()
    clock = clock or SystemClock()
    began_s, said = clock.monotonic_s(), dict[ResourceId, str]()
    while awaited:
        moving = list[_Awaited]()
        for one in awaited:
            there = target.observe_one(one.id)
            if fault := _fault(one, there, clock.monotonic_s() - began_s):
                faults.append(fault)
            elif there.under_way or there.presence == Presence.UNKNOWN:
                moving.append(one)
                _say(one, there, said, progress)
        if awaited := moving:
            clock.sleep(_PAUSE_S)
    if len(faults) > 1:
        raise SeveralFailed(tuple(faults))
    if faults:
        raise faults[0]


def _awaited(wanted: Iterable[DesiredResource]) -> Iterator[_Awaited]:
    for one in wanted:
        plan = one.spec.rollout if one.id.kind == Kind.TRAFFIC else None
        if plan and plan.wait_minutes is not None:
            yield _Awaited(one.id, dict(one.properties["traffic"]), 60 * plan.wait_minutes)


def _fault(one: _Awaited, there: ObservedResource, waited_s: float) -> InferenceError | None:
    """Return why there is nothing more to wait for; None where it moves, or is in force."""
    if there.presence == Presence.ABSENT:
        return _failed(one, "the split was deleted meanwhile", "apply the stack again")
    if there.presence != Presence.UNKNOWN:
        if there.origin and not there.under_way:  # an alarm has ended it
            return _failed(one, there.degraded, "see the journal")
        if there.record and there.record.properties.get("traffic") != one.goal:
            return _failed(one, "somebody has set another split meanwhile", "see the journal")
        if not there.under_way:
            return None
    if waited_s < one.limit_s:
        return None
    at = there.under_way or there.reason
    reason = f"not in force after {one.limit_s / 60:g} min: {at}"
    return NotReady(_OPERATION, str(one.id), reason, "it goes on; see its status")


def _failed(one: _Awaited, reason: str, remedy: str) -> RolloutFailed:
    return RolloutFailed(_OPERATION, str(one.id), reason, remedy)


def _say(
    one: _Awaited, there: ObservedResource, said: dict[ResourceId, str], progress: Progress
) -> None:
    at = there.under_way or there.reason
    if said.get(one.id) != at:
        said[one.id] = at
        progress(one.id, at)
