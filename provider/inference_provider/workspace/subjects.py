"""Which identity a token of the workspace speaks for: one that is made again is another.

A token says which incarnation it means. That is kept from the first token of an identity until the
identity is deleted, or the endpoint whose identity it is; after that no token of before counts.
"""

import re
import uuid

from inference_provider.access import Principal
from inference_provider.observed import Kind, ResourceId
from inference_provider.workspace.corrupt import SUBJECTS, corrupt
from inference_provider.workspace.ports import Records

_OF_ENDPOINT = "endpoints/"
_INCARNATION = re.compile(rb"[0-9a-f]{32}")


def resource_of(who: Principal, workspace: str) -> ResourceId | None:
    """Return what an identity ends with: itself, or its endpoint. A user is no resource."""
    if who.kind != "identity":
        return None
    name = who.name.removeprefix(_OF_ENDPOINT)
    kind = Kind.IDENTITY if name == who.name else Kind.ENDPOINT
    return ResourceId(kind=kind, workspace=workspace, name=name)


def incarnation(records: Records, resource: ResourceId) -> str:
    """Return the one there is; empty where no token has been made. Raises TargetError."""
    document = records.read(SUBJECTS, _name(resource))
    if document is not None and not _INCARNATION.fullmatch(document):
        raise corrupt(records.place(SUBJECTS, _name(resource)), SUBJECTS)
    return (document or b"").decode()


def settled_incarnation(records: Records, resource: ResourceId) -> str:
    """Return the one there is from now on; inside an edit. Raises TargetError."""
    found = incarnation(records, resource)
    if not found:
        found = uuid.uuid4().hex
        records.put(SUBJECTS, _name(resource), found)
    return found


def forget(records: Records, resource: ResourceId) -> None:
    """Have no token count any more that was made for a resource, which is deleted."""
    if resource.kind in (Kind.IDENTITY, Kind.ENDPOINT):
        records.drop(SUBJECTS, _name(resource))


def _name(resource: ResourceId) -> str:
    return f"{resource.kind.value}.{resource.name}"
