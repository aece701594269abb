"""What a resource needs -> what of it is neither there nor declared by the same program.

What was checked before is known of the program; for the rest the target is asked. Without this a
weight on a deployment that nobody declares is found only half way through an `up`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from inference_provider.errors import Fault
from inference_provider.handlers.fields import is_unknown
from inference_provider.handlers.program import Program
from inference_provider.observed import Kind, Presence, ResourceId
from inference_provider.targets.base import Target


def missing(
    kind: Kind, inputs: Mapping[str, Any], program: Program, target: Target
) -> Iterator[Fault]:
    """Yield a fault for each resource that is needed, known by name, and found nowhere.

    A program that declares no workspace gets no fault for a missing one: the target may need none.
    """
    workspace = inputs.get("workspace")
    if kind == Kind.WORKSPACE or is_unknown(workspace):
        return
    if not _found(_id(Kind.WORKSPACE, str(workspace), str(workspace)), program, target):
        yield from _other_workspaces(str(workspace), program)
        return
    endpoint = inputs.get("endpoint")
    if kind not in (Kind.DEPLOYMENT, Kind.TRAFFIC) or is_unknown(endpoint):
        return
    if not _found(_id(Kind.ENDPOINT, str(workspace), str(endpoint)), program, target):
        yield Fault("endpoint", f"Endpoint '{workspace}/{endpoint}' is not there", _EARLIER)
        return
    for field in ("traffic", "mirror_traffic"):
        shares = inputs.get(field)
        for name, share in shares.items() if isinstance(shares, Mapping) else ():
            deployment = _id(Kind.DEPLOYMENT, str(workspace), f"{endpoint}/{name}")
            if not is_unknown(share) and share and not _found(deployment, program, target):
                yield Fault(f"{field}.{name}", f"{deployment} is not there", _EARLIER)


_EARLIER = "declare it in the program, above this, or correct the name"


def _other_workspaces(missing_name: str, program: Program) -> Iterator[Fault]:
    declared = program.workspaces()
    if declared:
        names = ", ".join(f"'{name}'" for name in declared)
        reason = f"Workspace '{missing_name}' is not there; this program declares {names}"
        yield Fault("workspace", reason, f"write workspace={declared[0]!r}")


def _found(needed: ResourceId, program: Program, target: Target) -> bool:
    return program.has_checked(needed) or target.observe_one(needed).presence != Presence.ABSENT


def _id(kind: Kind, workspace: str, name: str) -> ResourceId:
    return ResourceId(kind=kind, workspace=workspace, name=name)
