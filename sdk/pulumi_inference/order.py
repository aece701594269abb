"""Orders resources that name others in text after the resources that they name.

Pulumi orders resources by their outputs. It cannot see an order in plain text, nor between an
endpoint's traffic and its deployments. Goes in: each declared resource, with its kind and fields.
Comes out: what the next one depends on. Kept per root resource, since one process may run several
programs.
"""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime import get_root_resource

from inference_provider.spec.reference import Reference

DEFAULT_WORKSPACE = "default"

_Declared = tuple[str, Mapping[str, Any], pulumi.Resource]
_DECLARED: WeakKeyDictionary[pulumi.Resource, list[_Declared]] = WeakKeyDictionary()


def declared(kind: str, fields: Mapping[str, Any], resource: pulumi.Resource) -> None:
    """Remember a resource of the running program."""
    root = get_root_resource()
    if root is not None:
        _DECLARED.setdefault(root, []).append((kind, fields, resource))


def declared_workspaces() -> list[Mapping[str, Any]]:
    """Return the fields of the workspaces declared so far."""
    return [fields for kind, fields, _ in _known() if kind == "Workspace"]


def declared_before(kind: str, fields: Mapping[str, Any]) -> list[pulumi.Resource]:
    """Return the resources declared so far that one with these fields depends on."""
    known = _known()
    others = [] if kind == "Workspace" else _workspaces(known, fields)
    return others + [r for other, its, r in known if _needs(kind, fields, other, its)]


def _known() -> list[_Declared]:
    root = get_root_resource()
    return [] if root is None else _DECLARED.get(root, [])


def _workspaces(known: list[_Declared], fields: Mapping[str, Any]) -> list[pulumi.Resource]:
    """Return the workspace that is named in text, or all if the program declares none of that name.

    With all, the provider has checked every workspace before it reports the wrong name.
    """
    named = fields.get("workspace", DEFAULT_WORKSPACE)
    if not isinstance(named, str):
        return []
    declared = [(its["name"], resource) for kind, its, resource in known if kind == "Workspace"]
    return [r for name, r in declared if _is_text(named, name)] or [r for _, r in declared]


def _needs(kind: str, fields: Mapping[str, Any], other: str, its: Mapping[str, Any]) -> bool:
    if other == "Endpoint":
        return "endpoint" in fields and _is_text(fields["endpoint"], its["name"])
    if other in ("Model", "Environment"):
        return kind == "Deployment" and _is_reference(fields.get(other.lower()), its["name"])
    if other == "Deployment":
        return kind == "Traffic" and _may_be_one(fields["endpoint"], its["endpoint"])
    return False


def _is_text(one: Any, other: Any) -> bool:
    return isinstance(one, str) and isinstance(other, str) and one == other


def _is_reference(reference: Any, name: Any) -> bool:
    """Whether a text such as `iris:1` or `azureml:iris@latest` names an asset."""
    if not (isinstance(reference, str) and isinstance(name, str)):
        return False
    return Reference.parse(reference).name == name


def _may_be_one(one: Any, other: Any) -> bool:
    """Whether two values may name the same endpoint: a name and an output always may."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return one is other or isinstance(one, str) != isinstance(other, str)
