"""`start` and `stop`: processes of what is recorded; nothing declared changes."""

from pathlib import Path

import typer

from inference_provider import start_stop
from inference_provider.cli import progress
from inference_provider.cli.options import Json, OptionalFile, Parallel, Workspace
from inference_provider.cli.session import choose_workspaces, session_of
from inference_provider.printable import one_line


def start(
    ctx: typer.Context,
    file: OptionalFile = None,
    workspace: Workspace = None,
    *,
    parallel: Parallel = None,
    as_json: Json = False,
) -> None:
    """Start everything that is recorded again, for example after a reboot."""
    _each(ctx, "start", file, workspace, parallel, as_json=as_json)


def stop(
    ctx: typer.Context,
    file: OptionalFile = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Stop every process of a workspace; records and files stay."""
    _each(ctx, "stop", file, workspace, None, as_json=as_json)


def _each(
    ctx: typer.Context,
    command: str,
    file: Path | None,
    workspace: str | None,
    parallel: int | None,
    *,
    as_json: bool,
) -> None:
    session = session_of(ctx)
    names, actor = choose_workspaces(session, file, workspace), session.actor(command)
    do = {"start": start_stop.start, "stop": start_stop.stop}[command]
    done = {"start": "started", "stop": "stopped"}[command]

    def said(name: str) -> None:
        if not as_json:
            print(one_line(f"{done} workspace '{name}'"))

    with progress.shown(session.err) as (step, _):
        do(names, session.target, actor, step, said, session.side_by_side(parallel))
    if as_json:
        session.print_json({done: list(names)})
