"""`events`: what happened to the instances of a workspace, and why."""

from typing import Annotated

import typer

from inference_provider.cli.options import Json, Workspace
from inference_provider.cli.session import choose_workspaces, session_of
from inference_provider.cli.spans import beginning, newest, shown
from inference_provider.workspace.statuses import Event


def events(
    ctx: typer.Context,
    of: Annotated[
        str, typer.Argument(metavar="[ENDPOINT[/DEPLOYMENT]]", help="Whose; all when left out.")
    ] = "",
    *,
    workspace: Workspace = None,
    since: Annotated[
        str, typer.Option(help="Not what is older: 30m, 24h, 7d.", show_default="all")
    ] = "",
    last: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    as_json: Json = False,
) -> None:
    """Print what happened to the instances: starts, ends and why."""
    session = session_of(ctx)
    begin = beginning(since)
    names = choose_workspaces(session, None, workspace)
    every = (one for name in names for one in session.target.events(name))
    found = newest((one for one in every if one.is_of(of)), begin, last)
    if as_json:
        session.print_json([event.model_dump(mode="json") for event in found])
        return
    if not found:
        what = f" of {of}" if of else ""
        session.say(f"no event{what} in {', '.join(names)}{f' since {since}' * bool(since)}")
    for event in found:
        session.say(_line(event))


def _line(event: Event) -> str:
    times = f" ({event.count} times)" if event.count > 1 else ""
    of = event.instance or event.deployment
    return f"{shown(event.time)}  {event.name:20} {of}  {event.message}{times}"
