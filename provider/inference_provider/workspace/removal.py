"""One recorded resource -> gone: from the router first, then its instances and documents.

`engine.py` checks who may delete it, and writes the journal.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from inference_provider.errors import Busy, InferenceError, TargetError
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.ownership import refuse_changed
from inference_provider.router.build import READ
from inference_provider.workspace.bucket_credentials import storage_in
from inference_provider.workspace.convergence import Publish
from inference_provider.workspace.dependencies import refuse_while_needed
from inference_provider.workspace.drain import end_unadmitted, wait_until
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import Platform, Ports, Progress
from inference_provider.workspace.rollout import (
    DRAIN_SLACK_S,
    SLOW_STOP_WAIT_S,
    Rollout,
    longest_request_s,
)
from inference_provider.workspace.state import RESERVATIONS, State, deployment_lock

LEFT_DRAIN_S = 30.0
"""Longest wait for a request to a leftover instance of a deployment deleted earlier, seconds."""


def _nothing() -> None:
    pass


class Removal:
    """Deletes resources of one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        platform: Platform,
        rollout: Rollout,
        progress: Progress,
        going: Collection[ResourceId] = (),
    ) -> None:
        """Prepare to delete; what is `going` is deleted by the same caller."""
        self._going = going
        self._platform = platform
        self._progress = progress
        self._ports = workspace.ports
        self._state = workspace.state
        self._convergence = workspace.convergence
        self._clock = workspace.clock
        self._rollout = rollout

    def run(self, record: Record) -> None:
        """Delete the resource that a record describes.

        Raises:
            StillHolds: A workspace is not empty, or another record names the resource.
            StillServing: The deployment carries weight, or is mirrored to.
        """
        {
            (Kind.WORKSPACE, ""): self._workspace,
            (Kind.CONNECTION, ""): self._connection,
            (Kind.MODEL, ""): self._asset,
            (Kind.ENVIRONMENT, ""): self._asset,
            (Kind.IDENTITY, ""): self._identity,
            (Kind.ROLE_ASSIGNMENT, ""): self._assignment,
            (Kind.DEPLOYMENT, "online"): self._deployment,
            (Kind.AUTOSCALE_RULE, ""): self._rule,
        }.get((record.id.kind, record.variant), self._recorded)(record)

    def _workspace(self, record: Record) -> None:
        with self._ports.records.edit():  # nothing comes into it meanwhile
            refuse_changed("delete", record, self._state.record(record.id))
            refuse_while_needed(self._state, record.id)
            self._platform.shut_down(record.id.workspace)
            self._platform.remove(record.id.workspace, lambda said: self._progress(record.id, said))

    def _connection(self, record: Record) -> None:
        # first what is held of it: nobody would see that without its record
        self._recorded(record, partial(_let_connection_go, self._ports, record.id))

    def _asset(self, record: Record) -> None:
        self._recorded(record)
        if record.pinned not in set(
            self._state.named_content()
        ):  # another stack's deployment may run on
            self._ports.content.drop(record)

    def _identity(self, record: Record) -> None:
        self._recorded(record)
        if self._ports.identities is not None:
            self._ports.identities.drop(record.id.name)

    def _assignment(self, record: Record) -> None:
        identities = self._ports.identities
        # first what it has given: nobody would see that without its record
        withdraw = partial(identities.withdraw, record.id.name) if identities else _nothing
        self._recorded(record, withdraw)

    def _recorded(self, record: Record, also: Callable[[], None] = _nothing) -> None:
        """Delete a record, and publish that if the router is built from it; undone when refused."""
        routed = (record.id.kind, record.variant) in READ

        def edit() -> None:
            refuse_changed("delete", record, self._state.record(record.id))
            refuse_while_needed(self._state, record.id)
            also()
            self._state.drop_record(record.id)

        self._convergence.change(edit, Publish.WHILE_IT_RUNS if routed else Publish.NEVER)

    def _deployment(self, record: Record) -> None:
        drain_s = longest_request_s(self._state, record.id) + DRAIN_SLACK_S

        def forget() -> None:
            self._recorded(record)
            router, name = self._ports.router, record.id.name
            # outside every lock but the deployment's own
            wait_until(lambda: router.is_drained(name), drain_s, self._clock)
            # Drop a drained cluster at once: until then the router's health checks stay connected
            # to the instances, and waiting for their last connection would never end.
            with suppress(InferenceError):  # a later publication drops it
                self._convergence.change(_nothing, Publish.WHILE_IT_RUNS)

        self._rollout.remove(record.id, drain_s, forget)

    def _rule(self, record: Record) -> None:
        """Delete a rule; its deployment has as many instances again as it declares.

        One that goes too keeps those that it has: else it would start some to end them.

        The rule stays when that fails: nothing else would tell how many there are. But where there
        are none, a server that does not start would keep its deployment from being deleted too.
        """
        placeholders = self._state.placeholders(record.id)
        of = record.id.model_copy(update={"kind": Kind.DEPLOYMENT})
        self._recorded(record)
        if of in self._going:
            return
        try:
            self._rollout.run_recorded(of)
        except BaseException as fault:
            if isinstance(fault, InferenceError) and self._has_none(of):
                said = str(fault).splitlines()[0]
                self._progress(of, f"no instance starts, and `up` tries it again: {said}")
                return
            put_back = partial(self._state.put_record, record, placeholders)
            self._convergence.take_back(put_back)
            raise

    def _has_none(self, deployment: ResourceId) -> bool:
        """Whether a rule has left a deployment no instance."""
        record = self._state.record(deployment)
        return record is not None and record.admitted == ()


def sweep(workspace: Workspace) -> None:
    """End leftover instances of deployments that have no record and that nobody is changing.

    A caller killed while it deletes a deployment, or starts its first instances, leaves some.
    """
    records, state, compute = workspace.ports.records, workspace.state, workspace.ports.compute
    recorded = {record.id.name for record in state.of_kind(Kind.DEPLOYMENT)}
    for name in compute.instances().keys() - recorded:
        id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace=records.workspace, name=name)
        with suppress(Busy), records.lock(deployment_lock(name), wait_s=0):
            if state.record(id_) is None:
                stop_wait_s = LEFT_DRAIN_S + SLOW_STOP_WAIT_S
                end_unadmitted(
                    workspace.ports, workspace.clock, name, None, LEFT_DRAIN_S, stop_wait_s
                )
                compute.forget(name)
    for name in records.section(RESERVATIONS):  # of who was killed after the record was written
        with suppress(Busy), records.lock(deployment_lock(name), wait_s=0):
            state.drop_reservation(name)


def remove_unrecorded(
    workspace: Workspace, platform: Platform, resource: ResourceId, progress: Progress
) -> None:
    """Remove what a creation left that was killed before it recorded anything."""
    if resource.kind == Kind.WORKSPACE:
        platform.remove_unrecorded(resource.workspace, lambda said: progress(resource, said))
    elif resource.kind == Kind.DEPLOYMENT and workspace.ports.records.exists():
        sweep(workspace)


def let_go(ports: Ports, resource: ResourceId) -> None:
    """Remove what a target holds of a resource whose record is set aside."""
    if resource.kind == Kind.CONNECTION:
        _let_connection_go(ports, resource)
    elif resource.kind == Kind.ROLE_ASSIGNMENT and ports.identities:
        ports.identities.withdraw(resource.name)
    elif resource.kind == Kind.IDENTITY and ports.identities:
        ports.identities.drop(resource.name)


def _let_connection_go(ports: Ports, connection: ResourceId) -> None:
    """Remove what a target holds of a connection.

    A bucket's credentials stay as long as its workspace names them: without them it could delete
    nothing of what it has there. Where what the workspace names cannot be read, they stay too.
    """
    if ports.registry_users:
        ports.registry_users.drop(connection.name)
    record = None
    with suppress(TargetError):
        record = State(ports.records).own_record()
    if ports.bucket_user and record and storage_in(record.properties).connection != connection.name:
        ports.bucket_user.drop(connection.name)
