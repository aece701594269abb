"""Splits on their way in one workspace, and the edits that move them.

Nobody waits in them for a step: whoever watches calls `move` for each.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from inference_provider.canary import Move
from inference_provider.errors import TargetError
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.spec.rollout_plan import RolloutPlan
from inference_provider.workspace.convergence import Publish
from inference_provider.workspace.corrupt import SHIFTS
from inference_provider.workspace.kept_shift import Phase, Shift
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.shifts import generations, put_shift, shift_of

_FURTHER = frozenset({Move.STEP, Move.FINISH})
"""Moves that give more requests to what has baked."""


@dataclass(frozen=True)
class UnderWay:
    """A split that moves, as somebody has seen it."""

    id: ResourceId
    """Of the Traffic."""
    plan: RolloutPlan | None
    """None where it is of a newer release, so that nobody here can go by it."""
    shift: Shift
    generations: Mapping[str, str]
    """Those of the deployments that gain requests now, by name, as far as they are known."""

    @property
    def renewed(self) -> tuple[str, ...]:
        """The deployments that gain requests and are not what has baked, by name."""
        return self.shift.renewed(self.generations)

    @property
    def gaining(self) -> tuple[str, ...]:
        """The deployments whose health decides, as `<endpoint>/<deployment>`."""
        return tuple(f"{self.id.name}/{name}" for name in self.shift.gaining)


def under_way(workspace: Workspace) -> tuple[UnderWay, ...]:
    """Return the splits that move, by endpoint; skips what cannot be read."""
    records, found = workspace.ports.records, list[UnderWay]()
    if not records.exists():
        return ()
    for endpoint in records.section(SHIFTS):
        id_ = ResourceId(kind=Kind.TRAFFIC, workspace=records.workspace, name=endpoint)
        with suppress(TargetError):  # which is told where the split is observed
            if (one := _seen(workspace, id_)) and one.shift.phase == Phase.MOVING:
                found.append(one)
    return tuple(found)


def _seen(workspace: Workspace, traffic: ResourceId) -> UnderWay | None:
    record = workspace.state.record(traffic)
    shift = shift_of(workspace.state, record) if record else None
    if record is None or shift is None:
        return None
    plan = None
    with suppress(ValueError):
        plan = RolloutPlan.model_validate(record.properties.get("rollout"))
    running = generations(workspace.state, traffic, shift.gaining)
    return UnderWay(traffic, plan, shift, running)


def move(workspace: Workspace, seen: UnderWay, what: Move, why: str, actor: Actor) -> None:
    """Move a split and write down why; nothing happens when it is not as it was seen.

    One that is to stay bakes its step from now on, and is published: nobody has watched it for a
    while, and whoever moved it last may have been killed before it was in force.

    Raises:
        InferenceError: The router did not take it, or somebody else edits; nothing has changed.
    """
    now, shift = workspace.clock.now(), seen.shift
    after = {
        Move.STAY: shift.model_copy(update={"since": now}),
        Move.AGAIN: shift.again(seen.generations, now),
        Move.STEP: shift.model_copy(update={"step": shift.step + 1, "since": now}),
        Move.FINISH: None,
        Move.BACK: shift.model_copy(update={"phase": Phase.BACK, "since": now, "why": why}),
        Move.HOLD: shift.model_copy(update={"phase": Phase.HELD, "since": now, "why": why}),
    }[what]
    if _replace(workspace, seen, what, after) and what != Move.STAY:
        workspace.note(seen.id, actor, str(what), ("traffic",), why)


def _replace(workspace: Workspace, seen: UnderWay, what: Move, after: Shift | None) -> bool:
    """Put another one in the place of what was seen, and publish it; return whether it was so."""
    records, replaced = workspace.ports.records, False

    def edit() -> None:
        nonlocal replaced
        record = workspace.state.record(seen.id)
        now = shift_of(workspace.state, record) if record else None
        # it may have begun to bake again since, which changes nothing for who wants to move it
        replaced = now is not None and _at(now) == _at(seen.shift)
        if replaced and what in _FURTHER:  # not what has come meanwhile
            running = generations(workspace.state, seen.id, seen.shift.gaining)
            replaced = running == seen.generations
        if replaced and after:
            put_shift(records, seen.id.name, after)
        elif replaced:
            records.drop(SHIFTS, seen.id.name)

    workspace.convergence.change(edit, Publish.WHILE_IT_RUNS)
    return replaced


def _at(shift: Shift) -> Shift:
    """Return where it is, whenever it came there."""
    return shift.model_copy(update={"since": shift.began})
