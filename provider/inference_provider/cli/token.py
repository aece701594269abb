"""`token`: a token for an endpoint that takes tokens."""

from datetime import timedelta
from typing import Annotated

import typer

from inference_provider.cli.lookup import find
from inference_provider.cli.options import Endpoint, Json, Workspace
from inference_provider.cli.session import session_of
from inference_provider.observed import Kind


def token(
    ctx: typer.Context,
    endpoint: Endpoint,
    *,
    minutes: Annotated[
        int, typer.Option("--minutes", help="How long it is valid, minutes.", min=1, max=1440)
    ] = 30,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Print a token with which an endpoint may be called until it expires."""
    session = session_of(ctx)
    there = find(session, Kind.ENDPOINT, endpoint, workspace)
    lifetime, actor = timedelta(minutes=minutes), session.actor("token")
    issued = session.target.token(there.id, lifetime, actor)
    if not as_json:
        print(issued.value.get_secret_value())
        return
    session.print_json(issued.answer)
