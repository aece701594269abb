"""`registries` of ./stack.yaml: what stands for assets of Azure's registries in a workspace."""

import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from inference_provider.cli.az.site import Site
from inference_provider.cli.options import DEFAULT_FILE
from inference_provider.errors import Fault, SpecError
from inference_provider.files.azureml.registries import resolve
from inference_provider.files.lines import read_document
from inference_provider.files.reading import STACK_FILE_MIB, Unreadable, read_text
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.kinds import ASSETS

_PATHS = ("path", "conda_file", "requirements_file")


def resolved(site: Site, value: dict[str, Any], base: Path) -> dict[str, Any]:
    """Return a stack's value with what stands for references to registries, where anything does.

    Args:
        site: Whose workspace ./stack.yaml may declare.
        value: Its items name the workspace.
        base: What paths in it are relative to; those of ./stack.yaml are to where it lies.
    """
    registries = _written(site.workspace)
    if not registries or not value.get("deployments"):
        return value
    space = {"name": site.workspace, "registries": registries}
    found = resolve({"workspaces": [space], "deployments": deepcopy(value["deployments"])})
    for fault in found.faults:  # told by who reads the value, as in a file
        _, i, field = fault.path.split(".", 2)
        if fault.path.startswith("deployments."):
            found.value["deployments"][int(i)][field] = value["deployments"][int(i)][field]
    assets = {
        row.listing: [
            *value.get(row.listing, ()),
            *(
                _moved(item, base)
                for item in found.value.get(row.listing, ())
                if not _is_there(site, row.kind, item)
            ),
        ]
        for row in ASSETS
    }
    return {**value, **assets, "deployments": found.value["deployments"]}


def _written(workspace: str) -> Mapping[str, Any]:
    """Return what ./stack.yaml says of a workspace; nothing where it has no such workspace."""
    if not DEFAULT_FILE.is_file():
        return {}
    try:
        document = read_document(read_text(DEFAULT_FILE, DEFAULT_FILE.name, STACK_FILE_MIB)).value
    except Unreadable:
        return {}
    spaces = document.get("workspaces") if isinstance(document, dict) else None
    for space in spaces if isinstance(spaces, list) else ():
        if isinstance(space, dict) and space.get("name", "default") == workspace:
            found = space.get("registries")
            if "${" in str(found):
                reason = "registries have a placeholder, which `inferctl az` does not read"
                fault = Fault("registries", reason, "write its value, or `inferctl up` the file")
                raise SpecError((fault,), str(DEFAULT_FILE))
            return found if isinstance(found, dict) else {}
    return {}


def _is_there(site: Site, kind: Kind, item: Mapping[str, Any]) -> bool:
    name = f"{item['name']}:{item['version']}"
    return ResourceId(kind=kind, workspace=site.workspace, name=name) in site.held.specs


def _moved(item: Mapping[str, Any], base: Path) -> dict[str, Any]:
    moved = dict(item)
    for field in _PATHS:
        if isinstance(moved.get(field), str):
            moved[field] = _relative(moved[field], base)
    if isinstance(build := moved.get("build"), Mapping) and isinstance(build.get("path"), str):
        moved["build"] = {**build, "path": _relative(build["path"], base)}
    return moved


def _relative(path: str, base: Path) -> str:
    if "://" in path:
        return path
    return Path(os.path.relpath(Path.cwd() / path, base)).as_posix()
