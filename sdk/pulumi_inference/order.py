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

from inference_provider.spec.kinds import ROWS, Kind
from inference_provider.spec.names import Named

DEFAULT_WORKSPACE = "default"

_Fields = Mapping[str, Any]
_Declared = tuple[Kind, _Fields, pulumi.Resource]
_DECLARED: WeakKeyDictionary[pulumi.Resource, list[_Declared]] = WeakKeyDictionary()


def declared(kind: Kind, fields: _Fields, resource: pulumi.Resource) -> None:
    """Remember a resource of the running program."""
    root = get_root_resource()
    if root is not None:
        _DECLARED.setdefault(root, []).append((kind, fields, resource))


def declared_workspaces() -> list[_Fields]:
    """Return the fields of the workspaces declared so far."""
    return [fields for kind, fields, _ in _known() if kind == Kind.WORKSPACE]


def declared_before(kind: Kind, fields: _Fields) -> list[pulumi.Resource]:
    """Return the resources declared so far that one with these fields depends on."""
    if kind == Kind.WORKSPACE:
        return []
    known, needed = _known(), ROWS[kind].references(fields)
    return _workspaces(known, fields) + [
        resource
        for other, its, resource in known
        if _share_a_workspace(fields, its)
        and (
            any(named.kind == other and _is_named(named, its) for named in needed)
            or (other in ROWS[kind].after and _share_an_endpoint(fields, its))
        )
    ]


def _known() -> list[_Declared]:
    root = get_root_resource()
    return [] if root is None else _DECLARED.get(root, [])


def _workspaces(known: list[_Declared], fields: _Fields) -> list[pulumi.Resource]:
    """Return the workspace that is named in text, or all if the program declares none of that name.

    With all, the provider has checked every workspace before it reports the wrong name.
    """
    named = fields.get("workspace", DEFAULT_WORKSPACE)
    if not isinstance(named, str):
        return []
    declared = [(its["name"], resource) for kind, its, resource in known if kind == Kind.WORKSPACE]
    return [r for name, r in declared if _is_text(named, name)] or [r for _, r in declared]


def _is_named(named: Named, its: _Fields) -> bool:
    """Whether a resource may be the one that is named; of an asset, in any version.

    Pulumi itself orders what is named by an output of it.
    """
    parts = dict(zip(ROWS[named.kind].identity[1:], named.parts, strict=False))
    own_name = _is_text(parts["name"], its["name"])
    return own_name and ("endpoint" not in parts or _may_be_one(parts["endpoint"], its["endpoint"]))


def _share_an_endpoint(fields: _Fields, its: _Fields) -> bool:
    """Whether both may be behind one endpoint; what is behind none concerns its whole workspace."""
    if "endpoint" not in fields or "endpoint" not in its:
        return True
    return _may_be_one(fields["endpoint"], its["endpoint"])


def _share_a_workspace(fields: _Fields, its: _Fields) -> bool:
    """Whether two resources may be in one workspace: an output may name any."""
    one, other = (each.get("workspace", DEFAULT_WORKSPACE) for each in (fields, its))
    return one == other if isinstance(one, str) and isinstance(other, str) else True


def _is_text(one: Any, other: Any) -> bool:
    return isinstance(one, str) and isinstance(other, str) and one == other


def _may_be_one(one: Any, other: Any) -> bool:
    """Whether two values may name the same endpoint: a name and an output always may."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return one is other or isinstance(one, str) != isinstance(other, str)
