"""`metrics`: what is measured of endpoints and deployments now."""

import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Annotated

import typer

from inference_provider.cli.lookup import find
from inference_provider.cli.options import Json, Workspace
from inference_provider.cli.session import Session, choose_workspaces, session_of
from inference_provider.errors import TargetError
from inference_provider.metrics.catalogue import DEPLOYMENT, ENDPOINT
from inference_provider.metrics.series import Reading, Series, series
from inference_provider.observed import Kind
from inference_provider.workspace.measured import Meter

OVER_S = 6
"""The router adds up how long requests took every 5 s."""


def metrics(
    ctx: typer.Context,
    of: Annotated[
        str, typer.Argument(help="An endpoint, iris, or a deployment, iris/blue; all without it.")
    ] = "",
    workspace: Workspace = None,
    over: Annotated[
        int, typer.Option(min=1, max=600, help="Seconds between the two looks that it takes.")
    ] = OVER_S,
    as_json: Json = False,
) -> None:
    """Print what is measured of endpoints and deployments now."""
    session = session_of(ctx)
    names = _workspaces(session, of, workspace)
    looks = _looks(session, names, over)
    shown = {n: [one for one in series(*two) if _is_of(one, of)] for n, two in looks.items()}
    if as_json:
        found = {name: _json(some) for name, some in shown.items()}
        notes = {name: _notes(*two) for name, two in looks.items()}
        session.print_json({"seconds": over, "workspaces": found, "notes": notes})
        return
    for name, some in shown.items():
        session.say(f"workspace '{name}': rates and latencies are of the last {over} s")
        for note in _notes(*looks[name]):
            session.say(note)
        for line in _table(some):
            session.say(line)


def _workspaces(session: Session, of: str, workspace: str | None) -> Sequence[str]:
    if not of:
        return choose_workspaces(session, None, workspace)
    kind = Kind.DEPLOYMENT if "/" in of else Kind.ENDPOINT
    return (find(session, kind, of, workspace).id.workspace,)


def _looks(session: Session, names: Sequence[str], over: int) -> dict[str, tuple[Reading, Reading]]:
    meters = {name: _meter(session, name) for name in names}
    before = {name: meter() for name, meter in meters.items()}
    time.sleep(over)
    return {name: (before[name], meter()) for name, meter in meters.items()}


def _notes(before: Reading, now: Reading) -> list[str]:
    """Return what could not be measured in any of two looks, each thing once."""
    silent = "its router does not answer: nothing is known of requests"
    return [*dict.fromkeys((*([] if now.answered else [silent]), *before.notes, *now.notes))]


def _meter(session: Session, workspace: str) -> Meter:
    meter = session.target.meter(workspace)
    if meter is None:
        reason = f"the target '{session.target.capabilities.name}' measures nothing yet"
        raise TargetError("measure", f"workspace '{workspace}'", reason)
    return meter


def _is_of(one: Series, of: str) -> bool:
    labels = dict(zip(one.metric.dimensions, one.labels, strict=True))
    endpoint, _, deployment = of.partition("/")
    wanted = {ENDPOINT: endpoint, DEPLOYMENT: deployment}
    return all(labels.get(name) == value for name, value in wanted.items() if value)


def _json(some: Sequence[Series]) -> list[dict[str, object]]:
    return [
        {
            "metric": one.metric.name,
            "unit": one.metric.unit,
            "dimensions": dict(zip(one.metric.dimensions, one.labels, strict=True)),
            "value": one.value,
        }
        for one in some
    ]


def _table(some: Sequence[Series]) -> Iterator[str]:
    rows = [_row(one) for one in some]
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for name, value, *rest in rows:
        yield "  ".join((name.ljust(widths[0]), value.rjust(widths[1]), *rest)).rstrip()


def _row(one: Series) -> tuple[str, str, str]:
    labels = dict(zip(one.metric.dimensions, one.labels, strict=True))
    place = "/".join(filter(None, (labels.pop(ENDPOINT, ""), labels.pop(DEPLOYMENT, ""))))
    more = [f"{name}={value}" for name, value in labels.items() if value]
    return one.metric.name, f"{one.value:,.1f}{one.metric.unit}", "  ".join((place, *more))
