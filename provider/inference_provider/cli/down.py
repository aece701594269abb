"""`down`: delete what carries a stack's label."""

import typer

from inference_provider.cli import progress, review
from inference_provider.cli.given import Given, takes_files
from inference_provider.cli.image import left_by
from inference_provider.cli.options import Json, Parallel, Yes
from inference_provider.cli.plan_text import plan_json
from inference_provider.cli.session import session_of
from inference_provider.printable import one_line


@takes_files
def down(
    ctx: typer.Context,
    given: Given,
    yes: Yes = False,
    *,
    parallel: Parallel = None,
    as_json: Json = False,
) -> None:
    """Delete everything that carries the stack's label."""
    session = session_of(ctx)
    stack, pipeline = session.read_name(given), session.pipeline("down")
    with pipeline.hold(stack) as workspaces:
        planned = pipeline.removal(stack, workspaces)
        review.show(session, planned, as_json=as_json)
        review.confirm(session, planned, yes=yes, as_json=as_json)
        with progress.shown(session.err) as (step, finished):
            pipeline.remove(planned, step, finished, session.side_by_side(parallel))
    left = left_by(session)
    if left:
        session.err.print(one_line(left), markup=False)
    if as_json:
        actions = plan_json(planned.plan)
        session.print_json({"stack": stack.name, "notes": planned.notes, "actions": actions})
