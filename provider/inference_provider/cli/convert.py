"""`convert`: print the stack file that Azure ML YAML stands for. Changes nothing."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from inference_provider.cli.given import Given, takes_files
from inference_provider.cli.session import session_of
from inference_provider.errors import Fault, SpecError
from inference_provider.files.azureml.converted import converted
from inference_provider.files.stack_file import load_azure


class ConvertTo(StrEnum):
    """Where the instances of a converted stack run."""

    local = "local"
    docker = "docker"
    kubernetes = "kubernetes"


@takes_files
def convert(
    ctx: typer.Context,
    given: Given,
    target: Annotated[
        ConvertTo,
        typer.Option("--target", help="Where its instances run: an image needs containers."),
    ] = ConvertTo.local,
) -> None:
    """Print the stack file that Azure ML YAML stands for.

    Its paths are relative to the folder that the first line names.
    """
    if not given.is_azure:
        fault = Fault(str(given.file), "not Azure ML YAML", "pass its files, or a folder of them")
        raise SpecError((fault,), "the command line")
    session, loaded = session_of(ctx), load_azure(given.files, given.options, target)
    for note in loaded.azure.notes:
        session.err.print(f"note: {note}", markup=False)
    folder = os.path.relpath(loaded.azure.base)
    print(f"# Save it in {folder}: paths are relative to that folder.")
    print(converted(loaded.azure.value), end="")
