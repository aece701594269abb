"""Ports of a workspace that one of another stack of the same state folder has.

What else of the machine has one is found when it is to be listened on: a workspace that is stopped
still has its own.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, TargetError
from inference_provider.observed import Kind, Record
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.listens import Listens, listens
from inference_provider.targets.local.folders import Folders, all_folders
from inference_provider.targets.local.records import FileRecords

_DELETE = "use another, or delete that workspace first"
_READ = frozenset({"bind_address", "metrics", "service"})
"""Fields that say where it listens, besides its router, whose port may have been chosen."""


def taken_faults(root: Path, desired: DesiredResource) -> Iterator[Fault]:
    """Yield each port that a workspace of another stack has.

    One of the same stack may be about to give it up.
    """
    wanted = [*listens(desired.spec)]
    if not wanted:
        return
    others = [one for folders in all_folders(root) for one in _of_another(folders, desired)]
    for one in wanted:
        for other in filter(one.meets, others):
            yield Fault(one.field, one.taken_by(other).reason, _DELETE)


def _of_another(folders: Folders, desired: DesiredResource) -> Iterator[Listens]:
    if folders.workspace == desired.id.name:
        return
    with suppress(TargetError, ValidationError):  # corrupt, or of a newer release: at the start
        record = _record(folders)
        if record is None or record.owner == desired.owner:
            return
        if address := folders.address():  # a port that was chosen for it is its own, too
            yield Listens(folders.workspace, "router_port", address.host, address.port)
        said = {name: record.properties[name] for name in _READ & record.properties.keys()}
        spec = WorkspaceSpec.model_validate({**said, "name": folders.workspace})
        yield from (one for one in listens(spec) if one.field != "router_port")


def _record(folders: Folders) -> Record | None:
    document = FileRecords(folders).read("records", f"{Kind.WORKSPACE.value}.{folders.workspace}")
    return Record.model_validate_json(document) if document else None
