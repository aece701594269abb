"""Splits on their way to the recorded ones: read, begun, and what requests go by meanwhile.

`kept_shift.py` says where one is, `canary.py` when it moves, `shifting.py` moves it.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache

from inference_provider.desired import DesiredResource
from inference_provider.errors import TargetError
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.spec.rollout_plan import RolloutPlan
from inference_provider.workspace.corrupt import SHIFTS
from inference_provider.workspace.kept_shift import Phase, Shift, is_whole, served, steps_of
from inference_provider.workspace.ports import Records
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import RouterStatus


def shift_of(state: State, traffic: Record) -> Shift | None:
    """Return how a recorded split is on its way; None where it is in force.

    Raises:
        TargetError: What is kept of it cannot be read: nobody knows what requests go by.
    """
    found = _kept(state, traffic.id.name)
    return found if found and found.is_of(traffic) else None


def _kept(state: State, endpoint: str) -> Shift | None:
    return state.document(SHIFTS, endpoint, Shift.model_validate_json)


def in_force(
    state: State, records: Iterable[Record], serves: Callable[[], RouterStatus]
) -> list[Record]:
    """Return records that say of splits what requests go by.

    Where what is kept of one cannot be read, its endpoint keeps what the router serves: others are
    changed meanwhile. A router that starts goes by what it served last, as far as it knows that,
    and else by the recorded split: nobody would be served otherwise.

    Raises:
        TargetError: What is kept of one cannot be read, and the router does not say what it serves.
    """
    shifts, faults = state.readable_section(SHIFTS, Shift.model_validate_json)
    if not shifts and not faults:
        return [*records]
    served = _Served(faults, serves)
    return [_in_force(one, shifts, served) if _is_split(one) else one for one in records]


def _is_split(record: Record) -> bool:
    return record.id.kind == Kind.TRAFFIC


class _Served:
    """The splits that a router serves, for rollouts that cannot be read. It is asked once."""

    def __init__(
        self, faults: Mapping[str, TargetError], serves: Callable[[], RouterStatus]
    ) -> None:
        self.faults = faults
        self._serves = cache(serves)

    def of(self, traffic: Record) -> Record:
        """Return the record of a split, with what requests go by now."""
        said = self._serves()
        name, weights, mirrors = traffic.id.name, said.weights or {}, said.mirrors or {}
        if said.runs and (said.weights is None or said.mirrors is None):
            raise self.faults[name]
        if not said.runs and name not in weights:
            return traffic
        shown = {"traffic": weights.get(name, {}), "mirror_traffic": mirrors.get(name, {})}
        return traffic.model_copy(update={"properties": {**traffic.properties, **shown}})


def _in_force(record: Record, shifts: Mapping[str, Shift], served: _Served) -> Record:
    if record.id.name in served.faults:
        return served.of(record)
    found = shifts.get(record.id.name)
    return found.on_the_way(record) if found and found.is_of(record) else record


def unreadable_rollouts(state: State) -> dict[str, str]:
    """Return why what is kept of a split on its way cannot be read, by endpoint."""
    _, faults = state.readable_section(SHIFTS, Shift.model_validate_json)
    return {endpoint: str(fault) for endpoint, fault in faults.items()}


def is_any_moving(state: State) -> bool:
    """Whether a split is on its way; one that cannot be read may be."""
    try:
        shifts = state.section(SHIFTS, Shift.model_validate_json).values()
    except TargetError:
        return True
    return any(one.phase == Phase.MOVING for one in shifts)


def put_shift(records: Records, endpoint: str, shift: Shift) -> None:
    """Save where the split of an endpoint is; inside an edit."""
    records.put(SHIFTS, endpoint, shift.model_dump_json(indent=1))


def generations(state: State, traffic: ResourceId, names: Iterable[str]) -> dict[str, str]:
    """Return the generations of deployments of an endpoint, by name, as far as they are known."""
    found = dict[str, str]()
    for name in names:
        full = f"{traffic.name}/{name}"
        id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace=traffic.workspace, name=full)
        with suppress(TargetError):  # an unreadable one is told as such
            if record := state.record(id_):
                found[name] = record.generation
    return found


def settle(  # noqa: PLR0917 - one caller, which has them all
    state: State,
    records: Records,
    desired: DesiredResource,
    before: Record | None,
    actor: Actor,
    now: datetime,
) -> Shift | None:
    """Begin a split's way to what is desired, go on with it, or end it; inside an edit.

    One that has gone back, or is held, stays so as long as all is as it was then: another plan,
    split or generation begins it again. Only another split takes the one in force as its origin.

    Returns:
        Where it is now; None where the desired split is in force at once.

    Raises:
        TargetError: What is kept of it cannot be read.
    """
    plan, goal = desired.spec.rollout, dict(desired.properties["traffic"])
    if not plan or desired.at_once or not is_whole(goal):
        records.drop(SHIFTS, desired.id.name)
        return None
    # a record that could not be read was set aside, and what requests go by stays known
    there = shift_of(state, before) if before else _kept(state, desired.id.name)
    is_same = there is not None and served(there.goal) == served(goal)
    recorded = before.properties["traffic"] if before else {}
    origin = dict((there.origin if is_same else there.in_force) if there else recorded)
    if not is_whole(origin) or served(origin) == served(goal):
        records.drop(SHIFTS, desired.id.name)
        return None
    shift = Shift(
        origin=origin,
        goal=goal,
        steps=steps_of(plan),
        since=now,
        began=now,
        actor=actor,
    )
    running = generations(state, desired.id, shift.gaining)
    shift = shift.model_copy(update={"generations": running})
    if there and is_same:
        as_planned = _way_of(before) == plan.way if before else there.steps == shift.steps
        shift = shift.following(there, as_planned=as_planned)
    put_shift(records, desired.id.name, shift)
    return shift


def _way_of(record: Record) -> RolloutPlan | None:
    with suppress(ValueError):  # of a newer release: another one
        return RolloutPlan.model_validate(record.properties.get("rollout")).way
    return None


def share_on_the_way(state: State, traffic: Record, deployment: str) -> int:
    """Return what a deployment carries, or would get back, while a split is on its way.

    Raises what `shift_of` does.
    """
    found = shift_of(state, traffic)
    if found is None:
        return 0
    return max(found.in_force.get(deployment, 0), found.origin.get(deployment, 0))
