"""Splits that an `up` has begun to move -> their end, where their plan says to wait for it.

The service of a workspace moves them; here they are only looked at, and nothing is held.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from inference_provider.desired import DesiredResource
from inference_provider.errors import InferenceError, NotReady, RolloutFailed, SeveralFailed
from inference_provider.observed import Kind, ObservedResource, Presence, ResourceId
from inference_provider.workspace.ports import Clock, Progress
from inference_provider.workspace.system_clock import SystemClock

_PAUSE_S = 2.0
_OPERATION = "wait for the rollout of"


class Target(Protocol):
    """Says what is there of one resource; an `Engine`."""

    def observe_one(self, id_: ResourceId, /) -> ObservedResource: ...


@dataclass(frozen=True)
class _Awaited:
    id: ResourceId
    """Of the Traffic."""
    goal: dict[str, Any]
    limit_s: float


def await_rollouts(
    wanted: Iterable[DesiredResource],
    target: Target,
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
        NotReady: One takes longer than its plan lets an `up` wait; it goes on, where the service
            of its workspace does.
        SeveralFailed: More than one of these.
    """
    awaited, faults = [*_awaited(wanted)], list[Exception]()
    clock = clock or SystemClock()
    began_s, tell = clock.monotonic_s(), _Told(progress)
    while awaited:
        moving, found = list[_Awaited](), list[tuple[_Awaited, InferenceError]]()
        for one in awaited:
            try:
                there = target.observe_one(one.id)
                lost = _lost(target, one) if _moves(there) else ""
                fault = _fault(one, there, clock.monotonic_s() - began_s, lost)
            except InferenceError as error:  # what is found of the others is told even so
                fault = error
            if fault:
                found.append((one, fault))
            elif _moves(there):
                moving.append(one)
                tell(one.id, "; ".join(filter(None, (_at(there), lost))))
        faults += [fault for _, fault in found]
        if awaited := moving:
            for one, fault in found:  # the last ones are told by the error
                tell(one.id, getattr(fault, "reason", str(fault)))
            clock.sleep(_PAUSE_S)
    if len(faults) > 1:
        raise SeveralFailed(tuple(faults))
    if faults:
        raise faults[0]


class _Told:
    """Tells of each split what has not been told last."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last: dict[ResourceId, str] = {}

    def __call__(self, resource: ResourceId, said: str) -> None:
        if self._last.get(resource) != said:
            self._last[resource] = said
            self._progress(resource, said)


def _awaited(wanted: Iterable[DesiredResource]) -> Iterator[_Awaited]:
    for one in wanted:
        plan = one.spec.rollout if one.id.kind == Kind.TRAFFIC else None
        if plan and plan.wait_minutes is not None:
            yield _Awaited(one.id, dict(one.properties["traffic"]), 60 * plan.wait_minutes)


def _moves(there: ObservedResource) -> bool:
    return bool(there.under_way) or there.presence == Presence.UNKNOWN


def _at(there: ObservedResource) -> str:
    """Say how far a split is, or why that is not known."""
    return there.under_way or there.reason


def _lost(target: Target, one: _Awaited) -> str:
    """Say what of its workspace does not run: without the service no split moves on."""
    there = target.observe_one(ResourceId.of_workspace(one.id.workspace))
    return f"the workspace: {there.degraded}" if there.degraded else ""


def _fault(
    one: _Awaited, there: ObservedResource, waited_s: float, lost: str
) -> InferenceError | None:
    """Return why there is nothing more to wait for; None where it moves, or is in force."""
    if there.presence == Presence.ABSENT:
        return _failed(one, "the split was deleted meanwhile", "apply the stack again")
    if there.presence != Presence.UNKNOWN:
        if there.origin and not there.under_way:  # an alarm has ended it
            return _failed(one, there.degraded, "`inferctl journal` tells when")
        if there.record and there.record.properties.get("traffic") != one.goal:
            who = "`inferctl journal` tells who"
            return _failed(one, "somebody has set another split meanwhile", who)
    if not _moves(there) or waited_s < one.limit_s:
        return None
    told = "; ".join(filter(None, (_at(there), lost)))
    goes_on = there.under_way and not lost
    remedy = "it goes on; `inferctl status` tells how far" if goes_on else "see `inferctl status`"
    reason = f"not in force after {one.limit_s / 60:g} min: {told}"
    return NotReady(_OPERATION, str(one.id), reason, remedy)


def _failed(one: _Awaited, reason: str, remedy: str) -> RolloutFailed:
    return RolloutFailed(_OPERATION, str(one.id), reason, remedy)
