"""What a resource hangs on -> what of it is neither there nor declared by the same program.

The engine shows a provider one resource at a time, but asks one plugin process to check them all,
what is depended on first. So what was checked before is known here; for the rest the target is
asked. Without this a weight on a deployment that nobody makes is found at `up` only, half way.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from inference_provider.dynamic.convert import is_unknown
from inference_provider.errors import Fault
from inference_provider.observed import Kind, Presence, ResourceId
from inference_provider.targets.base import Target

_checked: set[str] = set()
"""Addresses of the resources that this process has checked, and found right."""


def forget() -> None:
    """Forget what was checked, as for another program."""
    _checked.clear()


def note(address: str) -> None:
    """Remember that the program declares what has this address."""
    _checked.add(address)


def missing(kind: Kind, inputs: Mapping[str, Any], opener: Callable[[], Target]) -> Iterator[Fault]:
    """Yield a fault for each thing that is needed, known by name, and nowhere to be found.

    A program that declares no workspace, beside a target that has none of that name, is not
    judged: it may be read by a target that needs none.
    """
    workspace = inputs.get("workspace")
    if kind == Kind.WORKSPACE or is_unknown(workspace):
        return
    if not _found(_id(Kind.WORKSPACE, str(workspace), str(workspace)), opener):
        yield from _other_workspaces(str(workspace))
        return
    endpoint = inputs.get("endpoint")
    if kind not in (Kind.DEPLOYMENT, Kind.TRAFFIC) or is_unknown(endpoint):
        return
    if not _found(_id(Kind.ENDPOINT, str(workspace), str(endpoint)), opener):
        yield Fault("endpoint", f"Endpoint '{workspace}/{endpoint}' is not there", _EARLIER)
        return
    for field in ("traffic", "mirror_traffic"):
        shares = inputs.get(field)
        for name, share in shares.items() if isinstance(shares, Mapping) else ():
            deployment = _id(Kind.DEPLOYMENT, str(workspace), f"{endpoint}/{name}")
            if not is_unknown(share) and share and not _found(deployment, opener):
                yield Fault(f"{field}.{name}", f"{deployment} is not there", _EARLIER)


_EARLIER = "declare it in the program, above this, or correct the name"


def _other_workspaces(missed: str) -> Iterator[Fault]:
    declared = sorted(
        ResourceId.parse(address).name
        for address in tuple(_checked)  # other threads check meanwhile
        if address.startswith(f"{Kind.WORKSPACE}/")
    )
    if declared:
        names = ", ".join(f"'{name}'" for name in declared)
        reason = f"Workspace '{missed}' is not there; this program declares {names}"
        yield Fault("workspace", reason, f"write workspace={declared[0]!r}")


def _found(needed: ResourceId, opener: Callable[[], Target]) -> bool:
    if needed.address in _checked:
        return True
    return opener().observe_one(needed).presence != Presence.ABSENT


def _id(kind: Kind, workspace: str, name: str) -> ResourceId:
    return ResourceId(kind=kind, workspace=workspace, name=name)
