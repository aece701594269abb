"""The one protocol every target keeps, and nothing two targets do not share.

observe never raises for "not there", and answers UNKNOWN for what could not be asked. apply and
delete are idempotent: repeating a finished call changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from inference_provider.desired import DesiredResource
from inference_provider.errors import OwnedByAnother, StillServing
from inference_provider.observed import Actor, ObservedResource, ObservedState, Record, ResourceId
from inference_provider.plan import TargetCapabilities

Progress = Callable[[ResourceId, str], None]
"""Told one short sentence at each step: `2 of 3 instances ready`."""


def silent(_resource: ResourceId, _message: str) -> None:
    """A Progress that tells nobody."""


class Target(Protocol):
    """Where instances run."""

    @property
    def capabilities(self) -> TargetCapabilities:
        """What it can do; asked when planning."""

    def workspaces(self) -> tuple[str, ...]:
        """Return the names of the workspaces there are, sorted."""

    def observe(self, workspaces: Iterable[str]) -> ObservedState:
        """Return all of some workspaces in a constant number of calls a workspace."""

    def observe_one(self, resource: ResourceId) -> ObservedResource:
        """Return one resource; presence ABSENT or UNKNOWN rather than an error."""

    def apply(
        self, desired: DesiredResource, actor: Actor, progress: Progress = silent
    ) -> ObservedResource:
        """Make or update one resource, and wait until it serves.

        Raises:
            OwnedByAnother: It carries another stack's label.
            NotReady: An instance did not start; the old generation goes on serving.
            OutOfCapacity: No GPU, port or disk left.
        """

    def delete(
        self, resource: ResourceId, owner: str, actor: Actor, progress: Progress = silent
    ) -> None:
        """Remove one resource; nothing happens when it is not there.

        Raises:
            OwnedByAnother: It carries another stack's label.
            StillServing: A deployment that carries weight.
        """

    def hold(self, workspaces: Iterable[str], actor: Actor) -> AbstractContextManager[None]:
        """Keep others from a whole `up` or `down` at the same time.

        Raises:
            Busy: Somebody else holds one of them; says who, since when, in which process.
        """

    def rotate_key(self, endpoint: ResourceId, which: str, actor: Actor) -> ObservedResource:
        """Replace the `primary` or `secondary` key; the other one goes on working."""

    def start(self, workspace: str, actor: Actor, progress: Progress = silent) -> None:
        """Bring everything that is recorded back up."""

    def stop(self, workspace: str, actor: Actor, progress: Progress = silent) -> None:
        """End every process of a workspace; records and files stay."""

    def logs(
        self, deployment: ResourceId, *, lines: int = 100, follow: bool = False
    ) -> Iterator[str]:
        """Yield the last lines of every instance's log, then new ones when following."""


def owned_by_another(
    operation: str, resource: ResourceId, record: Record, owner: str
) -> OwnedByAnother:
    return OwnedByAnother(
        operation,
        str(resource),
        f"it belongs to stack '{record.owner}', not to '{owner}'",
        "rename one of the two, or take it over by deleting it from the other stack first",
    )


def still_serving(resource: ResourceId, weight: int) -> StillServing:
    return StillServing(
        "delete", str(resource), f"it carries {weight} % of the traffic", "move its weight first"
    )
