"""Progress of a long command on stderr: a spinner on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from inference_provider.apply import Finished
from inference_provider.observed import ObservedResource, ResourceId
from inference_provider.plan import Action, ActionKind
from inference_provider.printable import one_line
from inference_provider.workspace.ports import Progress

_DONE = {
    ActionKind.CREATE: "created",
    ActionKind.UPDATE: "updated",
    ActionKind.REPLACE: "replaced",
    ActionKind.DELETE: "deleted",
    ActionKind.HAND_OVER: "handed over",
}


@contextmanager
def shown(err: Console) -> Iterator[tuple[Progress, Finished]]:
    """Yield what is told of each step and of each finished action."""
    if not err.is_terminal:
        yield _lines(err)
        return
    with err.status("") as status:

        def step(resource: ResourceId, message: str) -> None:
            status.update(escape(one_line(f"{resource}: {message}")))

        yield step, lambda action, there: _say(err, action, there, "[green]✓[/green] ")


def _lines(err: Console) -> tuple[Progress, Finished]:
    def step(resource: ResourceId, message: str) -> None:
        err.print(one_line(f"  {resource}: {message}"), markup=False)

    return step, lambda action, there: _say(err, action, there, "")


def _say(err: Console, action: Action, there: ObservedResource | None, mark: str) -> None:
    status = f": {there.status}" if there is not None and there.status else ""
    told = f"{action.id} {_DONE.get(action.kind, action.kind.value)}{status}"
    err.print(f"{mark}{escape(one_line(told))}")
