"""`start` and `stop`: processes of what is recorded; nothing declared changes."""

from pathlib import Path

import typer

from inference_provider.cli import progress
from inference_provider.cli.options import Json, OptionalFile, Workspace
from inference_provider.cli.session import choose_workspaces, session_of
from inference_provider.printable import one_line


def start(
    ctx: typer.Context,
    file: OptionalFile = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Start everything that is recorded again, for example after a reboot."""
    _each(ctx, "start", file, workspace, as_json=as_json)


def stop(
    ctx: typer.Context,
    file: OptionalFile = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Stop every process of a workspace; records and files stay."""
    _each(ctx, "stop", file, workspace, as_json=as_json)


def _each(
    ctx: typer.Context, command: str, file: Path | None, workspace: str | None, *, as_json: bool
) -> None:
    session = session_of(ctx)
    actor = session.actor(command)
    names = choose_workspaces(session, file, workspace)
    do = {"start": session.target.start, "stop": session.target.stop}[command]
    done = {"start": "started", "stop": "stopped"}[command]
    with session.target.hold(names, actor), progress.shown(session.err) as (step, _):
        for name in names:
            do(name, actor, step)
            if not as_json:
                print(one_line(f"{done} workspace '{name}'"))
    if as_json:
        session.print_json({done: list(names)})
