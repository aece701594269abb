"""`status` and `outputs`: the resources there are, their health, and their outputs."""

from typing import Annotated

import typer

from inference_provider import outputs as outputs_reading
from inference_provider.cli.options import Json, OptionalFile, Workspace
from inference_provider.cli.session import choose_workspaces, session_of
from inference_provider.observed import RANK, Kind, ObservedResource


def status(
    ctx: typer.Context,
    file: OptionalFile = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """List the resources and their health."""
    session = session_of(ctx)
    names = choose_workspaces(session, file, workspace)
    observed = session.target.observe(names)
    found = sorted(observed.resources.values(), key=lambda r: (RANK[r.id.kind], r.id.address))
    if as_json:
        session.print_json([_status_json(there) for there in found])
        return
    if not found:
        session.say(f"nothing in {', '.join(names)} yet")
    for there in found:
        what = there.status or there.reason or _split(there)
        session.say(f"{there.presence.value:8} {there.id}  {what}".rstrip())


def _split(there: ObservedResource) -> str:
    if there.id.kind != Kind.TRAFFIC:
        return ""
    weights = there.properties.get("traffic", {})
    return " ".join(f"{name}={share}" for name, share in weights.items())


def _status_json(there: ObservedResource) -> dict[str, object]:
    return {
        "kind": there.id.kind.value,
        "workspace": there.id.workspace,
        "name": there.id.name,
        "presence": there.presence.value,
        "status": there.status,
        "reason": there.reason,
        "note": there.note,
        "restarts": {name: one.model_dump() for name, one in there.restarts.items()},
        "owner": there.record.owner if there.record else "",
        "generation": there.record.generation if there.record else "",
        "outputs": dict(there.outputs),
    }


def outputs(
    ctx: typer.Context,
    file: OptionalFile = None,
    workspace: Workspace = None,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Print keys in plain text.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print scoring addresses and the other outputs of the resources."""
    session = session_of(ctx)
    names = choose_workspaces(session, file, workspace)
    observed = session.target.observe(names)
    for there in observed.resources.values():
        if show_secrets and there.id.kind == Kind.WORKSPACE and there.record is not None:
            session.target.note_reading(there.id, session.actor("outputs"))
    found = outputs_reading.outputs(observed, show_secrets=show_secrets)
    if as_json:
        session.print_json(found)
        return
    for address, values in found.items():
        session.say(address)
        for name, value in values.items():
            session.say(f"  {name}: {value}")
