"""Azure ML YAML of a person -> the stack that it declares, or every fault in all files at once.

Without a stack file it is on this machine, in the workspace `default`; the stack is named by the
person, or after the folder that the files lie in.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from inference_provider.errors import Fault, SpecError
from inference_provider.files.azureml.checks import checked
from inference_provider.files.azureml.documents import AzureDocument, read_documents
from inference_provider.files.azureml.fields import KINDS
from inference_provider.files.azureml.mapping import Mapped, Origin, mapped_of
from inference_provider.files.azureml.overrides import Overrides, override
from inference_provider.files.reading import RELATIVE

SOURCE = "the Azure ML YAML"
LOCAL = "local"
_REMEDIES = {
    "declare it under endpoints": "pass the endpoint's YAML too",
    "declare it under models": "pass the model's YAML too, or write the model inline",
    "declare it under environments": (
        "pass the environment's YAML too, or write the environment inline"
    ),
    RELATIVE: "paths are relative to the folder of the YAML file",
}


class AzureStack(NamedTuple):
    """What Azure ML YAML declares."""

    value: dict[str, Any]
    """As the YAML of a stack file would be read."""
    base: Path
    """What its paths are relative to; absolute."""
    notes: tuple[str, ...]
    place: Callable[[Fault], Fault]
    """Turns a fault of `value` into one of the files."""
    written: frozenset[tuple[str, str]]
    """File and path of each fault that was found already; none, where there is a stack."""
    faults: tuple[Fault, ...]


def named_after(folder: Path) -> str:
    """Return the name of a stack that lies in a folder."""
    name = re.sub(r"[^-_.a-zA-Z0-9]+", "-", folder.resolve().name).strip("-_.")
    return name[:100] or "azureml"


def folder_of(paths: Sequence[Path]) -> Path:
    """Return the folder that the given files lie in; the nearest common one of several."""
    folders = [os.path.abspath(path if path.is_dir() else path.parent) for path in paths]
    return Path(os.path.commonpath(folders))


def read_azure(
    paths: Sequence[Path], options: Overrides, target: str = LOCAL, *, alone: bool = False
) -> AzureStack:
    """Read files and folders of Azure ML YAML.

    Args:
        paths: Files and folders.
        options: What the command line says over them.
        target: A word for where the instances are to run: `local`, `docker` or `kubernetes`.
        alone: As in `azure_stack`.

    Raises:
        SpecError: Nothing of it can be served; with every fault in all of them.
    """
    documents, faults = read_documents(paths, options.variables)
    base = folder_of(paths)
    name, is_contained = options.stack or named_after(base), target != LOCAL
    azure = azure_stack(
        documents, faults, options, name, base, containers=is_contained, alone=alone
    )
    return azure._replace(value={"name": name, **_workspaces(target), **azure.value})


def azure_stack(
    documents: list[AzureDocument],
    faults: list[Fault],
    options: Overrides,
    name: str,
    base: Path,
    *,
    containers: bool,
    alone: bool = False,
) -> AzureStack:
    """Return what documents declare, once options have changed them.

    Args:
        documents: As they were read, or made.
        faults: Of what could not be read.
        options: What the command line says over them.
        name: Of the stack.
        base: The folder that paths in it are to be relative to; absolute.
        containers: Whether instances run in containers.
        alone: Whether a deployment may come without its endpoint, which then is one of defaults.

    Raises:
        SpecError: Nothing of it can be served; with every fault in all of them.
    """
    unread = bool(faults)  # rules between documents would miss what is not read
    faults += override(documents, options)
    if alone:
        _name_endpoints(documents)
    for document in documents:
        faults += checked(document)
    unserved = [_unserved(one) for one in documents if KINDS[one.kind].unserved]
    if unserved or unread or not documents:
        raise SpecError(_sorted([*unserved, *faults]), SOURCE)
    mapped = mapped_of(documents, base, containers=containers)
    if alone:
        mapped.add_endpoints()
    faults += mapped.faults
    return AzureStack(
        {"name": name, **mapped.listings},
        base,
        (*mapped.notes, *([] if alone else _unreached(mapped))),
        _placed_by(mapped),
        frozenset((fault.file, fault.path) for fault in faults),
        tuple(faults),
    )


def _name_endpoints(documents: Sequence[AzureDocument]) -> None:
    """Give each deployment that names no endpoint the one that is there, or one of its own."""
    there = [one.value.get("name") for one in documents if one.kind == "online_endpoint"]
    for document in documents:
        if document.kind == "online_deployment":
            document.value.setdefault("endpoint_name", there[0] if there else "local")


def _workspaces(target: str) -> dict[str, Any]:
    return {} if target == LOCAL else {"workspaces": [{"name": "default", "target": target}]}


def _unserved(document: AzureDocument) -> Fault:
    return document.fault("", KINDS[document.kind].unserved, "leave the file out")


def _unreached(mapped: Mapped) -> tuple[str, ...]:
    """Say which endpoints answer nobody yet: Azure ML sends a new deployment no requests."""
    deployed = {one["endpoint"] for one in mapped.listings.get("deployments", ())}
    return tuple(
        f"endpoint '{one['name']}' has no traffic: its address answers 404; add --all-traffic,"
        ' or --traffic "NAME=100"'
        for one in mapped.listings.get("endpoints", ())
        if one["name"] in deployed and not one.get("traffic")
    )


def _placed_by(mapped: Mapped) -> Callable[[Fault], Fault]:
    def place(fault: Fault) -> Fault:
        remedy = _REMEDIES.get(fault.remedy, fault.remedy)
        parts = fault.path.split(".")
        for taken in range(len(parts), 0, -1):
            origin = mapped.origins.get(".".join(parts[:taken]))
            if origin is not None:
                return _at(origin, parts[taken:], replace(fault, remedy=remedy))
        if fault.path == "name":
            return Fault("--stack", fault.reason, "use letters, digits, `-`, `_` and `.`")
        return replace(fault, remedy=remedy)

    return place


def _at(origin: Origin, inside: list[str], fault: Fault) -> Fault:
    path = ".".join(part for part in (origin.path, *inside) if part)
    return origin.document.fault(path, fault.reason, fault.remedy)


def _sorted(faults: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(dict.fromkeys(faults), key=lambda one: (one.file, one.line or 0)))


def with_faults(azure: AzureStack, found: Sequence[Fault]) -> SpecError:
    """Return the error of a stack that has faults; what the documents have already is told once."""
    placed = [azure.place(fault) for fault in found]
    beside = [one for one in placed if not _told(azure, one)]
    return SpecError(_sorted([*azure.faults, *beside]), SOURCE)


def _told(azure: AzureStack, fault: Fault) -> bool:
    path = fault.path.removesuffix(" (from the command line)")
    while path:
        if any(
            (fault.file, known) in azure.written
            for known in (path, f"{path} (from the command line)")
        ):
            return True
        path = path.rpartition(".")[0]
    return False
