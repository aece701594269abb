"""The first page: workspaces and their endpoints; what has drifted."""

from typing import NamedTuple

from starlette.responses import Response

from inference_provider.cli.report import FIX, verdict_line
from inference_provider.console.opened import Asked, Console
from inference_provider.console.seen import Health, Seen, endpoints, health_of
from inference_provider.drift import DriftReport, Verdict
from inference_provider.errors import SpecError
from inference_provider.observed import ObservedState, Presence, ResourceId


class Space(NamedTuple):
    """One workspace."""

    name: str
    health: Health
    status: str
    endpoints: tuple[Seen, ...]


class Drifted(NamedTuple):
    """How far what runs is from the stack file, in one line."""

    clean: bool
    told: str


def overview(asked: Asked) -> Response:
    console = asked.console
    names = console.workspaces()
    observed = console.target.observe(names)
    return asked.page("overview", spaces=[_space(name, observed) for name in names])


def drift_verdict(asked: Asked) -> Response:
    """Answer with the overview's line on drift: apart, since it reads all files of the stack."""
    return asked.page("verdict", drifted=_drifted(asked.console))


def _space(name: str, observed: ObservedState) -> Space:
    there = observed.get(ResourceId.of_workspace(name))
    absent = there.presence == Presence.ABSENT
    health = Health("unknown", "there is none yet") if absent else health_of(there)
    return Space(name, health, there.status, endpoints(observed, name))


def _drifted(console: Console) -> Drifted | None:
    """Return nothing without a stack file."""
    try:
        stack = console.stack()
    except SpecError as exc:
        return Drifted(False, str(exc))
    if stack is None:
        return None
    report = console.pipeline.drift(stack)
    return Drifted(report.exit_code == 0, verdict_line(report))


def drift(asked: Asked) -> Response:
    stack = asked.console.stack()
    report = asked.console.pipeline.drift(stack) if stack else None
    return asked.page(
        "drift",
        report=report,
        verdict=verdict_line(report) if report else "",
        remarkable=_remarkable(report) if report else (),
        fixes=FIX,
    )


def _remarkable(report: DriftReport) -> list[object]:
    return [one for one in report.resources if one.verdict != Verdict.CLEAN]
