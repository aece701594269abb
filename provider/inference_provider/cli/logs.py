"""`logs`: what the instances of a deployment print."""

from typing import Annotated

import typer

from inference_provider.cli import strict_json
from inference_provider.cli.lookup import candidates, find
from inference_provider.cli.options import Workspace
from inference_provider.cli.session import Session, session_of
from inference_provider.errors import Fault, SpecError
from inference_provider.observed import Kind, ResourceId
from inference_provider.printable import coloured


def logs(
    ctx: typer.Context,
    deployment: Annotated[str, typer.Argument(help="ENDPOINT/DEPLOYMENT")],
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option(help="Last lines of each instance.", min=0)] = 100,
    workspace: Workspace = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line on stdout.")
    ] = False,
) -> None:
    """Print the logs of a deployment's instances."""
    session = session_of(ctx)
    if deployment.count("/") != 1:
        fault = Fault("DEPLOYMENT", f"'{deployment}' is not ENDPOINT/DEPLOYMENT", "write iris/blue")
        raise SpecError((fault,), "the command line")
    logged = _logged(session, deployment, workspace)
    for line in session.target.logs(logged, lines=lines, follow=follow):
        text = line.rstrip("\n")
        told = strict_json.write(_log_json(logged, text), None) if as_json else coloured(text)
        print(told, flush=follow)


def _logged(session: Session, deployment: str, workspace: str | None) -> ResourceId:
    """Return the deployment of that name that has logs; the first start of it may have failed."""
    ids = candidates(session, Kind.DEPLOYMENT, deployment, workspace)
    found = [resource for resource in ids if session.target.has_logs(resource)]
    return found[0] if len(found) == 1 else find(session, Kind.DEPLOYMENT, deployment, workspace).id


def _log_json(deployment: ResourceId, text: str) -> dict[str, str]:
    """Split the instance off, where a line begins with `<endpoint>.<deployment>.…: `."""
    instance, colon, line = text.partition(": ")
    if colon and instance.startswith(deployment.name.replace("/", ".") + "."):
        return {"instance": instance, "line": line}
    return {"line": text}
