"""`drift`: what differs from the stack file, in the form a person or a CI system reads."""

from enum import StrEnum
from typing import Annotated

import typer

from inference_provider.cli.options import DEFAULT_FILE, File, Json
from inference_provider.cli.report import WRITERS
from inference_provider.cli.session import session_of


class Format(StrEnum):
    """Formats of the drift report."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"


def drift(
    ctx: typer.Context,
    file: File = DEFAULT_FILE,
    form: Annotated[Format, typer.Option("--format", help="Format of the report.")] = Format.TEXT,
    as_json: Json = False,
) -> None:
    """Show what differs from the stack file, why, and who changed it. Exit 2 on drift."""
    session = session_of(ctx)
    stack, pipeline = session.read_stack(file), session.pipeline("drift")
    report = pipeline.drift(stack)
    print(WRITERS["json" if as_json else form.value](report), end="")
    raise typer.Exit(report.exit_code)
