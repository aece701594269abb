"""One recorded resource -> gone: from the router first, then its instances and documents.

`engine.py` checks who may delete it, and writes the journal.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from inference_provider.errors import Busy, InferenceError, StillHolds, StillServing
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.ownership import owned_by_another
from inference_provider.workspace.convergence import Publish
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import Platform
from inference_provider.workspace.rollout import (
    DRAIN_SLACK_S,
    Rollout,
    longest_request_s,
)
from inference_provider.workspace.state import RESERVATIONS, deployment_lock

_SHOWN = 5
DRAIN_POLL_S = 0.05
LEFT_DRAIN_S = 30.0
"""Longest wait for a request to a leftover instance of a deployment deleted earlier, seconds."""


def _nothing() -> None:
    pass


class Removal:
    """Deletes resources of one workspace."""

    def __init__(self, workspace: Workspace, platform: Platform, rollout: Rollout) -> None:
        self._platform = platform
        self._ports = workspace.ports
        self._state = workspace.state
        self._convergence = workspace.convergence
        self._clock = workspace.clock
        self._rollout = rollout

    def run(self, record: Record) -> None:
        """Delete the resource that a record describes.

        Raises:
            StillHolds: A workspace is not empty, or an endpoint has deployments.
            StillServing: The deployment carries weight.
        """
        {
            Kind.WORKSPACE: self._workspace,
            Kind.ENDPOINT: self._endpoint,
            Kind.DEPLOYMENT: self._deployment,
            Kind.TRAFFIC: self._served,
        }.get(record.id.kind, self._plain)(record)

    def _workspace(self, record: Record) -> None:
        with self._ports.records.edit():  # nothing comes into it meanwhile
            refuse_what_holds(record.id, self._state.records())
            self._platform.shut_down(record.id.workspace)
            self._platform.remove(record.id.workspace)

    def _plain(self, record: Record) -> None:
        self._convergence.change(lambda: self._state.drop_record(record.id), Publish.NEVER)
        if record.pinned not in set(
            self._state.named_content()
        ):  # another stack's deployment may run on
            self._ports.content.drop(record)

    def _served(self, record: Record, refuse: Callable[[], None] = _nothing) -> None:
        """Delete the record of something that the router serves; undone when the router refuses."""

        def edit() -> None:
            now = self._state.record(record.id)
            if now is not None and now.owner != record.owner:  # while this waited
                raise owned_by_another("delete", record.id, now, record.owner)
            refuse()
            self._state.drop_record(record.id)

        self._convergence.change(edit, Publish.WHILE_IT_RUNS)

    def _endpoint(self, record: Record) -> None:
        self._served(record, lambda: refuse_what_holds(record.id, self._state.records()))

    def _deployment(self, record: Record) -> None:
        drain_s = longest_request_s(self._state, record.id) + DRAIN_SLACK_S

        def forget() -> None:
            self._served(record, lambda: self._refuse_while_serving(record.id))
            self._drain(record.id.name, drain_s)
            # Drop a drained cluster at once: until then the router's health checks stay connected
            # to the instances, and waiting for their last connection would never end.
            with suppress(InferenceError):  # a later publication drops it
                self._convergence.change(_nothing, Publish.WHILE_IT_RUNS)

        self._rollout.remove(record.id, drain_s, forget)

    def _refuse_while_serving(self, resource: ResourceId) -> None:
        endpoint, _, name = resource.name.partition("/")
        place = ResourceId(kind=Kind.TRAFFIC, workspace=resource.workspace, name=endpoint)
        traffic = self._state.record(place)
        weight = traffic.properties["traffic"].get(name, 0) if traffic else 0
        if weight:
            reason = f"it carries {weight} % of the traffic"
            raise StillServing("delete", str(resource), reason, "move its weight first")

    def _drain(self, deployment: str, limit_s: float) -> None:
        """Wait for the last requests outside every lock but the deployment's own."""
        until = self._clock.monotonic_s() + limit_s
        while not self._ports.router.is_drained(deployment):
            if self._clock.monotonic_s() > until:
                return
            self._clock.sleep(DRAIN_POLL_S)


def sweep(workspace: Workspace) -> None:
    """End leftover instances of deployments that have no record and that nobody is changing.

    A caller killed while it deletes a deployment, or starts its first instances, leaves some.
    """
    records, state, compute = workspace.ports.records, workspace.state, workspace.ports.compute
    recorded = {record.id.name for record in state.of_kind(Kind.DEPLOYMENT)}
    for name in compute.backends().keys() - recorded:
        id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace=records.workspace, name=name)
        with suppress(Busy), records.lock(deployment_lock(name), wait_s=0):
            if state.record(id_) is None:
                compute.retire(name, LEFT_DRAIN_S, everything=True)
                compute.forget(name)
    for name in records.section(RESERVATIONS):  # of who was killed after the record was written
        with suppress(Busy), records.lock(deployment_lock(name), wait_s=0):
            state.drop_reservation(name)


def refuse_what_holds(resource: ResourceId, records: Iterable[Record]) -> None:
    """Raise StillHolds for a workspace or an endpoint that other records depend on."""
    rest = [str(record.id) for record in records if _hangs_on(record, resource)]
    if not rest:
        return
    more = f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else ""
    where = "in it" if resource.kind == Kind.WORKSPACE else "behind it"
    verb = "is" if len(rest) == 1 else "are"
    reason = f"{', '.join(rest[:_SHOWN])}{more} {verb} {where}"
    raise StillHolds("delete", str(resource), reason, "delete that first")


def _hangs_on(record: Record, resource: ResourceId) -> bool:
    if resource.kind == Kind.WORKSPACE:
        return record.id.workspace == resource.workspace and record.id != resource
    if resource.kind != Kind.ENDPOINT or record.id.kind != Kind.DEPLOYMENT:
        return False
    same_place = record.id.workspace == resource.workspace
    return same_place and record.id.name.partition("/")[0] == resource.name
