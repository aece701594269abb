"""Which rows of the tables of an endpoint's logs a person asks for."""

from collections.abc import Iterable, Iterator
from typing import Literal

from inference_provider.cli.picked import Picked
from inference_provider.cli.session import Session
from inference_provider.workspace.log_rows import TYPE, Row, event_row, traffic_row
from inference_provider.workspace.logged import CallQuery, LogQuery

Table = Literal["traffic", "events", "console"]

_SEARCHED = 10_000
"""Newest calls that are searched for a pattern."""


def rows(
    session: Session, workspaces: Iterable[str], table: Table, asked: tuple[str, LogQuery, Picked]
) -> Iterator[Row]:
    """Yield the newest rows of traffic or events of each workspace, oldest first.

    Args:
        session: Has the target.
        workspaces: Which.
        table: `traffic` or `events`.
        asked: Of which endpoint or deployment, all if empty; which lines; what is picked of them.
    """
    read = _traffic if table == "traffic" else _events
    for name in workspaces:
        of, query, picked = asked
        found = [one for one in read(session, name, of, query, picked) if _takes(picked, one)]
        yield from found[-query.lines :] if query.lines else ()


def _takes(picked: Picked, row: Row) -> bool:
    if picked.pattern is None:
        return True
    values = (str(value) for name, value in row.items() if name != TYPE)
    return any(map(picked.pattern.search, values))


def _traffic(
    session: Session, workspace: str, of: str, query: LogQuery, picked: Picked
) -> Iterator[Row]:
    endpoint, _, deployment = of.partition("/")
    asked = CallQuery(
        last=_SEARCHED if picked.pattern else query.lines,
        since=query.since,
        endpoint=endpoint,
        deployment=deployment,
        request_id=picked.request_id,
    )
    for call in session.target.calls(workspace, asked):
        yield traffic_row(workspace, call)


def _events(
    session: Session, workspace: str, of: str, query: LogQuery, _picked: Picked
) -> Iterator[Row]:
    for event in session.target.events(workspace):
        fresh = query.since is None or event.time >= query.since
        if fresh and event.is_of(of) and query.wants(event.instance):
            yield event_row(workspace, event)
