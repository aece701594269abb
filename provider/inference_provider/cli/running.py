"""`start` and `stop`: processes of what is recorded; nothing declared changes."""

import typer

from inference_provider.cli import progress
from inference_provider.cli.reading import OptionalFile, Workspace
from inference_provider.cli.session import choose_workspaces, session_of


def start(ctx: typer.Context, file: OptionalFile = None, workspace: Workspace = None) -> None:
    """Bring back everything that is recorded, after a reboot for one."""
    session = session_of(ctx)
    actor = session.actor("start")
    names = choose_workspaces(session.target, file, workspace)
    with session.target.hold(names, actor), progress.shown(session.err) as (step, _):
        for name in names:
            session.target.start(name, actor, step)
            print(f"started workspace '{name}'")


def stop(ctx: typer.Context, file: OptionalFile = None, workspace: Workspace = None) -> None:
    """End every process of a workspace; records and files stay."""
    session = session_of(ctx)
    actor = session.actor("stop")
    names = choose_workspaces(session.target, file, workspace)
    with session.target.hold(names, actor), progress.shown(session.err) as (step, _):
        for name in names:
            session.target.stop(name, actor, step)
            print(f"stopped workspace '{name}'")
