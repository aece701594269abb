"""`serve`: one deployment in the foreground, from files that are being worked on."""

import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from inference_provider.cli.changes import Changes
from inference_provider.cli.entry import raise_interrupts
from inference_provider.cli.given import Given, takes_files
from inference_provider.cli.session import Session, session_of
from inference_provider.desired import resolve
from inference_provider.errors import Fault, InferenceError, NotReady, SpecError
from inference_provider.printable import printable
from inference_provider.secret_text import hidden
from inference_provider.targets.local.folders import state_folder
from inference_provider.targets.local.foreground.choice import Choice, choose
from inference_provider.targets.local.foreground.served import Debugger, Served

PORT = 5001
"""As of azmlinfsrv."""
KEY_VARIABLE = "INFERENCE_SERVE_KEY"
"""Holds the key of its callers; else each run makes one."""
_LOOK_S = 0.25
_OF_A_SPLIT = frozenset({"--traffic", "--all-traffic", "--mirror-traffic"})
_WRITTEN = frozenset({".yaml", ".yml", ".txt", ".toml"})
_PANEL = "Working on it"


@takes_files
def serve(
    ctx: typer.Context,
    given: Given,
    deployment: Annotated[
        str | None, typer.Option(help="Which: ENDPOINT/NAME, or NAME; the only one if left out.")
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Where requests are taken, on 127.0.0.1; 0 for any free one."
        ),
    ] = PORT,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME=VALUE", help="An environment variable of the server."),
    ] = None,
    *,
    reload: Annotated[
        bool, typer.Option(help="Start it again when a file of it changes.", rich_help_panel=_PANEL)
    ] = True,
    debugpy: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port where a debugger may attach.", rich_help_panel=_PANEL
        ),
    ] = None,
    wait_for_client: Annotated[
        bool,
        typer.Option(
            "--wait-for-client", help="Start once a debugger has come.", rich_help_panel=_PANEL
        ),
    ] = False,
) -> None:
    """Run one deployment in the foreground, from the files as they are.

    Ctrl-C ends it. The generated router is before it; no workspace is read or changed.
    """
    session, variables = session_of(ctx), _variables(env or ())
    _refuse_without_effect(given, debugger=debugpy is not None, waits=wait_for_client)
    attach = Debugger(debugpy, wait_for_client) if debugpy else None

    def chosen() -> Choice:
        return choose(resolve(session.read_stack(given, alone=True).spec), deployment, variables)

    choice = chosen()
    tell = partial(_tell, session)
    for note in choice.notes:
        tell(f"note: {note}")
    raise_interrupts()
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        served = Served(
            Path(folder),
            state_folder() / "environments",
            port=port,
            key=os.environ.get(KEY_VARIABLE, ""),
            debugger=attach,
            tell=tell,
        )
        try:
            loop = _Loop(served, choice, chosen, given, tell)
            loop.run() if reload else loop.run_once()
        except KeyboardInterrupt:
            tell("stopping")
        finally:
            served.end()


def _tell(session: Session, text: str) -> None:
    session.err.print(hidden(printable(f"serve: {text}")), markup=False)


def _variables(given: Iterable[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    wrong = [name for name, sign, _ in pairs if not sign or not name]
    if wrong:  # without its value, which may be a secret
        raise _wrong("--env", f"'{wrong[0]}' is not NAME=VALUE", "write --env NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _refuse_without_effect(given: Given, *, debugger: bool, waits: bool) -> None:
    """Raise SpecError for options that choose nothing here."""
    faults = [
        Fault(one, "one deployment runs, and gets all requests", "leave it out")
        for one in given.options.given
        if one in _OF_A_SPLIT
    ]
    if waits and not debugger:
        faults.append(Fault("--wait-for-client", "nothing could attach", "pass --debugpy PORT too"))
    if faults:
        raise SpecError(tuple(faults), "the command line")


def _wrong(option: str, reason: str, remedy: str) -> SpecError:
    return SpecError((Fault(option, reason, remedy),), "the command line")


class _Loop:
    """What is done until Ctrl-C.

    Args:
        served: Answers nothing yet.
        choice: What it is to serve.
        chosen: Reads the files again. Raises SpecError.
        given: The files that the command names.
        tell: Prints a line.
    """

    def __init__(
        self,
        served: Served,
        choice: Choice,
        chosen: Callable[[], Choice],
        given: Given,
        tell: Callable[[str], None],
    ) -> None:
        self._served, self._choice, self._chosen = served, choice, chosen
        self._given, self._tell = given, tell
        self._changes = Changes()

    def run_once(self) -> None:
        """Start it, and look after it.

        Raises:
            InferenceError: It does not start, or has ended.
        """
        self._serve()
        self._say_how()
        while not (ended := self._served.ended()):
            time.sleep(_LOOK_S)
        reason = f"its server ended by itself ({ended})"
        resource = str(self._choice.deployment.id)
        raise NotReady("run", resource, reason, "start `inferctl serve` again")

    def run(self) -> None:
        """Start it, and again with each change.

        Raises:
            NotReady: The router has ended.
        """
        self._watch()
        self._begin()
        self._say_how()
        while True:
            if changed := self._changes.look():
                self._tell(f"{_shown(changed)} changed; starting again")
                self._watch()  # first: what is saved from now on is another change
                self._begin(read=any(map(self._is_written, changed)))
            elif ended := self._served.ended():
                self._tell(f"its server ended by itself ({ended}); waiting for a change")

    def _watch(self) -> None:
        written = (one for path in self._given.files for one in _written_in(path))
        self._changes.watch((*self._choice.places, *written))

    def _begin(self, *, read: bool = False) -> None:
        try:
            if read:
                self._read()
            self._serve()
        except InferenceError as fault:
            left = "the version before still answers" if self._served.answers else "nothing answers"
            self._tell(f"error: {fault}")
            self._tell(f"{left}; waiting for a change")

    def _is_written(self, path: str) -> bool:
        """Whether a file says what is served; to read that again is to read all of a model."""
        place = Path(path)
        inside = any(place.is_relative_to(one) for one in self._choice.places)
        return not inside or place.suffix.lower() in _WRITTEN

    def _read(self) -> None:
        before, self._choice = self._choice, self._chosen()
        if self._choice.places != before.places:
            self._watch()

    def _serve(self) -> None:
        began_s = time.monotonic()
        self._served.serve(self._choice)
        took_s = time.monotonic() - began_s
        self._tell(f"{self._choice.name} is ready after {took_s:.1f} s: {self._url}")

    def _say_how(self) -> None:
        key = self._served.key.get_secret_value()
        self._tell(
            f"curl {self._url} -H 'Authorization: Bearer {key}'"
            " -H 'Content-Type: application/json' -d @request.json"
        )

    @property
    def _url(self) -> str:
        return self._served.url(self._choice)


def _written_in(path: Path) -> Iterator[Path]:
    """Yield a file that is given, and what may be named in it and is no code: conda files."""
    folder = path if path.is_dir() else path.parent
    yield from (one for one in folder.iterdir() if one.suffix.lower() in _WRITTEN and one.is_file())


def _shown(changed: Collection[str]) -> str:
    files = [one for one in changed if os.path.isfile(one)]  # not what an editor wrote beside them
    first, *others = map(os.path.relpath, files or changed)
    return f"{first} and {len(others)} more" if others else first
