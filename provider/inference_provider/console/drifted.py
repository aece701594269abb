"""What has drifted, as `inferctl drift` says it; and fixes, each planned before it is applied."""

from datetime import UTC, datetime
from typing import NamedTuple

from starlette.responses import Response

from inference_provider.apply import at_once
from inference_provider.cli.drift import accepted_in
from inference_provider.cli.plan_text import plan_lines
from inference_provider.cli.report import FIX, is_refused, notes_of, remarkable, verdict_line
from inference_provider.console.answers import Refused, see
from inference_provider.console.opened import Asked, Console, ShownFix
from inference_provider.drift import DriftReport
from inference_provider.errors import InferenceError
from inference_provider.reviewed import waived
from inference_provider.stack import Stack

_CHANGED = {"fixed": "The fix was applied.", "waived": "The waiver was added."}


class Drifted(NamedTuple):
    """How far what runs is from the stack file, in one line."""

    clean: bool
    told: str


def drift(asked: Asked) -> Response:
    """Show the review; after a fix too, whose address the browser then has."""
    report = _report(asked.console)
    return asked.page(
        "drift",
        report=report,
        verdict=verdict_line(report) if report else "",
        remarkable=remarkable(report) if report else (),
        notes=notes_of(report) if report else (),
        is_refused=is_refused,
        fixes=FIX,
        changed=_CHANGED.get(asked.part("changed"), ""),
    )


def drift_verdict(asked: Asked) -> Response:
    """Answer with the overview's line on drift: apart, since it reads all files of the stack."""
    try:
        report = _report(asked.console)
    except InferenceError as exc:
        return asked.page("verdict", drifted=Drifted(False, str(exc)))
    drifted = Drifted(report.exit_code == 0, verdict_line(report)) if report else None
    return asked.page("verdict", drifted=drifted)


def _report(console: Console) -> DriftReport | None:
    """Return the review, with the waivers beside the stack file; None without one."""
    if console.file is None:
        return None
    stack, now = console.session.read_stack(console.file), datetime.now(UTC)
    accepted = accepted_in(console.file, None, now.date())
    return waived(console.pipeline.drift(stack), accepted, now)


def plan_fix(asked: Asked) -> Response:
    """Show what fixing the chosen resources would change; the form below applies just that."""
    addresses = tuple(asked.form.under("fix"))
    if not addresses:
        raise Refused(400, "Nothing is chosen. Tick what is to be fixed.")
    planned = asked.console.pipeline.plan(_stack(asked), fixed=addresses)
    return asked.page(
        "fix",
        notes=planned.notes,
        lines=plan_lines(planned.plan),
        pending=bool(planned.plan.pending),
        deletions=len(planned.deletions),
        plan=asked.console.plans.put(ShownFix(addresses, planned.plan)),
        command=" ".join(("inferctl drift", *(f"--fix {one}" for one in addresses))),
    )


def apply_fix(asked: Asked) -> Response:
    """Apply the plan that was shown; answer when it is done, which may take minutes."""
    asked.refuse_read_only()
    shown = asked.console.plans.take(asked.form.text("plan"))
    if not isinstance(shown, ShownFix):
        raise Refused(400, "This plan was applied already, or is too old. Plan the fix again.")
    stack, pipeline = _stack(asked), asked.console.pipeline
    with pipeline.hold(stack) as workspaces:
        planned = pipeline.plan(stack, workspaces, fixed=shown.addresses)
        if planned.plan != shown.plan:
            told = "What is there, or declared, has changed since the plan was shown."
            raise Refused(409, f"{told} Nothing was changed. Plan the fix again.")
        pipeline.apply(planned, parallel=at_once(asked.console.target))
    return see("/drift?changed=fixed")


def _stack(asked: Asked) -> Stack:
    file = asked.console.file
    if file is None:
        raise Refused(400, "No stack file says what is declared. Name one: `inferctl console FILE`")
    return asked.console.session.read_stack(file)
