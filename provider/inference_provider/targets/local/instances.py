"""The instances of a workspace of this machine, as they are written down, and where they listen."""

import json
from collections.abc import Collection

from pydantic import TypeAdapter

from inference_provider.observed import Frozen
from inference_provider.router.table import Backend
from inference_provider.targets.local.folders import Folders, all_folders
from inference_provider.targets.local.records import FileRecords
from inference_provider.workspace.state import corrupt

INSTANCES = "instances"


class Instance(Frozen):
    """One process of a deployment."""

    name: str
    """Program name in supervisord: `<endpoint>.<deployment>.<generation>.<number>`."""
    generation: str
    port: int
    admitted: bool = False
    """Whether the router sends it requests; false while it starts and while it drains."""
    gpus: tuple[str, ...] = ()
    """UUIDs of the GPUs that are its own."""
    socket: bool = False
    """Whether it listens on a Unix socket, which `port` names, and not on the port."""


_INSTANCES = TypeAdapter(tuple[Instance, ...])


class Instances:
    """Which instances there are; whoever changes those of a deployment holds its lock."""

    def __init__(self, folders: Folders, records: FileRecords) -> None:
        self._folders = folders
        self._records = records
        self._parsed: dict[str, tuple[bytes, tuple[Instance, ...]]] = {}

    def of(self, deployment: str) -> tuple[Instance, ...]:
        """Return those of one deployment."""
        document = self._records.read(INSTANCES, deployment)
        return self._value(deployment, document) if document else ()

    def by_deployment(self) -> dict[str, tuple[Instance, ...]]:
        """Return all, by `<endpoint>/<deployment>`."""
        documents = self._records.section(INSTANCES)
        return {name: self._value(name, document) for name, document in documents.items()}

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
        """Write down those of one deployment."""
        if instances:
            text = json.dumps([instance.model_dump() for instance in instances])
            self._records.put(INSTANCES, deployment, text)
        else:  # on a full disk the last ones can still be crossed out
            self._records.drop(INSTANCES, deployment)

    def cross_out(self, deployment: str, names: Collection[str]) -> None:
        """Forget some of one deployment."""
        self.save(deployment, tuple(i for i in self.of(deployment) if i.name not in names))

    def backend(self, instance: Instance) -> Backend:
        """Return where one is asked: at its port, or at the Unix socket that has its number.

        The socket's folder lets this user alone in; anybody of this machine can ask a port.
        """
        folder = self._folders.sockets_folder
        socket = str(folder / str(instance.port)) if instance.socket else ""
        return Backend(host="127.0.0.1", port=instance.port, socket=socket)

    def everywhere(self) -> list[Instance]:
        """Return those of every workspace of the state folder, of the stopped ones too."""
        found = []
        for folders in all_folders(self._folders.root):
            own = folders.folder == self._folders.folder
            there = self if own else Instances(folders, FileRecords(folders))
            found += [i for instances in there.by_deployment().values() for i in instances]
        return found
