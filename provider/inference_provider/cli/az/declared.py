"""`-f`, `--set` and the names of a command line -> what they declare of a workspace."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from inference_provider.cli.az.registries import resolved
from inference_provider.cli.az.site import Missing, Site
from inference_provider.cli.options import DEFAULT_FILE
from inference_provider.desired import identify
from inference_provider.errors import Fault, SpecError
from inference_provider.files.azureml.documents import AzureDocument, read_documents
from inference_provider.files.azureml.fields import KINDS
from inference_provider.files.azureml.loading import AzureStack, azure_stack, folder_of
from inference_provider.files.azureml.overrides import Overrides
from inference_provider.files.lines import read_document
from inference_provider.files.stack_file import IN_A_STACK_FILE, stack_of_azure
from inference_provider.observed import Kind, ResourceId
from inference_provider.part import Part, part_of
from inference_provider.spec import SpecModel
from inference_provider.spec.kinds import LISTED
from inference_provider.spec.target import on_this_machine

COMMAND_LINE = "the command line"
_ITEM = re.compile(r"^[a-z_]+\.\d+\.")
"""How the path of a fault in a stack begins: `traffic.0.`"""
_IN_THE_FILE = f"write in the workspace of ./{DEFAULT_FILE}"
_REMEDIES = {
    "declare it under models": "create it by `inferctl az model create`, or write it inline",
    "declare it under environments": (
        "create it by `inferctl az environment create`, or write it inline"
    ),
}


class Written(NamedTuple):
    """What a file and the options of a command line are, before they are merged."""

    documents: list[AzureDocument]
    faults: list[Fault]
    """Of what could not be read."""
    base: Path
    """What paths of the documents are made relative to."""


def declared(site: Site, kind: str, options: Overrides, value: dict[str, Any]) -> AzureStack:
    """Return what the command line and its file declare; its faults are told by `part_with`.

    Args:
        site: Where.
        kind: Of document, a key of `KINDS`, that the command is for.
        options: What is said over the file.
        value: What the command line says beside that; a whole document without a file.

    Raises:
        SpecError: There is no such document.
    """
    return merged(site, written(site, kind, value), options)


def written(site: Site, kind: str, value: dict[str, Any]) -> Written:
    """Read the file of a command line, or make a document; see `declared`."""
    found = _documents(site, kind)
    for document in found.documents:
        document.value.update(value)
        document.from_options.update(value)
        _refuse_another_kind(document, kind)
    return found


def merged(site: Site, found: Written, options: Overrides) -> AzureStack:
    """Return what documents declare with options over them, which change the documents."""
    sets = tuple(pair for pairs in site.asked.sets for pair in pairs)
    options, name = replace(options, sets=sets), site.stack.name
    containers = not on_this_machine(site.session.place)
    azure = azure_stack(*found[:2], options, name, found.base, containers=containers)
    for note in azure.notes:
        site.note(note)
    placed = _placed(site, azure.value)
    return azure._replace(value=resolved(site, placed, azure.base))


def _documents(site: Site, kind: str) -> Written:
    file = site.asked.file
    if file is None:
        lines = read_document("{}").lines
        made = AzureDocument(Path.cwd() / "-", COMMAND_LINE, kind, {}, lines)
        return Written([made], [], Path.cwd())
    if Path(file).is_dir():
        fault = Fault("--file", f"'{file}' is a folder", "name one file")
        raise SpecError((fault,), COMMAND_LINE)
    documents, faults = read_documents([Path(file)], {})
    remedy = "replace it in the file first"
    told = [replace(f, remedy=remedy) if f.remedy.startswith("add --var") else f for f in faults]
    return Written(documents, told, folder_of([Path(file)]))


def _refuse_another_kind(document: AzureDocument, kind: str) -> None:
    if document.kind != kind and not KINDS[document.kind].unserved:
        reason = f"{document.shown} is a {KINDS[document.kind].word}"
        remedy = f"name a file of a {KINDS[kind].word}"
        raise SpecError((Fault("--file", reason, remedy),), COMMAND_LINE)


def _placed(site: Site, value: dict[str, Any]) -> dict[str, Any]:
    """Return a stack file's value in the workspace, with names as they are there already."""
    placed: dict[str, Any] = {"name": value["name"]}
    for listing, items in value.items():
        if listing in LISTED:
            placed[listing] = [_named(site, listing, item) for item in items]
    if ResourceId.of_workspace(site.workspace) in site.held.specs:
        return placed
    if site.session.place != "local" or DEFAULT_FILE.is_file():  # which says what it is like
        raise Missing(
            "find", f"workspace '{site.workspace}'", "not found", "create it with `inferctl up`"
        )
    return {**placed, "workspaces": [{"name": site.workspace}]}


def _named(site: Site, listing: str, item: dict[str, Any]) -> dict[str, Any]:
    named = {"workspace": site.workspace, **item}
    if listing == "endpoints":
        named["name"] = site.id_of(Kind.ENDPOINT, item["name"]).name
    if listing == "deployments":
        named["endpoint"] = site.id_of(Kind.ENDPOINT, item["endpoint"]).name
        full = f"{named['endpoint']}/{item['name']}"
        named["name"] = site.id_of(Kind.DEPLOYMENT, full).name.partition("/")[2]
    return named


def part_of_specs(site: Site, wanted: Mapping[ResourceId, SpecModel]) -> Part:
    """Return a part in which some specs are others than the workspace holds, or new.

    Raises:
        SpecError: With every broken rule between resources, by its field alone.
    """
    try:
        return site.held.with_specs(site.stack.name, wanted)
    except SpecError as exc:
        faults = (replace(one, path=_ITEM.sub("", one.path)) for one in exc.faults)
        raise SpecError(tuple(faults), COMMAND_LINE) from None


def part_with(site: Site, azure: AzureStack) -> Part:
    """Return what is declared, beside what the workspace holds.

    Raises:
        SpecError: With every fault in it, and in files that it names.
    """
    there = site.held.listings

    def place(fault: Fault) -> Fault:
        remedy = _REMEDIES.get(fault.remedy, fault.remedy).replace(IN_A_STACK_FILE, _IN_THE_FILE)
        return azure.place(replace(fault, remedy=remedy))

    spec = stack_of_azure(azure._replace(place=place), there)
    known = {id(one) for found in there.values() for one in found}
    wanted = [
        identify(row.kind, one)
        for listing, row in LISTED.items()
        for one in getattr(spec, listing)
        if id(one) not in known
    ]
    return part_of(spec, wanted)
