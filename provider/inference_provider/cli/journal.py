"""`journal`: what was done in a workspace, when and by whom."""

from typing import Annotated

import typer

from inference_provider.cli.options import Json, OptionalFile, Workspace
from inference_provider.cli.session import choose_workspaces, session_of
from inference_provider.cli.spans import beginning, newest, shown
from inference_provider.observed import JournalEntry
from inference_provider.printable import one_line

_SHOWN_FIELDS = 5


def journal(
    ctx: typer.Context,
    file: OptionalFile = None,
    *,
    workspace: Workspace = None,
    since: Annotated[
        str, typer.Option(help="Not what is older: 30m, 24h, 7d.", show_default="all")
    ] = "",
    last: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    as_json: Json = False,
) -> None:
    """Print what was done in a workspace, when and by whom."""
    session = session_of(ctx)
    begin = beginning(since)
    names = choose_workspaces(session, file, workspace)
    every = (one for name in names for one in session.target.journal(name))
    found = newest(every, begin, last)
    if as_json:
        session.print_json([entry.model_dump(mode="json") for entry in found])
        return
    if not found:
        session.say(
            f"nothing in the journal of {', '.join(names)}{f' since {since}' * bool(since)}"
        )
    for entry in found:
        session.say(_line(entry))


def _line(entry: JournalEntry) -> str:
    fields = ", ".join(entry.fields[:_SHOWN_FIELDS])
    more = len(entry.fields) - _SHOWN_FIELDS
    what = f": {fields}{f' and {more} more' if more > 0 else ''}" if fields else ""
    why = f": {one_line(entry.why)}" if entry.why else ""
    return f"{shown(entry.time)}  {entry.action} {entry.id}{what}{why}  by {entry.actor}"
