"""The protocol of every target; only what all targets share belongs here.

observe reports a missing resource as ABSENT and one that it cannot query as UNKNOWN; it raises for
neither. apply and delete are idempotent: repeating a finished call changes nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.observed import (
    Actor,
    Claim,
    Kind,
    ObservedResource,
    ObservedState,
    Record,
    ResourceId,
)
from inference_provider.workspace.ports import Progress, silent


class Target(Protocol):
    """Where instances run."""

    @property
    def capabilities(self) -> TargetCapabilities:
        """What it can do; asked when planning."""

    def workspaces(self) -> tuple[str, ...]:
        """Return the names of all workspaces, sorted."""

    def observe(self, workspaces: Iterable[str]) -> ObservedState:
        """Return everything in some workspaces, using a constant number of calls for each."""

    def owners(self, workspace: str) -> frozenset[str]:
        """Return the stacks that own something in a workspace; skips unreadable records.

        Reads records only; no running process is queried.
        """

    def observe_one(self, resource: ResourceId) -> ObservedResource:
        """Return one resource; presence ABSENT or UNKNOWN rather than an error."""

    def record(self, resource: ResourceId) -> Record | None:
        """Return what was last applied, without observing what runs; None if nothing was."""

    def holds(self, kind: Kind, workspace: str, pinned: str) -> bool:
        """Whether the content of a model or environment is kept: `name:version@sha256:…`."""

    def apply(
        self, desired: DesiredResource, actor: Actor, progress: Progress = silent
    ) -> ObservedResource:
        """Create or update one resource, and wait until it serves.

        Raises:
            OwnedByAnother: It carries another stack's label, or another state holds it.
            NotReady: An instance did not start; the old generation keeps serving.
            OutOfCapacity: No GPU, port or disk left.
        """

    def delete(
        self,
        resource: ResourceId,
        owner: str,
        actor: Actor,
        progress: Progress = silent,
        incarnation: str | None = None,
    ) -> None:
        """Remove one resource; nothing happens when it is not there.

        Args:
            resource: What to delete.
            owner: Whose label it must carry.
            actor: Who asks.
            progress: Told what is done.
            incarnation: The one that the caller's state knows; a resource with a newer one is
                kept. None for a caller without a state, which deletes any.

        Raises:
            OwnedByAnother: It carries another stack's label.
            StillServing: A deployment that carries weight.
            StillHolds: A workspace with something in it, an endpoint with a deployment behind it.
        """

    def transfer(
        self, resource: ResourceId, owner: str, actor: Actor, claim: Claim | None = None
    ) -> None:
        """Write another owner, and another state's claim or none, into a record.

        What runs stays as it is.
        """

    def set_aside(self, resource: ResourceId, actor: Actor) -> None:
        """Move a record that cannot be read out of the way; the resource is then ABSENT."""

    def hold(self, workspaces: Iterable[str], actor: Actor) -> AbstractContextManager[None]:
        """Keep other callers out for the whole of an `up` or `down`.

        Raises:
            Busy: Somebody else holds one of them; says who, since when, in which process.
        """

    def rotate_key(self, endpoint: ResourceId, which: str, actor: Actor) -> ObservedResource:
        """Replace the `primary` or `secondary` key; the other one stays valid."""

    def start(self, workspace: str, actor: Actor, progress: Progress = silent) -> None:
        """Start everything that is recorded."""

    def stop(self, workspace: str, actor: Actor, progress: Progress = silent) -> None:
        """End every process of a workspace; records and files stay."""

    def has_logs(self, deployment: ResourceId) -> bool:
        """Whether a deployment has logs; one whose first start failed has logs but no record."""

    def logs(
        self, deployment: ResourceId, *, lines: int = 100, follow: bool = False
    ) -> Iterator[str]:
        """Yield the last lines of every instance's log, then new ones when following."""
