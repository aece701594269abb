"""`up` and `plan`: make what runs match a stack file, or show what that would change."""

from typing import Annotated, Any

import typer

from inference_provider.cli import progress, review
from inference_provider.cli.given import Given, takes_files
from inference_provider.cli.options import Json, Parallel, Yes
from inference_provider.cli.plan_text import plan_json, verdict
from inference_provider.cli.session import session_of
from inference_provider.observed import Kind
from inference_provider.rollout_end import await_rollouts
from inference_provider.stack import Planned

NoPrune = Annotated[bool, typer.Option("--no-prune", help="Keep what the file no longer declares.")]


@takes_files
def up(
    ctx: typer.Context,
    given: Given,
    yes: Yes = False,
    no_prune: NoPrune = False,
    *,
    parallel: Parallel = None,
    as_json: Json = False,
) -> None:
    """Make what runs match the stack file."""
    session = session_of(ctx)
    stack, pipeline = session.read_stack(given), session.pipeline("up")
    with pipeline.hold(stack) as workspaces:
        planned = pipeline.plan(stack, workspaces, prune=not no_prune)
        review.show(session, planned, as_json=as_json)
        review.confirm(session, planned, yes=yes, as_json=as_json)
        with progress.shown(session.err) as (step, finished):
            pipeline.apply(planned, step, finished, session.side_by_side(parallel))
    with progress.shown(session.err) as (step, _finished):  # others may change what rolls out
        wanted = (action.desired for action in planned.plan.actions if action.desired)
        await_rollouts(wanted, session.target, step)
    made = pipeline.outputs(planned)
    if as_json:
        session.print_json({**_described(planned), "outputs": made})
        return
    for line in _addresses(made, planned):
        session.say(line)


@takes_files
def plan(ctx: typer.Context, given: Given, as_json: Json = False) -> None:
    """Show what `up` would change. Exit 2 when there is anything to change."""
    session = session_of(ctx)
    stack, pipeline = session.read_stack(given), session.pipeline("plan")
    planned = pipeline.plan(stack)
    if as_json:
        session.print_json({**_described(planned), "verdict": verdict(planned.plan)})
    else:
        review.show(session, planned)
    raise typer.Exit(2 if planned.plan.pending else 0)


def _described(planned: Planned) -> dict[str, Any]:
    actions = plan_json(planned.plan)
    return {"stack": planned.stack.name, "notes": planned.notes, "actions": actions}


def _addresses(made: dict[str, dict[str, Any]], planned: Planned) -> list[str]:
    """Return where the stack's own endpoints are scored; a workspace may hold other stacks' too."""
    declared = (action.id for action in planned.plan.actions if action.desired)
    mine = {resource.address for resource in declared if resource.kind == Kind.ENDPOINT}
    return [
        f"{address}: {found['scoring_uri']}"
        for address, found in made.items()
        if address in mine and "scoring_uri" in found
    ]
