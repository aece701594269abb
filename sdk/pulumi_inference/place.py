"""Where the workspace of a resource is: an input that the state keeps beside the owner.

Goes in: what a program wrote for `target` and `workspace`. Comes out: the place, or None if it is
local: older states lack this input, and adding it would show as a change of every resource.
"""

from collections.abc import Mapping
from typing import Any

import pulumi

from pulumi_inference.order import DEFAULT_WORKSPACE, declared_workspaces

_LOCAL = (None, "local", {"kind": "local"})


def place_at(target: Any) -> Any:
    """Return the place that a workspace's `target` names; None for a local one."""
    return None if target in _LOCAL else target


def place_named(workspace: Any) -> Any:
    """Return the place of a workspace, by its name, among those that the program declared.

    Args:
        workspace: The name, or an output of it; None where it was left out.

    Returns:
        None if all declared workspaces are local; otherwise an output.
    """
    declared = declared_workspaces()
    if all(place_at(fields.get("target")) is None for fields in declared):
        return None
    named = {"name": DEFAULT_WORKSPACE if workspace is None else workspace}
    targets = [{"name": fields["name"], "target": fields.get("target")} for fields in declared]
    return pulumi.Output.all(named, targets).apply(lambda known: _find(*known))


def _find(named: Mapping[str, Any], targets: list[Mapping[str, Any]]) -> Any:
    found = (one["target"] for one in targets if one["name"] == named["name"])
    return place_at(next(found, None))
