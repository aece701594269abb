"""The recorded instances of a workspace of this machine, and where they listen."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pydantic import TypeAdapter

from inference_provider.errors import TargetError
from inference_provider.gpus import Gpu, Holder, Ledger
from inference_provider.observed import Frozen
from inference_provider.router.table import Backend
from inference_provider.targets.local.folders import Folders, all_folders
from inference_provider.targets.local.records import FileRecords
from inference_provider.workspace.corrupt import corrupt

INSTANCES = "instances"


class Instance(Frozen):
    """One process of a deployment."""

    name: str
    """Program name in supervisord: `<endpoint>.<deployment>.<generation>.<number>`."""
    generation: str
    port: int
    gpus: tuple[str, ...] = ()
    """UUIDs of the GPUs that it has."""
    gpu_share: str = ""
    """Name under which others may have them too."""
    socket: bool = False
    """Whether it is reached by a Unix socket named after `port`, instead of by the port."""
    let_out: bool = False
    """Whether it has no way out but the router's forward proxy, and knows that."""
    liveness_path: str = ""
    """Route by which `prober.py` asks whether it lives; empty for one of an older release."""


_INSTANCES = TypeAdapter(tuple[Instance, ...])


class Instances:
    """All recorded instances; to change those of a deployment, hold its lock."""

    def __init__(self, folders: Folders, records: FileRecords) -> None:
        self._folders = folders
        self._records = records
        self._parsed: dict[str, tuple[bytes, tuple[Instance, ...]]] = {}

    def of(self, deployment: str) -> tuple[Instance, ...]:
        """Return the instances of one deployment; none where the document is corrupt."""
        document = self._records.read(INSTANCES, deployment)
        try:
            return self._value(deployment, document) if document else ()
        except TargetError:
            return ()

    def by_deployment(self) -> dict[str, tuple[Instance, ...]]:
        """Return all instances, by `<endpoint>/<deployment>`, apart from corrupt documents."""
        return self._sorted_out()[0]

    def faults(self) -> dict[str, str]:
        """Return why a deployment's document cannot be read, by `<endpoint>/<deployment>`."""
        return self._sorted_out()[1]

    def _sorted_out(self) -> tuple[dict[str, tuple[Instance, ...]], dict[str, str]]:
        found, faults = {}, {}
        for name, document in self._records.section(INSTANCES).items():
            try:
                found[name] = self._value(name, document)
            except TargetError as fault:
                faults[name] = str(fault)
        return found, faults

    def _value(self, deployment: str, document: bytes) -> tuple[Instance, ...]:
        known, instances = self._parsed.get(deployment, (None, ()))
        if known is not document:
            try:
                instances = _INSTANCES.validate_json(document)
            except ValueError:
                raise corrupt(self._records.place(INSTANCES, deployment)) from None
            self._parsed[deployment] = document, instances
        return instances

    def save(self, deployment: str, instances: tuple[Instance, ...]) -> None:
        """Save the instances of one deployment."""
        if instances:
            text = json.dumps([instance.model_dump() for instance in instances])
            self._records.put(INSTANCES, deployment, text)
        else:  # removing the last ones needs no room, so it works on a full disk
            self._records.drop(INSTANCES, deployment)

    def cross_out(self, deployment: str, names: Collection[str]) -> None:
        """Remove the entries of some instances of one deployment."""
        self.save(deployment, tuple(i for i in self.of(deployment) if i.name not in names))

    def backend(self, instance: Instance) -> Backend:
        """Return an instance's address: its port, or the Unix socket named after it.

        Only this user can enter the sockets' folder; any user of this machine can reach a port.
        """
        folder = self._folders.sockets_folder
        socket = str(folder / str(instance.port)) if instance.socket else ""
        return Backend(host="127.0.0.1", port=instance.port, socket=socket)

    def everywhere(self) -> dict[str, tuple[Instance, ...]]:
        """Return the instances of all workspaces of the state folder, stopped ones included.

        By `<workspace>/<endpoint>/<deployment>`.
        """
        return {
            name: instances
            for folders in all_folders(self._folders.root)
            for name, instances in _in_folder(
                folders, self if folders.folder == self._folders.folder else None
            )
        }


def ledger(root: Path, gpus: tuple[Gpu, ...]) -> Ledger:
    """Return who holds the GPUs of this machine, among the instances of a state folder."""
    there = dict(item for folders in all_folders(root) for item in _in_folder(folders))
    return held(gpus, there)


def held(gpus: tuple[Gpu, ...], there: Mapping[str, tuple[Instance, ...]]) -> Ledger:
    """Return who holds GPUs, among instances by `<workspace>/<endpoint>/<deployment>`."""
    found = Ledger(gpus)
    for deployment, instances in there.items():
        for instance in instances:
            holder = Holder(instance.name, deployment, instance.gpu_share)
            found = found.held_by(holder, instance.gpus)
    return found


def _in_folder(
    folders: Folders, known: Instances | None = None
) -> Iterator[tuple[str, tuple[Instance, ...]]]:
    found = (known or Instances(folders, FileRecords(folders))).by_deployment()
    yield from ((f"{folders.workspace}/{name}", instances) for name, instances in found.items())
