"""inferctl: the commands, and the edge where an error becomes a sentence.

The module of a command is imported when the command runs, so that `--help` is quick.

Exit codes: 0 done or clean, 1 error, 2 changes or drift, 130 interrupted.
"""

import errno
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group

from inference_provider import __version__

if TYPE_CHECKING:
    from inference_provider.cli.session import Session


class Entry(NamedTuple):
    """Where a command is, and its line in the list of commands."""

    module: str
    """A function or a group of the command's name is in it."""
    help: str
    """The first sentence of the command's own help."""
    room: str = "cli"
    """The package that the module is in."""
    reads_the_rest: bool = False
    """Whether it reads what follows its name itself, `--help` too."""


COMMANDS = {
    "up": Entry("up", "Make what runs match the stack file."),
    "plan": Entry("up", "Show what `up` would change."),
    "drift": Entry("drift", "Show what differs from the stack file, why, and who changed it."),
    "down": Entry("down", "Delete everything that carries the stack's label."),
    "convert": Entry("convert", "Print the stack file that Azure ML YAML stands for."),
    "serve": Entry("serve", "Run one deployment in the foreground, from the files as they are."),
    "start": Entry(
        "start_stop", "Start everything that is recorded again, for example after a reboot."
    ),
    "stop": Entry("start_stop", "Stop every process of a workspace; records and files stay."),
    "status": Entry("status", "List the resources and their health."),
    "outputs": Entry("status", "Print scoring addresses and the other outputs of the resources."),
    "score": Entry("score", "Send one request to an endpoint; print the answer as it comes."),
    "journal": Entry("journal", "Print what was done in a workspace, when and by whom."),
    "events": Entry("events", "Print what happened to the instances: starts, ends and why."),
    "metrics": Entry("metrics", "Print what is measured of endpoints and deployments now."),
    "alerts": Entry("alerts", "List the alerts of endpoints, which have fired, and who was told."),
    "logs": Entry("logs", "Print the logs of a deployment's instances."),
    "split": Entry("split", "Change an endpoint's traffic split at once."),
    "release": Entry("release", "Let another Pulumi stack take over what a lost one holds."),
    "doctor": Entry("doctor", "Check whether this machine, or a cluster, can serve."),
    "image": Entry("image", "Build, list and remove the images of a target."),
    "keys": Entry("keys", "Show or rotate an endpoint's keys."),
    "access": Entry("access", "Say who may do what, and give tokens of the workspace service."),
    "autoscale": Entry("autoscale", "Say why an autoscale rule changed a deployment's count."),
    "token": Entry("token", "Print a token with which an endpoint may be called until it expires."),
    "az": Entry("command", "Run a verb of `az ml`, for scripts.", "cli.az", True),
    "console": Entry("command", "Serve pages for a browser of this machine.", "console"),
}
"""In the order in which `--help` lists them."""
_READS_THE_REST: dict[str, Any] = {
    "context_settings": {
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "allow_interspersed_args": False,
    },
    "add_help_option": False,
}


class Edge(TyperGroup):
    """Imports the command that runs; turns every exception into one block and an exit code."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else command, rest

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except Exception as exc:  # noqa: BLE001 - raised again as it is
            raise _as_failure(exc)  # noqa: B904 - the same exception

    def invoke(self, ctx: Any) -> Any:
        from inference_provider.errors import InferenceError  # noqa: PLC0415 - `--help` is quick

        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except typer.Abort:  # Ctrl-C at a question
            _session(ctx).err.print("interrupted; nothing was changed")
            raise typer.Exit(130) from None
        except InferenceError as exc:
            _print_error(ctx, exc, str(exc))
            raise typer.Exit(getattr(exc, "exit_code", 1)) from None  # `az` tells what is not there
        except KeyboardInterrupt as exc:
            for failure in getattr(exc, "__notes__", ()):  # what failed beside it
                _print_error(ctx, exc, failure)
            _session(ctx).err.print(
                "interrupted; what was finished stays; run `inferctl up` to continue"
            )
            raise typer.Exit(130) from None
        except Exception as exc:  # noqa: BLE001 - the edge: one sentence, no traceback
            if hasattr(exc, "exit_code") or getattr(exc, "errno", None) == errno.EPIPE:
                raise _as_failure(exc)  # noqa: B904 - the same exception
            cause = f"{type(exc).__name__}: {exc}"
            _print_error(ctx, exc, f"{cause}; run with --traceback to see where")
        raise typer.Exit(1)


_PYDANTIC = "Value error, "
"""What a word that is none of a list is refused with begins with: typer has pydantic look."""


def _as_failure(exc: Exception) -> Exception:
    """Make a wrong command line exit 1: 2 says changes or drift."""
    if not isinstance(exc, typer.Exit) and hasattr(exc, "exit_code"):
        exc.exit_code = 1
    if isinstance(said := getattr(exc, "message", None), str):
        exc.message = said.removeprefix(_PYDANTIC)  # type: ignore[attr-defined]
    return exc


def _print_error(ctx: Any, exc: BaseException, text: str) -> None:
    import traceback  # noqa: PLC0415 - needed for an error only

    from inference_provider.secret_text import hidden  # noqa: PLC0415 - the same

    session = _session(ctx)
    if session.traceback:
        session.err.print(hidden("".join(traceback.format_exception(exc))), markup=False)
    session.err.print(hidden(f"error: {text}"), markup=False)


def _session(ctx: Any) -> "Session":
    from inference_provider.cli.session import session_of  # noqa: PLC0415 - `--help` is quick

    return session_of(ctx)


app = typer.Typer(
    name="inferctl",
    cls=Edge,
    help="Inference endpoints, declared as code.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"inferctl {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print the traceback of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
    else:
        _session(ctx).traceback = traceback


def load(name: str) -> Any:
    """Import a command of COMMANDS and return it as typer runs it."""
    entry = COMMANDS[name]
    try:
        module = import_module(f"inference_provider.{entry.room}.{entry.module}")
        found = getattr(module, name)
    except KeyboardInterrupt:
        raise typer.Abort from None
    alone = typer.Typer(rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name, **(_READS_THE_REST if entry.reads_the_rest else {}))(found)
    return get_group(alone).commands[name]


def _listed() -> None:
    """Stand for a command in the list; `Edge` runs the one it imports."""


for name, entry in COMMANDS.items():
    app.command(name, help=entry.help)(_listed)


def main() -> None:
    app()
