"""`autoscale`: why a rule changed a deployment's count, from what its decisions went by."""

from collections.abc import Iterator
from typing import Annotated

import typer

from inference_provider.autoscale import limits_at
from inference_provider.cli.lookup import find
from inference_provider.cli.options import Json, Workspace
from inference_provider.cli.session import session_of
from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.service.replay import Change, changes

autoscale = typer.Typer(
    help="Say why an autoscale rule changed a deployment's count.", invoke_without_command=True
)


@autoscale.callback()
def _autoscale(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@autoscale.command()
def explain(
    ctx: typer.Context,
    deployment: Annotated[str, typer.Argument(help="Its endpoint and name: iris/blue.")],
    workspace: Workspace = None,
    last: Annotated[int, typer.Option(min=1, help="So many changes, the newest.")] = 1,
    as_json: Json = False,
) -> None:
    """Say why the count changed last, and decide it again by the same input."""
    session = session_of(ctx)
    there = find(session, Kind.DEPLOYMENT, deployment, workspace)
    found = changes(session.target.decisions(there.id.workspace), deployment)[-last:]
    if not found:
        reason = "no autoscaler has written down here that it changed the count"
        remedy = "the target local writes it down; a cluster says it in its events"
        raise TargetError("explain", str(there.id), reason, remedy)
    if as_json:
        session.print_json([{**one.model_dump(mode="json"), "again": one.again()} for one in found])
        return
    for one in found:
        for line in _told(one):
            session.say(line)


def _told(one: Change) -> Iterator[str]:
    at = one.time.isoformat(timespec="seconds").replace("+00:00", "Z")
    yield f"{at}  {one.count} -> {one.wanted} instances  {one.ended}".rstrip()
    for reason in one.reasons:
        yield f"  because {reason}"
    measured = sorted(one.sample.values.items())
    values = ", ".join(f"{name} {value:.4g}" for name, value in measured)
    yield f"  measured: {values or 'nothing'}; {one.sample.ready} ready"
    allowed = limits_at(one.rule, one.time)
    yield f"  allowed: {allowed.least} to {allowed.most}"
    again = one.again()
    yield "  decided again: the same" if again == one.wanted else f"  decided again: {again}"
