"""Arguments and options that several commands take alike."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_FILE = Path("stack.yaml")


File = Annotated[Path, typer.Argument(help="The stack file.", show_default=True)]
OptionalFile = Annotated[
    Path | None, typer.Argument(help="The stack file; ./stack.yaml when there is one.")
]
Endpoint = Annotated[str, typer.Argument(help="Name of the endpoint.")]
Workspace = Annotated[
    str | None,
    typer.Option("--workspace", "-w", help="Workspace; that of ./stack.yaml, or the only one."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")]
Parallel = Annotated[
    int | None,
    typer.Option(
        "--parallel",
        min=1,
        show_default="by cores; 32 on a cluster",
        help="How many servers start and environments build at once; 1 does all in order.",
    ),
]
