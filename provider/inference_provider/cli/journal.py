"""`journal`: what was done in a workspace, when and by whom."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from inference_provider.cli.options import Json, OptionalFile, Workspace
from inference_provider.cli.session import choose_workspaces, session_of
from inference_provider.errors import Fault, SpecError
from inference_provider.observed import JournalEntry

_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
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
    begin = _beginning(since)
    names = choose_workspaces(session, file, workspace)
    entries = [one for name in names for one in session.target.journal(name)]
    newest = sorted(_after(begin, entries), key=lambda entry: entry.time)[-last:]
    if as_json:
        session.print_json([entry.model_dump(mode="json") for entry in newest])
        return
    if not newest:
        session.say(
            f"nothing in the journal of {', '.join(names)}{f' since {since}' * bool(since)}"
        )
    for entry in newest:
        session.say(_line(entry))


def _beginning(since: str) -> datetime | None:
    """Return the time that is so long ago. Raises SpecError for what is no span of time."""
    if not since:
        return None
    found = _SPAN.fullmatch(since)
    if found is None:
        fault = Fault("--since", "expected a number and a unit", "write 30m, 24h or 7d")
        raise SpecError((fault,), "the command line")
    return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})


def _after(begin: datetime | None, entries: Iterable[JournalEntry]) -> Iterable[JournalEntry]:
    return (entry for entry in entries if begin is None or entry.time >= begin)


def _line(entry: JournalEntry) -> str:
    fields = ", ".join(entry.fields[:_SHOWN_FIELDS])
    more = len(entry.fields) - _SHOWN_FIELDS
    what = f": {fields}{f' and {more} more' if more > 0 else ''}" if fields else ""
    time = entry.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{time}  {entry.action} {entry.id}{what}  by {entry.actor}"
