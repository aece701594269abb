"""inferctl: the commands, and the edge where an error becomes a sentence.

Exit codes: 0 done or clean, 1 error, 2 changes or drift, 130 interrupted.
"""

import errno
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from inference_provider import __version__
from inference_provider.cli import (
    doctor,
    down,
    drift,
    keys,
    logs,
    release,
    score,
    split,
    start_stop,
    status,
    up,
)
from inference_provider.cli.session import session_of
from inference_provider.errors import InferenceError
from inference_provider.secret_text import hidden


class Edge(TyperGroup):
    """Turns every exception into one block on stderr and an exit code."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except Exception as exc:  # noqa: BLE001 - raised again as it is
            raise _as_failure(exc)  # noqa: B904 - the same exception

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except typer.Abort:  # Ctrl-C at a question
            session_of(ctx).err.print("interrupted; nothing was changed")
            raise typer.Exit(130) from None
        except InferenceError as exc:
            _print_error(ctx, exc, str(exc))
        except KeyboardInterrupt as exc:
            for failure in getattr(exc, "__notes__", ()):  # what failed beside it
                _print_error(ctx, exc, failure)
            session_of(ctx).err.print(
                "interrupted; what was finished stays; run `inferctl up` to continue"
            )
            raise typer.Exit(130) from None
        except Exception as exc:  # noqa: BLE001 - the edge: one sentence, no traceback
            if hasattr(exc, "exit_code") or getattr(exc, "errno", None) == errno.EPIPE:
                raise _as_failure(exc)  # noqa: B904 - the same exception
            cause = f"{type(exc).__name__}: {exc}"
            _print_error(ctx, exc, f"{cause}; run with --traceback to see where")
        raise typer.Exit(1)


def _as_failure(exc: Exception) -> Exception:
    """Make a wrong command line exit 1: 2 says changes or drift."""
    if not isinstance(exc, typer.Exit) and hasattr(exc, "exit_code"):
        exc.exit_code = 1
    return exc


def _print_error(ctx: Any, exc: BaseException, text: str) -> None:
    session = session_of(ctx)
    if session.traceback:
        session.err.print(hidden("".join(traceback.format_exception(exc))), markup=False)
    session.err.print(hidden(f"error: {text}"), markup=False)


app = typer.Typer(
    name="inferctl",
    cls=Edge,
    help="Inference endpoints, declared as code, served on this machine.",
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
    session_of(ctx).traceback = traceback
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


for command in (
    up.up,
    up.plan,
    drift.drift,
    down.down,
    start_stop.start,
    start_stop.stop,
    status.status,
    status.outputs,
    score.score,
    logs.logs,
    split.split,
    release.release,
    doctor.doctor,
):
    app.command()(command)
app.add_typer(keys.keys, name="keys")


def main() -> None:
    app()
