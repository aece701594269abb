"""What every command shares: the target, who runs it, where it prints.

Goes in: a factory of targets, so that a test hands in the memory target. Comes out: the pipeline's
own values (stack, desired, observed). Nothing is decided here that `plan.py` decides.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console

from inference_provider.actor import current_actor
from inference_provider.cli import strict_json
from inference_provider.desired import DesiredResource, resolve
from inference_provider.errors import Fault, SpecError, TargetError
from inference_provider.files import load_stack
from inference_provider.files.lines import read_document
from inference_provider.files.reading import STACK_FILE_MIB, Unreadable, read_text
from inference_provider.observed import Actor, ObservedState, known_assets
from inference_provider.printable import one_line, printable
from inference_provider.spec.stack import StackSpec
from inference_provider.targets.base import Target

DEFAULT_FILE = Path("stack.yaml")


def _open_target() -> Target:
    from inference_provider.targets.choose import open_target  # noqa: PLC0415 - `--help` is quick

    return open_target()


def _asks() -> bool:
    return sys.stdin.isatty()


@dataclass
class Session:
    """One run of inferctl."""

    make_target: Callable[[], Target] = _open_target
    interactive: bool = field(default_factory=_asks)
    """Whether a person can be asked."""
    transport: httpx.BaseTransport | None = None
    """How `score` reaches the router; the network when None."""
    traceback: bool = False
    _target: Target | None = None

    @property
    def target(self) -> Target:
        """The target, opened once."""
        if self._target is None:
            self._target = self.make_target()
        return self._target

    @property
    def out(self) -> Console:
        """Where results go; never wrapped in the middle of a word when it is a pipe."""
        return _console(stderr=False)

    @property
    def err(self) -> Console:
        """Where progress, questions and errors go."""
        return _console(stderr=True)

    def actor(self, command: str) -> Actor:
        return current_actor(f"inferctl {command}")

    def say(self, line: str) -> None:
        """Print one line of a result."""
        self.out.print(one_line(line), markup=False)

    def print_json(self, value: Any) -> None:
        print(strict_json.write(value))


def session_of(ctx: typer.Context) -> Session:
    return ctx.ensure_object(Session)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 500
    return _Console(
        file=stream, width=width, highlight=False, emoji=False, soft_wrap=not stream.isatty()
    )


class _Console(Console):
    """A console that no text from outside controls."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(printable(o) if isinstance(o, str) else o for o in objects), **options)


@dataclass(frozen=True)
class Declared:
    """A stack file, resolved against what its workspaces hold."""

    stack: StackSpec
    resources: tuple[DesiredResource, ...]
    observed: ObservedState
    workspaces: tuple[str, ...]


def read_stack(path: Path) -> StackSpec:
    """Load a stack file. Raises SpecError with every fault."""
    directory = path.is_dir()
    if directory or not path.exists():
        reason = "it is a directory" if directory else "no such file"
        named = path / DEFAULT_FILE
        remedy = f"pass {named}" if named.is_file() else "pass the path of a stack file"
        raise SpecError((Fault(str(path), reason, remedy),), "the command line")
    return load_stack(path)


def workspaces_of(stack: StackSpec, target: Target) -> tuple[str, ...]:
    """Return the stack's workspaces, and those it made earlier and no longer declares."""
    return with_left_ones(stack.name, (entry.name for entry in stack.workspaces), target)


def with_left_ones(owner: str, names: Iterable[str], target: Target) -> tuple[str, ...]:
    """Add the workspaces in which something carries the owner's label."""
    declared = set(names)
    others = set(target.workspaces()) - declared
    left = {
        there.id.workspace
        for there in (target.observe(others).resources.values() if others else ())
        if there.record is not None and there.record.owner == owner
    }
    return tuple(sorted(declared | left))


def declare(stack: StackSpec, path: Path, workspaces: Iterable[str], target: Target) -> Declared:
    """Observe the workspaces and resolve the stack against them."""
    names = tuple(workspaces)
    observed = target.observe(names)
    resources = resolve(stack, str(path.resolve().parent), known_assets(observed))
    return Declared(stack=stack, resources=resources, observed=observed, workspaces=names)


def names_in(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the name and the workspaces of a stack file, whatever else is wrong in it.

    Removing, stopping and looking at a stack need no more, and must not wait for a mended file.
    """
    try:
        document = read_document(read_text(path, path.name, STACK_FILE_MIB)).value
        listed = document.get("workspaces") or [{}]
        names = tuple(entry.get("name", "default") for entry in listed)
        if all(isinstance(name, str) for name in (document["name"], *names)):
            return document["name"], names
    except (Unreadable, AttributeError, KeyError, TypeError):
        pass
    stack = read_stack(path)  # says what is wrong
    return stack.name, tuple(workspace.name for workspace in stack.workspaces)


def choose_workspaces(target: Target, file: Path | None, workspace: str | None) -> tuple[str, ...]:
    """Return the workspaces a command means.

    In this order: `--workspace`, those of FILE, those of ./stack.yaml, the only one there is.

    Raises:
        TargetError: There is none yet.
        SpecError: There is more than one and nothing says which.
    """
    if workspace:
        return (workspace,)
    if file is not None or DEFAULT_FILE.is_file():
        return names_in(file or DEFAULT_FILE)[1]
    there = target.workspaces()
    if len(there) == 1:
        return there
    if not there:
        remedy = "create one: inferctl up FILE"
        raise TargetError("find", "a workspace", "there is none yet", remedy)
    fault = Fault("--workspace", f"which of {', '.join(there)}?", "pass --workspace NAME")
    raise SpecError((fault,), "the command line")
