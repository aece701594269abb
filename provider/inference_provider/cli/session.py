"""What every command shares: the target, who runs it, where it prints.

Goes in: a factory of targets, so that a test hands in the memory target. Comes out: the pipeline,
and the stack that a command names. Nothing is decided here that `stack.py` decides.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from inference_provider.actor import current_actor
from inference_provider.apply import at_once
from inference_provider.cli import strict_json
from inference_provider.cli.callers_token import TOKEN_VARIABLE, token_of_shell
from inference_provider.cli.console import Lines, console
from inference_provider.cli.entry import raise_interrupts
from inference_provider.cli.given import Given
from inference_provider.cli.options import DEFAULT_FILE
from inference_provider.errors import Fault, SpecError, TargetError
from inference_provider.files import load_azure
from inference_provider.observed import Actor, ResourceId
from inference_provider.printable import one_line
from inference_provider.spec.target import Place
from inference_provider.stack import Pipeline, Stack, StackName
from inference_provider.workspace.engine import Engine

if TYPE_CHECKING:
    import httpx
    from rich.console import Console


def _open_target(place: Place) -> Engine:
    from inference_provider.targets.registry import open_target  # noqa: PLC0415 - `--help` is quick

    return open_target(place)


def _asks() -> bool:
    return sys.stdin.isatty()


@dataclass
class Session:
    """One run of inferctl."""

    make_target: Callable[[Place], Engine] = _open_target
    interactive: bool = field(default_factory=_asks)
    """Whether a person can be asked."""
    transport: "httpx.BaseTransport | None" = None
    """How `score` reaches the router; the network when None."""
    traceback: bool = False
    place: Place = "local"
    """Where the stack is that the command names; read before the target is opened."""
    command: str = ""
    """What records and the journal name instead of the command that a step belongs to."""
    callers_token_named: str = f"the token in ${TOKEN_VARIABLE}"
    """What an error calls the token of who calls."""
    _target: Engine | None = None

    @property
    def target(self) -> Engine:
        """The target, opened once."""
        if self._target is None:
            self._target = self.make_target(self.place)
            raise_interrupts()
        return self._target

    def at(self, place: Place) -> Engine:
        """Return the target of another place than the last one, where a state is in several."""
        if self._target is None or place != self.place:
            self.place, self._target = place, None
        return self.target

    def side_by_side(self, wanted: int | None) -> int:
        """Return how many servers start at once, where a person has not said it too."""
        return wanted or at_once(self.target)

    def read_stack(self, asked: Path | Given, *, alone: bool = False) -> Stack:
        """Load what a command names. Raises SpecError with every fault in it.

        Args:
            asked: The files.
            alone: Whether a deployment of Azure ML YAML may come without its endpoint.
        """
        given = Given.of(asked)
        if given.is_azure:
            loaded = load_azure(given.files, given.options, alone=alone)
            stack = Stack.of(loaded.spec)
            if not alone:
                self._tell_name(given)
        else:
            _refuse_no_file(given.file)
            stack = Stack.load(given.file)
        for note in stack.spec.notes:
            self.err.print(one_line(f"note: {note}"), markup=False)
        self._go_to(stack, given.file)
        return stack

    def read_name(self, asked: Path | Given) -> StackName:
        """Return what the file that a command names is about, whatever else is wrong in it."""
        given = Given.of(asked)
        if given.is_azure:
            for path in given.files:
                _refuse_nothing(path)
            stack = StackName(given.stack_name, ("default",), "local")
            self._tell_name(given)
        else:
            _refuse_no_file(given.file)
            stack = Stack.named(given.file)
        self._go_to(stack, given.file)
        return stack

    def _tell_name(self, given: Given) -> None:
        if given.options.stack is None:
            told = f"stack '{given.stack_name}', named after its folder; --stack names another"
            self.err.print(one_line(told), markup=False)

    def _go_to(self, stack: StackName, path: Path) -> None:
        """Raise SpecError where another target is open: by a file that has changed since."""
        if self._target is not None and stack.place != self.place:
            reason = f"it is {stack.place} now, and {self.place} is open"
            remedy = f"start `inferctl {self.command or 'console'}` again"
            raise SpecError((Fault("target", reason, remedy),), str(path))
        self.place = stack.place

    @property
    def out(self) -> "Console | Lines":
        """Where results go; never wrapped in the middle of a word when it is a pipe."""
        return console(sys.stdout)

    @property
    def err(self) -> "Console | Lines":
        """Where progress, questions and errors go."""
        return console(sys.stderr)

    def actor(self, command: str) -> Actor:
        return current_actor(f"inferctl {self.command or command}")

    def callers_token(self, endpoint: ResourceId) -> str:
        """Return what an endpoint is asked with that takes tokens of an identity provider.

        Raises:
            TargetError: Who calls has none.
        """
        return token_of_shell(endpoint)

    def note_use_of_key(self, endpoint: ResourceId) -> None:
        """Write down that an endpoint's key is about to be sent for who may not read it.

        Who runs a command may, so nothing is written here.
        """

    def pipeline(self, command: str) -> Pipeline:
        """Return the pipeline on this target; changes are recorded as made by the command."""
        return Pipeline(self.target, self.actor(command))

    def say(self, line: str) -> None:
        """Print one line of a result."""
        self.out.print(one_line(line), markup=False)

    def print_json(self, value: Any) -> None:
        print(strict_json.write(value))


def session_of(ctx: typer.Context) -> Session:
    return ctx.ensure_object(Session)


def _refuse_nothing(path: Path) -> None:
    if not path.exists():
        fault = Fault(str(path), "no such file", "pass the path of an Azure ML YAML file")
        raise SpecError((fault,), "the command line")


def _refuse_no_file(path: Path) -> None:
    directory = path.is_dir()
    if not directory and path.exists():
        return
    reason = "it is a directory" if directory else "no such file"
    named = path / DEFAULT_FILE
    remedy = f"pass {named}" if named.is_file() else "pass the path of a stack file"
    raise SpecError((Fault(str(path), reason, remedy),), "the command line")


def choose_workspaces(
    session: Session, file: Path | None, workspace: str | None
) -> tuple[str, ...]:
    """Return the workspaces a command means.

    In this order: `--workspace`, those of FILE, those of ./stack.yaml, the only one there is. The
    file says on which target, for `--workspace` too.

    Raises:
        TargetError: There is none yet.
        SpecError: There is more than one and nothing says which.
    """
    if workspace:
        if file is not None or DEFAULT_FILE.is_file():
            with suppress(SpecError):  # a workspace of this machine needs no file
                session.read_name(file or DEFAULT_FILE)
        return (workspace,)
    if file is not None or DEFAULT_FILE.is_file():
        return session.read_name(file or DEFAULT_FILE).workspaces
    there = session.target.workspaces()
    if len(there) == 1:
        return there
    if not there:
        remedy = "create one with `inferctl up FILE`"
        raise TargetError("find", "a workspace", "there is none yet", remedy)
    fault = Fault("--workspace", f"there are several: {', '.join(there)}", "pass --workspace NAME")
    raise SpecError((fault,), "the command line")
