"""stack.yaml -> StackSpec, or every fault in it at once, each with its line.

Goes in: the path of one YAML document whose top-level lists are the kinds of resource. Comes out:
a StackSpec with defaults for `workspace` and content hashes filled in. Defaults of fields are the
models'; what a name resolves to is decided in `desired.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr

from inference_provider.errors import Fault, SpecError
from inference_provider.files.digest import with_content_hash
from inference_provider.files.expand import Expansion
from inference_provider.files.item_reading import Reading
from inference_provider.files.lines import LineMap, read_document
from inference_provider.files.reading import STACK_FILE_MIB, Unreadable, read_text
from inference_provider.files.source_folder import SourceFolder
from inference_provider.secret_text import Secrets
from inference_provider.spec import (
    SpecModel,
    StackSpec,
)
from inference_provider.spec.free_text import is_free_text
from inference_provider.spec.kinds import LISTED

if TYPE_CHECKING:
    from inference_provider.files.azureml.in_stack import Included
    from inference_provider.files.azureml.loading import AzureStack
    from inference_provider.files.azureml.overrides import Overrides

_NAMES_AZURE = re.compile(r"azureml|registries")
IN_A_STACK_FILE = "write a stack file with `azureml: [FILES]`, and in its workspace"


def load_stack(path: Path, text: str | None = None) -> StackSpec:
    """Read a stack file; paths in it stay relative to its folder.

    Args:
        path: Where it is.
        text: What to read in place of what the file has.

    Raises:
        SpecError: With every fault in the file, and in the files it names.
    """
    try:
        text = read_text(path, path.name, STACK_FILE_MIB) if text is None else text
    except Unreadable as exc:
        fault = Fault(
            path.name, exc.reason, exc.remedy or "name a stack file, like stack.yaml", exc.line
        )
        raise SpecError((fault,), source=str(path)) from exc
    document = read_document(text)
    expansion = Expansion(path.resolve().parent)
    folder = SourceFolder(expansion.base_dir)
    reading = Reading(folder, path.resolve().name)
    reading.faults += document.faults
    stack, azure = None, None
    if not any(fault.path == "YAML" for fault in document.faults):
        value = expansion.expand(document.value)
        if _NAMES_AZURE.search(text):
            azure = _included(value, path.parent, expansion.base_dir)
            value = azure.value
        stack = reading.read(value)
    faults = [*reading.faults_beside(expansion.faults), *expansion.faults]
    faults = [replace(one, path=reading.written_at(one.path)) for one in faults]
    if azure is not None:
        faults = [*azure.placed(faults)]
    if faults or stack is None:
        raise SpecError(_finish(faults, expansion, document.lines), source=str(path))
    stack._notes = azure.notes if azure else ()
    stack._placeholders = _secrets_of_items(stack, expansion.stood_for)
    stack._folders = _folders(stack, expansion.base_dir)
    try:
        return _with_hashes(stack, folder)
    except SpecError as exc:
        raise SpecError(tuple(map(expansion.hide, exc.faults)), source=str(path)) from exc


def _included(value: Any, shown: Path, base: Path) -> "Included":
    from inference_provider.files.azureml.in_stack import (  # noqa: PLC0415 - few files name any
        included,
    )

    return included(value, shown, base)


class LoadedAzure(NamedTuple):
    """A stack, and the Azure ML YAML that declares it."""

    spec: StackSpec
    azure: "AzureStack"


def load_azure(
    paths: Sequence[Path], options: "Overrides", target: str = "local", *, alone: bool = False
) -> LoadedAzure:
    """Read Azure ML YAML as the stack that it declares.

    Args:
        paths: Files and folders.
        options: What the command line says over them.
        target: A word for where the instances are to run: `local`, `docker` or `kubernetes`.
        alone: As in `azure_stack`.

    Raises:
        SpecError: With every fault in the files, and in those that they name.
    """
    from inference_provider.files.azureml.loading import read_azure  # noqa: PLC0415 - of few files

    azure = read_azure(paths, options, target, alone=alone)
    return LoadedAzure(stack_of_azure(azure, {}), azure)


def stack_of_azure(azure: "AzureStack", there: Mapping[str, Sequence[SpecModel]]) -> StackSpec:
    """Return the stack that Azure ML YAML declares.

    Args:
        azure: What is read of it.
        there: By listing, what its workspaces hold already and it may name. What it does not
            declare of that stands behind its own items; no files of it are read.

    Raises:
        SpecError: With every fault in the files, and in those that they name.
    """
    from inference_provider.files.azureml.loading import with_faults  # noqa: PLC0415 - the same
    from inference_provider.files.azureml.registries import resolve  # noqa: PLC0415 - the same

    folder = SourceFolder(azure.base)
    reading = Reading(folder, "", there)
    unresolved = resolve(azure.value, IN_A_STACK_FILE).faults
    stack = reading.read(azure.value)
    told = {one.path for one in unresolved}
    reading.faults = [*unresolved, *(one for one in reading.faults if one.path not in told)]
    faults = [replace(one, path=reading.written_at(one.path)) for one in reading.faults]
    if faults or azure.faults or stack is None:
        raise with_faults(azure, faults)
    stack._folders, stack._notes = _folders(stack, azure.base), azure.notes
    try:
        return _with_hashes(stack, folder, reading.beside)
    except SpecError as exc:
        raise with_faults(azure, exc.faults) from exc


def _folders(stack: StackSpec, base: Path) -> dict[str, str]:
    return {
        f"{row.listing}.{i}": str(base)
        for row in LISTED.values()
        for i in range(len(getattr(stack, row.listing)))
    }


def _secrets_of_items(stack: StackSpec, stood_for: list[tuple[str, str]]) -> dict[str, Secrets]:
    """Return what placeholders stood for in free text, by `<listing>.<i>`."""
    found: dict[str, dict[SecretStr, None]] = {}
    for path, value in stood_for:
        listing, i, inside = [*path.split(".", 2), "", ""][:3]
        if listing not in LISTED:
            continue
        if is_free_text(type(getattr(stack, listing)[int(i)]), inside):
            found.setdefault(f"{listing}.{i}", {})[SecretStr(value)] = None
    return {item: tuple(secrets) for item, secrets in found.items()}


def _finish(faults: list[Fault], expansion: Expansion, lines: LineMap) -> tuple[Fault, ...]:
    """Add lines, hide what came from outside; what has a file is placed already."""
    placed: dict[Fault, None] = {}
    for fault in faults:
        known = fault.line is not None or fault.file
        line = fault.line if known else lines.line(fault.path)
        placed[expansion.hide(replace(fault, line=line))] = None
    return tuple(sorted(placed, key=lambda fault: fault.line or 0))


def _with_hashes(
    stack: StackSpec, folder: SourceFolder, beside: Mapping[str, Sequence[SpecModel]] | None = None
) -> StackSpec:
    hashed = {}
    for listing in LISTED:
        there = (beside or {}).get(listing, ())
        own = getattr(stack, listing)[: -len(there) or None]
        hashed[listing] = (*(with_content_hash(spec, folder) for spec in own), *there)
    return stack.model_copy(update=hashed)
