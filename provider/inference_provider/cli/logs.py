"""`logs`: what the instances of a deployment print, and the tables of an endpoint's logs."""

from typing import Annotated

import typer

from inference_provider.cli import log_tables, strict_json
from inference_provider.cli.log_tables import Table
from inference_provider.cli.lookup import candidates, find, find_all
from inference_provider.cli.options import Workspace
from inference_provider.cli.picked import Picked
from inference_provider.cli.session import Session, choose_workspaces, session_of
from inference_provider.cli.spans import beginning
from inference_provider.errors import Fault, SpecError
from inference_provider.observed import Kind, ResourceId
from inference_provider.printable import coloured
from inference_provider.workspace.log_rows import console_row
from inference_provider.workspace.logged import Container, LogLine, LogQuery


def logs(
    ctx: typer.Context,
    of: Annotated[
        str,
        typer.Argument(
            metavar="ENDPOINT/DEPLOYMENT", help="Whose; with --table an endpoint, or all."
        ),
    ] = "",
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines until Ctrl-C.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--tail", "--lines", help="Last lines of each instance.", min=0)
    ] = 100,
    since: Annotated[
        str, typer.Option(help="Not what is older: 30m, 24h, 7d.", show_default="all")
    ] = "",
    grep: Annotated[str, typer.Option(help="Only lines in which this pattern is found.")] = "",
    instance: Annotated[str, typer.Option(help="Of this instance alone.")] = "",
    request_id: Annotated[str, typer.Option(help="Only what has this x-request-id.")] = "",
    container: Annotated[
        Container, typer.Option(help="What ran: the server, or what fetched model and code.")
    ] = "inference-server",
    table: Annotated[
        Table | None, typer.Option(help="Rows with Azure Monitor's columns, as JSON.")
    ] = None,
    workspace: Workspace = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line on stdout.")
    ] = False,
) -> None:
    """Print the logs of a deployment's instances."""
    session = session_of(ctx)
    picked = Picked.of(grep, request_id)
    query = LogQuery(
        lines=lines,
        follow=follow,
        since=beginning(since),
        instance=instance,
        container=container,
    )
    if table is not None and table != "console":
        _refuse_without_effect(table, query, picked)
        places = choose_workspaces(session, None, workspace)
        found = [*log_tables.rows(session, places, table, (of, query, picked))]
        if of and not found:  # what is gone has rows yet
            find_all(session, Kind.DEPLOYMENT if "/" in of else Kind.ENDPOINT, of, workspace)
        for row in found:
            print(strict_json.write(row, None))
        return
    logged = _logged(session, of, workspace)
    for line in picked.lines(session.target, logged, query):
        print(_told(logged, line, table, container, as_json=as_json), flush=follow)


def _refuse_without_effect(table: Table, query: LogQuery, picked: Picked) -> None:
    """Raise SpecError for options that choose nothing of a table."""
    of_lines = f"a table of {table} has no lines of a container"
    chosen = {
        "--follow": (query.follow, f"a table of {table} is not followed"),
        "--container": (query.container != "inference-server", of_lines),
        "--instance": (query.instance and table == "traffic", "a call has no instance"),
        "--request-id": (picked.request_id and table == "events", "an event has no request"),
    }
    faults = [Fault(name, why, "leave it out") for name, (given, why) in chosen.items() if given]
    if faults:
        raise SpecError(tuple(faults), "the command line")


def _told(
    deployment: ResourceId,
    line: LogLine,
    table: Table | None,
    container: Container,
    *,
    as_json: bool,
) -> str:
    if table:
        return strict_json.write(console_row(deployment, line, container), None)
    if as_json:
        time = {"time": line.time.isoformat(timespec="milliseconds")} if line.time else {}
        return strict_json.write({"instance": line.instance, "line": line.text, **time}, None)
    return coloured(f"{line.instance}: {line.text}")


def _logged(session: Session, deployment: str, workspace: str | None) -> ResourceId:
    """Return the deployment of that name that has logs; the first start of it may have failed."""
    if deployment.count("/") != 1:
        fault = Fault("DEPLOYMENT", f"'{deployment}' is not ENDPOINT/DEPLOYMENT", "write iris/blue")
        raise SpecError((fault,), "the command line")
    ids = candidates(session, Kind.DEPLOYMENT, deployment, workspace)
    found = [resource for resource in ids if session.target.has_logs(resource)]
    return found[0] if len(found) == 1 else find(session, Kind.DEPLOYMENT, deployment, workspace).id
