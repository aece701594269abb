"""`model` and `environment`: `create`, `show` and `list` of versions that a workspace keeps."""

from pathlib import Path
from typing import Any

from inference_provider.cli.az import shown
from inference_provider.cli.az.changes import apply_part
from inference_provider.cli.az.declared import COMMAND_LINE, merged, part_with, written
from inference_provider.cli.az.documents import asset_document
from inference_provider.cli.az.site import Missing, Site
from inference_provider.errors import Fault, SpecError, TargetError
from inference_provider.files.azureml.overrides import Overrides
from inference_provider.observed import Kind, ObservedResource, ResourceId
from inference_provider.part import Part
from inference_provider.spec.reference import version_order

_KINDS = {"model": Kind.MODEL, "environment": Kind.ENVIRONMENT}
_PATHS = ("path", "conda_file", "build_context")
_FIELDS = ("path", "type", "image", "conda_file", "os_type", "description")


def create(site: Site) -> Any:
    """Keep a version of an asset; the next one where none is named. Return its document."""
    new = list[ResourceId]()
    kind = _KINDS[site.asked.group]

    def build(site: Site) -> Part:
        found = written(site, site.asked.group, _said(site))
        azure = merged(site, found, Overrides())
        if found.documents[0].value.get("version") is None:
            (item,) = azure.value[f"{site.asked.group}s"]
            item["version"] = _next(_versions(site, item["name"]))
        part = part_with(site, azure)
        (id_,) = (one for one in part.wanted if one.kind == kind)
        _refuse_other_content(site, part, id_)
        new.append(id_)
        return part

    apply_part(site, build)
    return shown.made(site, new[0])


def _said(site: Site) -> dict[str, Any]:
    """Return what options say of the document; paths are relative to where the command runs."""
    asked = vars(site.asked)
    given = {
        name: str(Path.cwd() / value) if name in _PATHS and "://" not in value else value
        for name, value in asked.items()
        if value is not None and name in (*_FIELDS, *_PATHS, "name", "version", "dockerfile_path")
    }
    build = {
        field: given.pop(option)
        for option, field in (("build_context", "path"), ("dockerfile_path", "dockerfile_path"))
        if option in given
    }
    tags = dict(_pair(text) for text in asked["tags"])
    return {**given, **({"build": build} if build else {}), **({"tags": tags} if tags else {})}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        fault = Fault("--tags", f"'{text}' is not NAME=VALUE", "write --tags team=iris")
        raise SpecError((fault,), COMMAND_LINE)
    return name, value


def _versions(site: Site, name: str) -> list[ObservedResource]:
    """Return the versions of an asset that there are, oldest first."""
    kind = _KINDS[site.asked.group]
    found = [
        one
        for one in site.resources.values()
        if one.id.kind == kind and one.id.name.partition(":")[0].lower() == name.lower()
    ]
    return sorted(found, key=lambda one: version_order(_version(one)))


def _version(there: ObservedResource) -> str:
    return there.id.name.partition(":")[2]


def _next(there: list[ObservedResource]) -> str:
    numbers = [int(_version(one)) for one in there if _version(one).isdecimal()]
    return str(max(numbers, default=0) + 1)


def _refuse_other_content(site: Site, part: Part, asset: ResourceId) -> None:
    """Raise TargetError where this version is there with other content: a version stays it."""
    before = site.held.observed.get(asset).record
    (after,) = (one for one in part.resolve(site.held.observed) if one.id == asset)
    there = before.properties.get("content_hash") if before else None
    if there is not None and there != after.properties["content_hash"]:
        reason = "this version is there with other content"
        raise TargetError("create", str(asset), reason, "name another version, or none")


def show(site: Site) -> Any:
    name, version = site.required("--name"), site.asked.version
    there = _versions(site, name)
    if site.asked.label is None:
        version = site.required("--version")
        there = [one for one in there if _version(one) == version]
    if not there:
        asked = f"{name}:{version}" if version else f"{name}@latest"
        raise Missing("find", f"{site.asked.group} '{asked}'", "not found")
    return asset_document(there[-1])


def listed(site: Site) -> Any:
    if site.asked.name is not None:
        return [asset_document(one) for one in _versions(site, site.asked.name)]
    kind = _KINDS[site.asked.group]
    there = (
        one.id.name.partition(":")[0] for one in site.resources.values() if one.id.kind == kind
    )
    return [asset_document(_versions(site, name)[-1]) for name in sorted(set(there))]
