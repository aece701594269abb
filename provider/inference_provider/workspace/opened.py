"""One workspace, opened: its ports, its state, and how its edits are published."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from inference_provider.errors import OutOfCapacity
from inference_provider.observed import Actor, JournalEntry, ResourceId
from inference_provider.workspace.convergence import Convergence
from inference_provider.workspace.entries import endpoint_entries
from inference_provider.workspace.logins import login_for
from inference_provider.workspace.ports import Clock, Ports
from inference_provider.workspace.secret_store import OpenStore
from inference_provider.workspace.state import State


@dataclass(frozen=True)
class Workspace:
    """What every change of a workspace needs."""

    ports: Ports
    state: State
    convergence: Convergence
    clock: Clock

    def refuse_absent(self) -> None:
        """Refuse a workspace that is not there, or is not any more: it has no router.

        Raises:
            TargetError: It has none.
        """
        self.ports.router.address()

    def note(
        self,
        resource: ResourceId,
        actor: Actor,
        action: str,
        fields: tuple[str, ...] = (),
        why: str = "",
    ) -> None:
        """Write down in the journal what was done, as far as there is room."""
        with suppress(OutOfCapacity):  # what is done is done, and a deletion frees some
            self.note_first(resource, actor, action, fields, why)

    def note_first(
        self,
        resource: ResourceId,
        actor: Actor,
        action: str,
        fields: tuple[str, ...] = (),
        why: str = "",
    ) -> None:
        """Write down what is about to be given: nobody gets a secret of which nothing tells.

        Raises:
            OutOfCapacity: No space is left.
        """
        now = self.clock.now()
        self.ports.records.note(
            JournalEntry(time=now, actor=actor, action=action, id=resource, fields=fields, why=why)
        )


def open_workspace(ports: Ports, clock: Clock, open_store: OpenStore) -> Workspace:
    """Open a workspace, which need not exist yet."""
    state = State(ports.records, open_store)
    build = endpoint_entries(
        state, ports.compute.instances, ports.content.environment, ports.router.status
    )
    convergence = Convergence(ports.records, ports.router, build)
    if ports.sign_in:
        ports.sign_in(partial(login_for, state))
    return Workspace(ports, state, convergence, clock)
