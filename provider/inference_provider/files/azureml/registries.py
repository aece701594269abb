"""References to registries of Azure -> assets that a workspace has in their place. Pure.

Nothing of Azure can be read here. `registries` of a workspace says what stands for an asset of one,
by its name, or `NAME:VERSION` for one version: `{azureml: {environments: {sklearn-1.5: …}}}`. That
is the fields of an asset, or a reference to one that is declared.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from inference_provider.errors import Fault
from inference_provider.files.lines import join

_REFERENCE = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/(?P<listing>models|environments)"
    r"/(?P<name>[^/]+)(/(versions|labels)/(?P<version>[^/]+))?"
)
_FIELDS = {"model": "models", "environment": "environments"}


@dataclass
class Resolved:
    """What becomes of a stack's value when its references to registries are resolved."""

    value: dict[str, Any]
    moved: dict[str, str] = field(default_factory=dict)
    """`<listing>.<i>` of an asset -> where in `registries` it is written."""
    faults: list[Fault] = field(default_factory=list)

    def declare(
        self, deployment: Mapping[str, Any], asked: re.Match[str], asset: Mapping[str, Any], at: str
    ) -> str:
        """Declare an asset of a registry, once, and return a reference to it."""
        labelled = "/labels/" in asked.group() or asked["version"] is None
        version = "1" if labelled else asked["version"]
        name = f"{asked['registry']}-{asked['name']}"
        place = {key: deployment[key] for key in ("workspace",) if key in deployment}
        item = {**place, "name": name, "version": version, **asset}
        items = self.value.setdefault(asked["listing"], [])
        if item not in items:
            self.moved[f"{asked['listing']}.{len(items)}"] = at
            items.append(item)
        return f"{name}:{version}"


def resolve(value: dict[str, Any], remedy: str = "add to the workspace") -> Resolved:
    """Put assets in the place of references to registries; takes `registries` out of workspaces.

    Args:
        value: Of a stack file; its lists and items are changed.
        remedy: Begins what to do about a reference that nothing stands for; the lines follow.
    """
    found = Resolved(value)
    spaces = [one for one in _items(value, "workspaces")]
    known: dict[Any, Any] = {}
    for i, space in spaces:
        if "registries" in space:
            written = space.pop("registries")
            found.faults += _unfit(written, f"workspaces.{i}.registries")
            known[space.get("name", "default")] = f"workspaces.{i}.registries", written
    only = next(iter(known.values())) if len(spaces) == 1 and known else None
    for i, deployment in _items(value, "deployments"):
        at, registries = known.get(deployment.get("workspace"), only or ("", {}))
        for name, listing in _FIELDS.items():
            asked = deployment.get(name)
            match = _REFERENCE.fullmatch(asked) if isinstance(asked, str) else None
            if match is None or match["listing"] != listing:
                continue
            key, asset = _asset(registries, match)
            if asset is None:
                reason = f"'{asked}' is in a registry of Azure, which cannot be read here"
                fields = "path: PATH" if name == "model" else "conda_file: PATH"
                lines = f"{{{match['name']}: {{{fields}}}}}"
                lines = f"registries: {{{match['registry']}: {{{listing}: {lines}}}}}"
                place = f"deployments.{i}.{name}"
                found.faults.append(Fault(place, reason, f"{remedy} `{lines}`"))
                deployment[name] = "unknown:1"
            elif isinstance(asset, str):
                deployment[name] = asset
            else:
                where = join(join(join(at, match["registry"]), listing), key)
                deployment[name] = found.declare(deployment, match, asset, where)
    return found


def _items(value: Mapping[str, Any], listing: str) -> list[tuple[int, dict[str, Any]]]:
    items = value.get(listing)
    return [
        (i, one)
        for i, one in enumerate(items if isinstance(items, list) else ())
        if isinstance(one, dict)
    ]


def _asset(registries: Any, asked: re.Match[str]) -> tuple[str, Any]:
    """Return the key by which an asset is written, and what stands there; None for nothing."""
    for part in (asked["registry"], asked["listing"]):
        registries = registries.get(part) if isinstance(registries, Mapping) else None
    versioned = f"{asked['name']}:{asked['version']}"
    for key in (versioned, asked["name"]):
        if isinstance(registries, Mapping) and isinstance(registries.get(key), str | Mapping):
            return key, registries[key]
    return "", None


def _unfit(written: Any, at: str) -> Iterator[Fault]:
    remedy = "write {REGISTRY: {environments: {NAME: {conda_file: PATH}}}}"
    if not isinstance(written, Mapping):
        yield Fault(at, "expected a mapping by the names of registries", remedy)
        return
    for registry, listings in written.items():
        here = join(at, str(registry))
        if not isinstance(listings, Mapping):
            yield Fault(here, "expected a mapping with environments and models", remedy)
            continue
        for listing, assets in listings.items():
            there = join(here, str(listing))
            if listing not in _FIELDS.values():
                yield Fault(there, f"unknown field '{listing}'", "use environments or models")
            elif not isinstance(assets, Mapping):
                yield Fault(there, "expected a mapping by the names of assets", remedy)
            else:
                yield from (
                    Fault(join(there, str(name)), "expected the fields of an asset, or a reference")
                    for name, one in assets.items()
                    if not isinstance(one, str | Mapping)
                )
