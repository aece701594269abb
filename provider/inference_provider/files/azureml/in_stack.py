"""`azureml` and `registries` of a stack file -> the same stack with what they stand for.

`azureml` lists files and folders of Azure ML YAML, relative to the stack file: what they declare
joins the items of the stack. They are read as for the target of the workspace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inference_provider.errors import Fault, SpecError
from inference_provider.files.azureml.documents import read_documents
from inference_provider.files.azureml.loading import LOCAL, AzureStack, azure_stack, with_faults
from inference_provider.files.azureml.overrides import Overrides
from inference_provider.files.azureml.registries import resolve
from inference_provider.spec.kinds import LISTED

_REMEDY = "write a list of files and folders, such as [endpoint.yml, blue-deployment.yml]"


@dataclass
class Included:
    """The value of a stack file, with all that it names of Azure ML."""

    value: Any
    azure: AzureStack | None = None
    offsets: dict[str, int] = field(default_factory=dict)
    """By listing: how many items are the stack file's own."""
    moved: dict[str, str] = field(default_factory=dict)
    """`<listing>.<i>` of an asset of `registries` -> where it is written."""
    faults: list[Fault] = field(default_factory=list)
    """Of what could not be read at all."""
    unresolved: list[Fault] = field(default_factory=list)
    """References to registries that nothing stands for."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the YAML as it is read here."""
        return self.azure.notes if self.azure else ()

    def placed(self, faults: Sequence[Fault]) -> tuple[Fault, ...]:
        """Return all faults, given those of the value; those of Azure ML YAML at their files."""
        told = {one.path for one in self.unresolved}
        own, theirs = [], []
        for fault in (*self.unresolved, *(one for one in faults if one.path not in told)):
            shifted = self._in_azure(fault.path)
            if shifted is None:
                own.append(replace(fault, path=self._written(fault.path)))
            else:
                theirs.append(replace(fault, path=shifted))
        if self.azure is not None and (theirs or self.azure.faults):
            own += with_faults(self.azure, theirs).faults
        return (*self.faults, *own)

    def _in_azure(self, path: str) -> str | None:
        listing, _, rest = path.partition(".")
        number, _, inside = rest.partition(".")
        own = self.offsets.get(listing)
        if own is None or not number.isdecimal() or int(number) < own:
            return None
        if f"{listing}.{number}" in self.moved:
            return None
        return f"{listing}.{int(number) - own}.{inside}".rstrip(".")

    def _written(self, path: str) -> str:
        listing, _, rest = path.partition(".")
        number, _, inside = rest.partition(".")
        moved = self.moved.get(f"{listing}.{number}")
        return path if moved is None else f"{moved}.{inside}".rstrip(".")


def included(value: Any, shown: Path, base: Path) -> Included:
    """Return a stack file's value with what its Azure ML YAML and its registries stand for.

    Args:
        value: As it is read.
        shown: The folder of the stack file as a person knows it.
        base: The same, absolute.
    """
    if not isinstance(value, dict):
        return Included(value)
    found = Included({key: _copied(one) for key, one in value.items() if key != "azureml"})
    paths = value.get("azureml")
    if isinstance(paths, list) and all(isinstance(one, str) and one for one in paths):
        _read(found, [shown / one for one in paths], base)
    elif paths is not None:
        found.faults.append(Fault("azureml", "expected a list of paths", _REMEDY))
    resolved = resolve(found.value)
    found.moved, found.unresolved = resolved.moved, resolved.faults
    return found


def _copied(items: Any) -> Any:
    if not isinstance(items, list):
        return items
    return [dict(one) if isinstance(one, Mapping) else one for one in items]


def _read(found: Included, paths: Sequence[Path], base: Path) -> None:
    spaces = found.value.get("workspaces")
    first = spaces[0] if isinstance(spaces, list) and spaces else {}
    target = first.get("target", LOCAL) if isinstance(first, Mapping) else LOCAL
    kind = target.get("kind") if isinstance(target, Mapping) else target
    documents, faults = read_documents(paths, {})
    try:
        azure = azure_stack(documents, faults, Overrides(), "", base, containers=kind != LOCAL)
    except SpecError as exc:
        found.faults += exc.faults
        return
    found.azure = azure
    for listing in LISTED:
        items = azure.value.get(listing, [])
        own = found.value.setdefault(listing, []) if items else None
        if isinstance(own, list):
            found.offsets[listing] = len(own)
            own += items
