"""The files that a command names: one stack file, or Azure ML YAML with what is said over it.

`takes_files` gives a command the arguments and options for both, in the place of its `given`.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from inference_provider.cli.options import DEFAULT_FILE
from inference_provider.errors import Fault, SpecError
from inference_provider.files.azureml.documents import in_folder, is_azure
from inference_provider.files.azureml.loading import folder_of, named_after
from inference_provider.files.azureml.overrides import Overrides, variables_of

_PANEL = "Azure ML YAML"


def _option(*names: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=_PANEL)


_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "files": (
        Annotated[
            list[Path] | None,
            typer.Argument(
                metavar="[FILE]...",
                help="The stack file, or Azure ML YAML: files or folders.",
                show_default=str(DEFAULT_FILE),
            ),
        ],
        None,
    ),
    "sets": (
        Annotated[
            list[str] | None,
            _option("--set", text="Azure ML YAML: change a value.", metavar="[FILE:]PATH=VALUE"),
        ],
        None,
    ),
    "variables": (
        Annotated[
            list[str] | None,
            _option("--var", text="Azure ML YAML: what {{NAME}} is.", metavar="NAME=VALUE"),
        ],
        None,
    ),
    "stack": (
        Annotated[
            str | None,
            _option("--stack", text="Azure ML YAML: name of the stack; the folder's if left out."),
        ],
        None,
    ),
    "name": (
        Annotated[str | None, _option("--name", text="Azure ML YAML: name of the deployment.")],
        None,
    ),
    "endpoint": (
        Annotated[str | None, _option("--endpoint", text="Azure ML YAML: name of the endpoint.")],
        None,
    ),
    "traffic": (
        Annotated[
            str | None,
            _option("--traffic", text="Azure ML YAML: the split.", metavar='"blue=90 green=10"'),
        ],
        None,
    ),
    "all_traffic": (
        Annotated[
            bool, _option("--all-traffic", text="Azure ML YAML: all of it to the one deployment.")
        ],
        False,
    ),
    "mirror_traffic": (
        Annotated[
            str | None,
            _option("--mirror-traffic", text="Azure ML YAML: the mirror.", metavar='"green=10"'),
        ],
        None,
    ),
}


@dataclass(frozen=True)
class Given:
    """What a command line names."""

    files: tuple[Path, ...] = (DEFAULT_FILE,)
    options: Overrides = field(default_factory=Overrides)

    @classmethod
    def of(cls, asked: "Path | Given") -> "Given":
        """Return a path alone as what a command line would say of it."""
        return asked if isinstance(asked, Given) else cls((asked,))

    @cached_property
    def is_azure(self) -> bool:
        """Whether it is Azure ML YAML; a path that is not there is none."""
        if len(self.files) > 1:
            return True
        (path,) = self.files
        if path.is_dir():
            return not (path / DEFAULT_FILE).is_file() and bool(in_folder(path))
        return is_azure(path)

    @property
    def file(self) -> Path:
        """The stack file; of Azure ML YAML the first file.

        Raises:
            SpecError: Something is said that only Azure ML YAML takes.
        """
        if not self.is_azure and self.options.given:
            reason = f"it is for Azure ML YAML, and {self.files[0]} is not"
            faults = (Fault(one, reason, "leave it out") for one in self.options.given)
            raise SpecError(tuple(faults), "the command line")
        first = self.files[0]
        return in_folder(first)[0] if self.is_azure and first.is_dir() else first

    @property
    def stack_name(self) -> str:
        """The name of the stack that Azure ML YAML is."""
        return self.options.stack or named_after(folder_of(self.files))

    def refuse_azure(self, option: str) -> None:
        """Raise SpecError for an option that needs a stack file."""
        if self.is_azure:
            remedy = "`inferctl convert` makes a stack file of Azure ML YAML"
            fault = Fault(option, "it needs a stack file", remedy)
            raise SpecError((fault,), "the command line")


def takes_files(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the files and options that its parameter `given` is made of."""
    own = inspect.signature(command).parameters
    keyword = inspect.Parameter.KEYWORD_ONLY
    shown: list[inspect.Parameter] = []
    for name, parameter in own.items():
        if name != "given":
            shown.append(parameter.replace(kind=keyword) if name != "ctx" else parameter)
            continue
        annotation, default = _PARAMETERS["files"]
        shown.append(inspect.Parameter("files", keyword, default=default, annotation=annotation))
    shown += [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in _PARAMETERS.items()
        if name != "files"
    ]

    @wraps(command)
    def wrapped(ctx: typer.Context, **values: Any) -> None:
        said = {name: values.pop(name) for name in _PARAMETERS}
        command(ctx, given=_given(said), **values)

    wrapped.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in shown}
    return wrapped


def _given(said: dict[str, Any]) -> Given:
    files, variables = said.pop("files"), said.pop("variables") or ()
    try:
        known = variables_of(variables)
    except ValueError as exc:
        fault = Fault("--var", f"'{exc}' is not NAME=VALUE", "write --var NAME=VALUE")
        raise SpecError((fault,), "the command line") from None
    options = Overrides(**{**said, "sets": tuple(said["sets"] or ()), "variables": known})
    return Given(tuple(files or (DEFAULT_FILE,)), options)
