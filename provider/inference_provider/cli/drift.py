"""`drift`: what differs from the stack file, in the form a person or a CI system reads."""

from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from inference_provider.cli.adopt import print_patch
from inference_provider.cli.declared import read_declared, review
from inference_provider.cli.drift_fix import fix
from inference_provider.cli.drift_history import read_history, write_history
from inference_provider.cli.given import Given, takes_files
from inference_provider.cli.options import Json, Yes
from inference_provider.cli.report import WRITERS
from inference_provider.cli.sarif import sarif
from inference_provider.cli.session import session_of
from inference_provider.errors import Fault, SpecError
from inference_provider.files.waivers import load_waivers
from inference_provider.reviewed import noted, waived
from inference_provider.waivers import Waiver

DEFAULT_WAIVERS = "drift-waivers.yaml"
"""Beside the stack file."""


class Format(StrEnum):
    """Formats of the drift report."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"
    SARIF = "sarif"


Form = Annotated[Format, typer.Option("--format", help="Format of the report.")]
Waivers = Annotated[
    Path | None,
    typer.Option(
        help="What somebody accepts, until when.",
        show_default=f"{DEFAULT_WAIVERS} beside the stack file, if it is there",
    ),
]
Seen = Annotated[
    Path | None,
    typer.Option(
        help="Keep in this file since when each finding is seen, and how often.",
        show_default="no file",
    ),
]
Fixed = Annotated[
    list[str] | None,
    typer.Option("--fix", metavar="ADDRESS", help="First bring this back to what is declared."),
]
Adopted = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS", help="Print the patch that declares what runs; 'all' for each."
    ),
]


@takes_files
def drift(
    ctx: typer.Context,
    given: Given,
    form: Form = Format.TEXT,
    as_json: Json = False,
    *,
    waivers: Waivers = None,
    history: Seen = None,
    fixed: Fixed = None,
    yes: Yes = False,
    adopt: Adopted = None,
) -> None:
    """Show what differs from the stack file, why, and who changed it. Exit 2 on drift.

    FILE may be what `pulumi stack export` printed, too.
    """
    session = session_of(ctx)
    now = datetime.now(UTC)
    if adopt or form == Format.SARIF:
        given.refuse_azure("--adopt" if adopt else "--format sarif")
    declared = read_declared(session, given)
    accepted = accepted_in(given.file, waivers, now.date())
    known = read_history(history, declared.known_as) if history else {}
    if adopt:
        reports = as_json or form != Format.TEXT or history is not None
        _refuse_beside_a_patch(fixes=bool(fixed), reports=reports)
    if fixed:
        fix(session, declared.stack_file("--fix"), fixed, yes=yes, as_json=as_json)
    report = review(session, declared)
    if history:
        report, known = noted(report, known, now)
    report = waived(report, accepted, now)
    if adopt:
        raise typer.Exit(print_patch(session, declared, report, adopt))
    form = Format.JSON if as_json else form
    shown = sarif(report, declared.place) if form == Format.SARIF else WRITERS[form](report)
    print(shown, end="")
    if history:
        write_history(history, declared.known_as, known)
    raise typer.Exit(report.exit_code)


def _refuse_beside_a_patch(*, fixes: bool, reports: bool) -> None:
    """Raise SpecError for options that contradict `--adopt`."""
    faults = []
    if fixes:
        reason = "--fix brings back what is declared, --adopt declares what runs"
        faults.append(Fault("", reason, "pass one of them"))
    if reports:
        remedy = "leave out --json, --format and --history"
        faults.append(Fault("", "--adopt prints a patch in place of a report", remedy))
    if faults:
        raise SpecError(tuple(faults), "the command line")


def accepted_in(file: Path, named: Path | None, today: date) -> tuple[Waiver, ...]:
    """Read the file of waivers that is named, else the one beside the stack file."""
    beside = file.parent / DEFAULT_WAIVERS
    if named is None and not beside.exists():
        return ()
    return load_waivers(named or beside, today)
