"""`split`: change which deployments get an endpoint's requests."""

import re
from typing import Annotated

import typer

from inference_provider.cli import progress
from inference_provider.cli.lookup import find
from inference_provider.cli.options import Endpoint, Json, Workspace
from inference_provider.cli.session import session_of
from inference_provider.errors import Fault, SpecError
from inference_provider.observed import Kind

_PERCENT = re.compile(r"[0-9]{1,9}")


def split(
    ctx: typer.Context,
    endpoint: Endpoint,
    shares: Annotated[list[str], typer.Argument(help="blue=90 green=10; 100 or 0 together.")],
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Change an endpoint's traffic split at once. `drift` shows it until the file says the same."""
    session = session_of(ctx)
    there = find(session, Kind.ENDPOINT, endpoint, workspace)
    wanted = shares_of(shares)
    with progress.shown(session.err) as (step, finished):
        spec = session.pipeline("split").split(there.id, wanted, step, finished)
    if as_json:
        session.print_json(
            {
                "workspace": there.id.workspace,
                "endpoint": endpoint,
                "traffic": dict(spec.traffic),
                "mirror_traffic": dict(spec.mirror_traffic),
            }
        )
    else:
        print(f"{endpoint}: " + " ".join(f"{name}={share}" for name, share in spec.traffic.items()))


def shares_of(texts: list[str]) -> dict[str, int]:
    shares = {}
    for text in texts:
        name, _, share = text.partition("=")
        if not _PERCENT.fullmatch(share) or name in shares:
            reason = (
                f"'{name}' is given twice" if name in shares else f"'{text}' is not NAME=PERCENT"
            )
            fault = Fault("SHARES", reason, "write each deployment once: blue=90 green=10")
            raise SpecError((fault,), "the command line")
        shares[name] = int(share)
    return shares
