"""Which deployments a program has declared so far: an endpoint's traffic comes after them.

Goes in: each deployment with its `endpoint` argument. Comes out: what one endpoint's traffic waits
for. Kept for each run of a program by its root resource, since one process may run several.
"""

from typing import Any
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime import get_root_resource

_BEHIND: WeakKeyDictionary[pulumi.Resource, list[tuple[Any, pulumi.Resource]]] = WeakKeyDictionary()


def declared(endpoint: pulumi.Input[str], deployment: pulumi.Resource) -> None:
    """Remember a deployment of the running program."""
    root = get_root_resource()
    if root is not None:
        _BEHIND.setdefault(root, []).append((endpoint, deployment))


def deployments_behind(endpoint: pulumi.Input[str]) -> list[pulumi.Resource]:
    """Return the deployments declared so far that may be behind an endpoint.

    Two names, or two outputs, that are not the same are two endpoints; a name and an output may
    be one.
    """
    root = get_root_resource()
    known = [] if root is None else _BEHIND.get(root, [])
    return [deployment for other, deployment in known if _may_be_one(endpoint, other)]


def _may_be_one(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return one is other or isinstance(one, str) != isinstance(other, str)
