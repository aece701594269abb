"""`drift --fix`: bring some resources back to what is declared, as `up` would."""

from collections.abc import Sequence

from inference_provider.cli import progress, review
from inference_provider.cli.session import Session
from inference_provider.observed import ResourceId
from inference_provider.plan import ActionKind
from inference_provider.stack import Planned, Stack


def fix(
    session: Session, stack: Stack, addresses: Sequence[str], *, yes: bool, as_json: bool
) -> None:
    """Change these resources and nothing else; the plan goes to stderr, the report is the result.

    Raises:
        SpecError: One is not of the stack, or depends on what differs too.
    """
    pipeline = session.pipeline("drift --fix")
    with pipeline.hold(stack) as workspaces:
        planned = pipeline.plan(stack, workspaces, fixed=addresses)
        review.show(session, planned, as_json=True)
        for address in _as_declared(planned, addresses):
            told = f"{ResourceId.parse(address)} is as declared: nothing to fix"
            session.err.print(told, markup=False)
        review.confirm(session, planned, yes=yes, as_json=as_json, may_spare=False)
        with progress.shown(session.err) as (step, finished):
            pipeline.apply(planned, step, finished, session.side_by_side(None))


def _as_declared(planned: Planned, addresses: Sequence[str]) -> list[str]:
    kept = {a.id.address for a in planned.plan.actions if a.kind == ActionKind.KEEP}
    return [address for address in dict.fromkeys(addresses) if address in kept]
