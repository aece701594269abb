"""A plan is shown to a person, who agrees before anything is deleted."""

import typer

from inference_provider.cli.plan_text import plan_lines
from inference_provider.cli.session import Session
from inference_provider.errors import TargetError
from inference_provider.plan import ActionKind
from inference_provider.printable import one_line
from inference_provider.stack import Planned


def show(session: Session, planned: Planned, *, as_json: bool = False) -> None:
    """Print notes and plan; beside the JSON they go to stderr."""
    console = session.err if as_json else session.out
    for line in [*planned.notes, *plan_lines(planned.plan)]:
        console.print(one_line(line), markup=False)


def confirm(
    session: Session, planned: Planned, *, yes: bool, as_json: bool, may_spare: bool = True
) -> None:
    """Ask before anything is deleted; where there is no terminal, stop before any change.

    Args:
        session: Where a person is asked.
        planned: What would be done.
        yes: Whether it is agreed to already.
        as_json: Whether stdout is a program's.
        may_spare: Whether the command has `--no-prune`.
    """
    count = len(planned.deletions)
    if yes or not count:
        return
    noun = "resource" if count == 1 else "resources"
    if as_json or not session.interactive:
        prunes = all(action.kind == ActionKind.DELETE for action in planned.deletions)
        spared = may_spare and prunes and any(action.desired for action in planned.plan.actions)
        cause = " with --json" if as_json else ": stdin is not a terminal"
        raise TargetError(
            "delete",
            f"{count} {noun}",
            f"cannot prompt{cause}; nothing was changed",
            "pass -y to delete" + (", or --no-prune to leave it" if spared else ""),
        )
    if not typer.confirm(f"delete or replace {count} {noun}?", err=True):
        session.err.print("nothing was changed")
        raise typer.Exit(1)
