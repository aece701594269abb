"""Azure ML documents -> items of a stack file, each with where its values are written. Pure.

What a field becomes stands in `fields.py`; here it is put there. Paths are made relative to one
folder, names are lower-cased as Azure ML does, an inline asset gets a name of its own.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from inference_provider.errors import Fault
from inference_provider.files.azureml.checks import words
from inference_provider.files.azureml.documents import AzureDocument
from inference_provider.files.wording import faults_of
from inference_provider.spec import SpecModel
from inference_provider.spec.base import AssetName, AssetVersion, ResourceName

_SAME = (
    "description", "instance_type", "instance_count", "request_settings", "liveness_probe",
    "readiness_probe", "egress_public_network_access",
)  # fmt: skip
_TOP = object()
_RULES: Mapping[Any, type[BaseModel]] = {
    rule: create_model("Written", __base__=SpecModel, text=(rule, ...))
    for rule in (ResourceName, AssetName, AssetVersion)
}


@dataclass(frozen=True)
class Origin:
    """Where an item, or a part of it, is written."""

    document: AzureDocument
    path: str
    """In the document; empty for all of it."""


@dataclass
class Mapped:
    """Items by listing, and their origins by `<listing>.<i>[.<field>]`."""

    listings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, listing: str, item: dict[str, Any], origin: Origin, **parts: str) -> None:
        """Add an item once: two deployments may bring the same asset."""
        items = self.listings.setdefault(listing, [])
        if item in items:
            return
        place = f"{listing}.{len(items)}"
        items.append(item)
        self.origins[place] = origin
        for part, path in parts.items():
            self.origins[f"{place}.{part}"] = Origin(origin.document, path)

    def add_endpoints(self) -> None:
        """Add the endpoints that deployments name and that no document is."""
        there = {one.get("name") for one in self.listings.get("endpoints", ())}
        for i, one in enumerate(self.listings.get("deployments", ())):
            if (name := one["endpoint"]) not in there:
                there.add(name)
                self.add("endpoints", {"name": name}, self.origins[f"deployments.{i}"])


@dataclass
class _Mapping:
    base: Path
    containers: bool
    """Whether instances run in containers; without them a base image has no meaning."""
    mapped: Mapped = field(default_factory=Mapped)

    def endpoint(self, document: AzureDocument) -> None:
        value = document.value
        item = _picked(value, ("description", "public_network_access"))
        item["name"] = self._name(document, "name", ResourceName, "endpoint")
        if isinstance(value.get("auth_mode"), str):
            item["auth_mode"] = value["auth_mode"]
        if item.get("public_network_access") == "disabled":
            self._only_for_this_machine(document, item)
        known = "enforce_access_to_default_secret_stores"
        properties = value.get("properties")
        if isinstance(properties, Mapping) and known in properties:
            item["properties"] = {known: properties[known]}
        _tags(item, value)
        for key in ("traffic", "mirror_traffic"):
            if isinstance(value.get(key), Mapping):
                item[key] = {_lower(name): _number(share) for name, share in value[key].items()}
        self.mapped.add("endpoints", item, Origin(document, ""))

    def _only_for_this_machine(self, document: AzureDocument, item: dict[str, Any]) -> None:
        """Say who may call an endpoint of no public network: in Azure a private endpoint would."""
        if not self.containers:
            item["allowed_source_ranges"] = ["127.0.0.0/8", "::1"]
            return
        path = "public_network_access"
        del item[path]
        reason = "'disabled' does not say which addresses may call, outside of this machine"
        remedy = "leave it out, and write allowed_source_ranges in the stack file"
        self.mapped.faults.append(document.fault(path, reason, remedy))

    def deployment(self, document: AzureDocument) -> None:
        value = document.value
        item: dict[str, Any] = {
            "endpoint": self._name(document, "endpoint_name", ResourceName, "endpoint"),
            "name": self._name(document, "name", ResourceName, "deployment"),
            **_picked(value, _SAME),
        }
        if not self.containers and "instance_type" in item:
            self.mapped.notes.append(
                f"{document.shown}: instance_type '{item.pop('instance_type')}' is not used:"
                " instances are processes of this machine"
            )
        _tags(item, value)
        code = value.get("code_configuration")
        if isinstance(code, Mapping):
            item["code_configuration"] = dict(code)
            if isinstance(code.get("code"), str):
                item["code_configuration"]["code"] = self._path(document, code["code"])
        variables = value.get("environment_variables")
        if isinstance(variables, Mapping):
            item["environment_variables"] = {
                name: "" if one is None else str(one) for name, one in variables.items()
            }
        if "app_insights_enabled" in value:
            item["app_insights_enabled"] = _flag(value["app_insights_enabled"])
        if isinstance(value.get("data_collector"), Mapping):
            item["data_collector"] = self._collector(document, value["data_collector"])
        if isinstance(value.get("resources"), Mapping):
            item["resources"] = {
                which: {key.removeprefix("nvidia.com/"): one for key, one in amounts.items()}
                for which, amounts in value["resources"].items()
                if isinstance(amounts, Mapping)
            }
        for key in ("model", "environment"):
            self._asset_of(document, item, key)
        self.mapped.add("deployments", item, Origin(document, ""), endpoint="endpoint_name")

    def _collector(self, document: AzureDocument, value: Mapping[str, Any]) -> dict[str, Any]:
        item = _picked(value, ("rolling_rate", "sampling_rate"))
        collections = value.get("collections")
        if isinstance(collections, Mapping):
            known = {name: one for name, one in collections.items() if isinstance(one, Mapping)}
            item["collections"] = {
                name: {"enabled": _flag(one.get("enabled", False))} for name, one in known.items()
            }
            self.mapped.notes += (
                f"{document.shown}: data of data_collector.collections.{name} is not used:"
                " collected data is kept by the workspace"
                for name, one in known.items()
                if one.get("data")
            )
        return item

    def _asset_of(self, document: AzureDocument, item: dict[str, Any], key: str) -> None:
        asset = document.value.get(key)
        if isinstance(asset, str):
            item[key] = self._reference(document, key, asset)
        elif isinstance(asset, Mapping):
            name, version = f"{item['endpoint']}-{item['name']}", "1"
            if key == "model":  # Azure ML drops name and version of an inline environment
                name = self._name(document, "model.name", AssetName, name, asset.get("name"))
                written = asset.get("version")
                version = self._name(document, "model.version", AssetVersion, "1", written)
            item[key] = f"{name}:{version}"
            put = self.model if key == "model" else self.environment
            put(document, {**asset, "name": name, "version": version}, key)

    def _name(
        self, document: AzureDocument, path: str, rule: Any, instead: str, written: Any = _TOP
    ) -> str:
        """Return a name; another in place of none, or of one that breaks a rule.

        What hangs on the name is checked with that one, so that all faults are told at once.
        """
        written = document.value.get(path) if written is _TOP else written
        if written is None:
            return instead
        text = _lower(written) if rule is ResourceName else str(written)
        model = _RULES[rule]
        try:
            model.model_validate({"text": text})
        except ValidationError as exc:
            [fault] = faults_of(exc, model)
            self.mapped.faults.append(document.fault(path, fault.reason, fault.remedy))
            return instead
        return text

    def _reference(self, document: AzureDocument, key: str, text: str) -> str:
        plain = text.removeprefix("azureml:")
        if text.startswith("azureml://registries/"):
            return text  # `registries.py` resolves it
        if text.startswith(("azureml://", "/subscriptions/", "azureml:/")):
            reason = f"'{text}' is not here: a workspace of Azure cannot be read"
            remedy = f"download it, and pass its YAML, or write the {key} inline"
        elif plain == text:
            reason = (
                f"'{text}' is not a reference (Azure ML: In order to specify an existing {key}s,"
                " please provide the correct registry path prefixed with 'azureml:')"
            )
            remedy = f"write azureml:NAME:VERSION, or the {key} inline"
        elif "@" in plain and not plain.endswith("@latest"):
            reason, remedy = f"'{text}' names a label other than latest", "name a version"
        else:
            return plain if ":" in plain or "@" in plain else f"{plain}@latest"
        self.mapped.faults.append(document.fault(key, reason, remedy))
        return "unknown:1"

    def model(self, document: AzureDocument, value: Mapping[str, Any], at: str = "") -> None:
        item = _picked(value, ("type", "description"))
        item |= {"name": _text(value.get("name")), "version": str(value.get("version", 1))}
        _tags(item, value)
        if isinstance(value.get("path"), str):
            item["path"] = self._path(document, value["path"])
            if "://" in value["path"] or value["path"].startswith("azureml:"):
                reason = f"'{value['path']}' cannot be read here"
                remedy = "download it, and name the local folder or file"
                path = f"{at}.path" if at else "path"
                self.mapped.faults.append(document.fault(path, reason, remedy))
        self.mapped.add("models", item, Origin(document, at))

    def environment(self, document: AzureDocument, value: Mapping[str, Any], at: str = "") -> None:
        item = _picked(value, ("description", "image", "inference_config"))
        item |= {"name": _text(value.get("name")), "version": str(value.get("version", 1))}
        _tags(item, value)
        conda = value.get("conda_file")
        if conda is not None:
            item["conda_file"] = self._path(document, conda) if isinstance(conda, str) else conda
            if not self.containers and "image" in item and "inference_config" not in item:
                self.mapped.notes.append(
                    f"{document.shown}: image '{item.pop('image')}' is not used: on this machine"
                    " the packages of the conda file are installed in a folder"
                )
        if isinstance(value.get("build"), Mapping):
            item["build"] = dict(value["build"])
            if isinstance(item["build"].get("path"), str):
                item["build"]["path"] = self._path(document, item["build"]["path"])
        self.mapped.add("environments", item, Origin(document, at))

    def _path(self, document: AzureDocument, written: str) -> str:
        """Return a path of a document relative to the base; outside of it as far as needed."""
        if "\0" in written or not written or "://" in written:
            return written
        whole = os.path.abspath(document.file.parent / os.path.expanduser(written))
        return Path(os.path.relpath(whole, self.base)).as_posix()


def mapped_of(documents: list[AzureDocument], base: Path, *, containers: bool) -> Mapped:
    """Return what documents declare, with paths relative to `base`.

    Args:
        documents: Of kinds that are served.
        base: An absolute folder.
        containers: Whether instances run in containers.
    """
    mapping = _Mapping(base, containers)
    for document in documents:
        if document.kind == "online_endpoint":
            mapping.endpoint(document)
        elif document.kind == "online_deployment":
            mapping.deployment(document)
        elif document.kind == "model":
            mapping.model(document, document.value)
        elif document.kind == "environment":
            mapping.environment(document, document.value)
    return mapping.mapped


def _picked(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value[name] for name in names if value.get(name) is not None}


def _tags(item: dict[str, Any], value: Mapping[str, Any]) -> None:
    if isinstance(value.get("tags"), Mapping):
        item["tags"] = {name: str(one) for name, one in value["tags"].items()}


def _lower(name: Any) -> str:
    return _text(name).lower()


def _text(name: Any) -> str:
    return "" if name is None else str(name)


def _number(share: Any) -> Any:
    return int(share) if isinstance(share, str) and share.lstrip("-").isdecimal() else share


def _flag(value: Any) -> Any:
    return words(value) == "true" if isinstance(value, str) else value
