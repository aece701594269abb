"""How much of a workspace's quota its deployments use, including those being started.

A reservation is written before the first instance starts and dropped in the edit that admits them.
A reservation whose deployment lock is free was left by a caller that was killed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from inference_provider.desired import DesiredResource
from inference_provider.errors import Busy, OutOfCapacity
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.spec.quota import Size, most_of, quota_fault, recorded_size, size_of, total
from inference_provider.workspace.convergence import Publish
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import Records
from inference_provider.workspace.reservation import Reservation
from inference_provider.workspace.state import State, deployment_lock

CHANGE_WAIT_S = 400.0
"""Longest wait for another change of the same deployment: its requests may take 180 s to drain, and
as long to be cut off."""


@contextmanager
def reserved(workspace: Workspace, desired: DesiredResource, actor: Actor) -> Iterator[None]:
    """Count a deployment's instances in the quota while they start; hold its lock.

    Raises:
        OutOfCapacity: The quota would be exceeded; lists what is in use and what is being started.
    """
    name, state = desired.id.name, workspace.state
    size = size_of(desired.spec, most_of(state.rule_of(desired.id)))
    if not size.instances:
        yield
        return

    def edit() -> None:
        _refuse_over_quota(workspace.ports.records, state, desired)
        now = workspace.clock.now()
        state.put_reservation(name, Reservation(size=size, actor=actor, time=now))

    workspace.convergence.change(edit, Publish.NEVER)
    try:
        yield
    finally:
        state.drop_reservation(name)


def _refuse_over_quota(records: Records, state: State, desired: DesiredResource) -> None:
    place = desired.id.workspace
    workspace = state.record(ResourceId.of_workspace(place))
    quota = workspace.properties["quota"] if workspace else {}
    if not any(limit is not None for limit in quota.values()):
        return
    starting = dict(_starting(records, state, desired.id.name))
    most = {name: rule.most_ever for name, rule in state.rules().items()}
    sizes = {
        r.id.name: recorded_size(r.properties, most.get(r.id.name, 0))
        for r in state.of_kind(Kind.DEPLOYMENT)
    }
    for name, reservation in starting.items():
        before = sizes.get(name, Size())
        sizes[name] = Size(*map(max, before, reservation.size))
    sizes[desired.id.name] = size_of(desired.spec, most.get(desired.id.name, 0))
    exceeded = quota_fault(total(sizes.values()), quota)
    if exceeded:
        field, reason = exceeded
        others = "; ".join(
            f"{name} is being started by {reservation.actor}"
            for name, reservation in sorted(starting.items())
        )
        remedy = f"raise quota.{field}, or scale another deployment in"
        told = f"{reason} ({others})" if others else reason
        raise OutOfCapacity("start", str(desired.id), told, remedy)


def _starting(records: Records, state: State, own: str) -> Iterator[tuple[str, Reservation]]:
    """Yield what others reserved; drop a reservation whose deployment lock is free."""
    for name, reservation in state.reservations().items():
        if name == own:
            continue
        try:
            with records.lock(deployment_lock(name), wait_s=0):
                state.drop_reservation(name)
        except Busy:
            yield name, reservation
