"""Progress of a long command on stderr: what is under way on a terminal, plain lines elsewhere.

Steps come from several threads at once. What is finished has one line either way.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from inference_provider.cli.console import Lines
from inference_provider.observed import ObservedResource, ResourceId
from inference_provider.plan import Action, ActionKind
from inference_provider.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from inference_provider.apply import Finished
    from inference_provider.workspace.ports import Progress

MAX_UNDER_WAY = 5
"""Lines of what is under way; the rest is counted."""
_DONE = {
    ActionKind.CREATE: "created",
    ActionKind.UPDATE: "updated",
    ActionKind.REPLACE: "replaced",
    ActionKind.RECREATE: "recreated",
    ActionKind.DELETE: "deleted",
    ActionKind.HAND_OVER: "handed over",
}


@contextmanager
def shown(err: "Console | Lines") -> Iterator[tuple["Progress", "Finished"]]:
    """Yield what is told of each step and of each finished action."""
    if isinstance(err, Lines) or not err.is_terminal:
        yield _lines(err)
        return
    from rich.markup import escape  # noqa: PLC0415 - on a terminal only

    with err.status("") as status:
        board = Board(status)

        def finished(action: Action, there: ObservedResource | None) -> None:
            board.finished(action.id)
            err.print(f"[green]✓[/green] {escape(_told(action, there))}")

        yield board.step, finished


class Board:
    """The last step of each resource that is under way, in the order in which they began."""

    def __init__(self, status: "Status") -> None:
        self._status = status
        self._steps: dict[ResourceId, str] = {}
        self._lock = threading.Lock()

    def step(self, resource: ResourceId, message: str) -> None:
        with self._lock:
            self._steps[resource] = message
            self._show()

    def finished(self, resource: ResourceId) -> None:
        with self._lock:
            self._steps.pop(resource, None)
            self._show()

    def _show(self) -> None:
        from rich.text import Text  # noqa: PLC0415 - on a terminal only

        self._status.update(Text("\n".join(under_way(self._steps))))


def under_way(steps: dict[ResourceId, str]) -> list[str]:
    """Return a line for each step, at most MAX_UNDER_WAY and one that counts the others."""
    shown = list(steps.items())[:MAX_UNDER_WAY]
    lines = [one_line(f"{resource}: {message}") for resource, message in shown]
    more = len(steps) - len(shown)
    return [*lines, f"and {more} more"] if more else lines


def _lines(err: "Console | Lines") -> tuple["Progress", "Finished"]:
    def step(resource: ResourceId, message: str) -> None:
        err.print(one_line(f"  {resource}: {message}"), markup=False)

    return step, lambda action, there: err.print(_told(action, there), markup=False)


def _told(action: Action, there: ObservedResource | None) -> str:
    status = f": {there.status}" if there is not None and there.status else ""
    done = _DONE.get(action.kind, action.kind.value)
    if there is not None and there.in_force and not there.under_way:  # a rollout that went back
        done = "stays as it is"
    return one_line(f"{action.id} {done}{status}")
