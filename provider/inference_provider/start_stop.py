"""What runs in some workspaces, ended and started again; nothing declared changes.

Goes in: names of workspaces, and a target. `workspace/engine.py` does it in one workspace.
"""

from collections.abc import Callable, Sequence

from inference_provider.apply import concurrently
from inference_provider.observed import Actor
from inference_provider.plan import ActionKind
from inference_provider.schedule import Calls, run
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.ports import Progress

Done = Callable[[str], None]
"""Told each workspace with which all went well, in the caller's thread."""


def start(  # noqa: PLR0917 - one caller, which has them all
    workspaces: Sequence[str],
    target: Engine,
    actor: Actor,
    progress: Progress,
    started: Done,
    parallel: int,
) -> None:
    """Start all that is recorded in some workspaces; what fails holds up nothing else.

    Args:
        workspaces: Their names.
        target: Where they are.
        actor: Who asks.
        progress: Told each step, in the thread that does it.
        started: Told each workspace of which everything has started.
        parallel: How many deployments may start at once; 1 does one after another.

    Raises:
        Busy: Somebody else holds one of the workspaces; nothing was started.
        SeveralFailed: More than one router or deployment did not start.
    """
    spread = max(1, min(parallel, len(workspaces)))
    for_each = concurrently(target, ActionKind.CREATE, progress, parallel // spread)

    def start_one(name: str) -> None:
        target.start(name, actor, progress, for_each)

    with target.hold(workspaces, actor):
        _with_each(workspaces, start_one, started, spread)


def stop(  # noqa: PLR0917 - one caller, which has them all
    workspaces: Sequence[str],
    target: Engine,
    actor: Actor,
    progress: Progress,
    stopped: Done,
    parallel: int,
) -> None:
    """End everything that runs in some workspaces; one that fails holds up no other."""

    def stop_one(name: str) -> None:
        target.stop(name, actor, progress)

    with target.hold(workspaces, actor):
        _with_each(workspaces, stop_one, stopped, parallel)


def _with_each(names: Sequence[str], do: Callable[[str], None], done: Done, parallel: int) -> None:
    waits = [set[int]() for _ in names]
    calls = Calls(lambda i: do(names[i]), waits, frozenset(range(len(names))), goes_on=True)
    run(calls, lambda i, _: done(names[i]), parallel)
