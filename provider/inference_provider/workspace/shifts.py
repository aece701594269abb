"""Splits on their way to the recorded ones: read, begun, and what requests go by meanwhile.

`kept_shift.py` says where one is, `canary.py` when it moves, `shifting.py` moves it.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime

from inference_provider.desired import DesiredResource
from inference_provider.errors import TargetError
from inference_provider.observed import Actor, Kind, Record
from inference_provider.workspace.kept_shift import Phase, Shift, is_whole, steps_of
from inference_provider.workspace.ports import Records
from inference_provider.workspace.state import SHIFTS, State


def shift_of(state: State, traffic: Record) -> Shift | None:
    """Return how a recorded split is on its way; None where it is in force.

    Raises:
        TargetError: What is kept of it cannot be read: nobody knows what requests go by.
    """
    found = state.document(SHIFTS, traffic.id.name, Shift.model_validate_json)
    return found if found and found.is_of(traffic) else None


def in_force(state: State, records: Iterable[Record]) -> list[Record]:
    """Return records that say of splits what requests go by. Raises what `shift_of` does."""
    shifts = state.section(SHIFTS, Shift.model_validate_json)
    return [_in_force(record, shifts) for record in records] if shifts else [*records]


def _in_force(record: Record, shifts: Mapping[str, Shift]) -> Record:
    if record.id.kind != Kind.TRAFFIC:
        return record
    found = shifts.get(record.id.name)
    return found.on_the_way(record) if found and found.is_of(record) else record


def is_any_moving(state: State) -> bool:
    """Whether a split is on its way, as far as that can be read."""
    with suppress(TargetError):
        shifts = state.section(SHIFTS, Shift.model_validate_json).values()
        return any(one.phase == Phase.MOVING for one in shifts)
    return False


def put_shift(records: Records, endpoint: str, shift: Shift) -> None:
    """Save where the split of an endpoint is; inside an edit."""
    records.put(SHIFTS, endpoint, shift.model_dump_json(indent=1))


def settle(  # noqa: PLR0917 - one caller, which has them all
    state: State,
    records: Records,
    desired: DesiredResource,
    before: Record | None,
    actor: Actor,
    now: datetime,
) -> Shift | None:
    """Begin a split's way to what is desired, go on with it, or end it; inside an edit.

    One that has gone back, or is held, begins again, from the split in force.

    Returns:
        Where it is now; None where the desired split is in force at once.
    """
    there, plan = before and shift_of(state, before), desired.spec.rollout
    goal = dict(desired.properties["traffic"])
    origin = dict(there.in_force if there else before.properties["traffic"] if before else {})
    moves = plan and not desired.at_once and is_whole(origin) and is_whole(goal)
    if not moves or _shares(origin) == _shares(goal):
        records.drop(SHIFTS, desired.id.name)
        return None
    goes_on = (
        there
        and there.phase == Phase.MOVING
        and there.steps == steps_of(plan)
        and _shares(there.goal) == _shares(goal)
    )
    shift = (
        there.model_copy(update={"goal": goal})
        if there and goes_on
        else Shift(
            origin=origin, goal=goal, steps=steps_of(plan), since=now, began=now, actor=actor
        )
    )
    put_shift(records, desired.id.name, shift)
    return shift


def _shares(split: Mapping[str, int]) -> dict[str, int]:
    return {name: share for name, share in split.items() if share}


def share_on_the_way(state: State, traffic: Record, deployment: str) -> int:
    """Return what a deployment carries, or would get back, while a split is on its way."""
    try:
        found = shift_of(state, traffic)
    except TargetError:
        return 0  # it is told as such elsewhere, and what is recorded counts
    if found is None:
        return 0
    return max(found.in_force.get(deployment, 0), found.origin.get(deployment, 0))
