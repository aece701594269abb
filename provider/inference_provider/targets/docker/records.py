"""The Records of a workspace on a Docker host: a volume, reached through the Engine's API.

A container that is never started holds the volume, so any client that reaches the host reads and
writes it while nothing of the workspace runs. An edit is one revision of a log (`volume_log.py`):
others see all of it or nothing. The journal is a log of its own.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress

from inference_provider.errors import Busy
from inference_provider.observed import Actor, JournalEntry
from inference_provider.targets.asked_once import AskedOnce
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.locks import HostLocks
from inference_provider.targets.docker.volume_log import Log, VolumeLog
from inference_provider.targets.documents import Sections, journal_of
from inference_provider.targets.shared_documents import SharedDocuments

VOLUME = "/volume"
"""Where such a container has it."""
_EDIT, _HOLD = "edit", "up"


class HostRecords(SharedDocuments):
    """Documents and journal of one workspace."""

    def __init__(self, host: DockerHost, workspace: str) -> None:
        self.workspace = workspace
        self._host = host
        self._locks = HostLocks(host, workspace)
        self._store: _Store = _Store(host, workspace, self._locks)
        super().__init__(self._store)
        self._entries = VolumeLog(host, names.records(workspace), f"{VOLUME}/journal")
        self._noted: Log | None = None
        self._unwritten: list[bytes] = []
        self._write_notes = AskedOnce(self._write_all_notes)

    def make(self) -> None:
        """Make the volume and what holds it, unless they exist."""
        if not self._store.is_held():
            self._store.hold()
        self._forget()

    def delete(self) -> None:
        """Remove the volume with all that is in it."""
        self._store.delete()
        self._locks.sweep()
        self._noted = None
        self._forget()

    @contextmanager
    def lock(self, name: str, wait_s: float | None = None) -> Iterator[None]:
        with self._locks.lock(name, wait_s):
            self._expire()
            yield

    @contextmanager
    def hold(self, actor: Actor) -> Iterator[None]:
        make_empty_image(self._host)
        with self._locks.lock(_HOLD, 0, str(actor)):
            self._locks.sweep()
            yield

    def place(self, section: str, name: str) -> str:
        return f"{section}/{name} in volume {names.records(self.workspace)} of {self._host}"

    # -- journal -------------------------------------------------------------------------------

    def note(self, entry: JournalEntry) -> None:
        self._unwritten.append(entry.model_dump_json().encode())
        with suppress(Busy):
            self._write_notes()

    def _write_all_notes(self) -> None:
        """Write what all threads have noted meanwhile as one revision."""
        with self.lock("journal"):
            lines, log = [*self._unwritten], self._entries.read(self._noted)
            if lines:
                log = self._entries.grow(log, b"\n".join(lines), b"\n".join)
            del self._unwritten[: len(lines)]
            self._noted = log

    def journal(self) -> tuple[JournalEntry, ...]:
        self._noted = self._entries.read(self._noted)
        return journal_of(b"\n".join(self._noted.texts).splitlines())


class _Store:
    """Documents as revisions in a volume."""

    def __init__(self, host: DockerHost, workspace: str, locks: HostLocks) -> None:
        self._host = host
        self._workspace = workspace
        self._locks = locks
        self._volume = names.records(workspace)
        self._log = VolumeLog(host, self._volume, f"{VOLUME}/records")
        self._seen: Log | None = None

    def is_held(self) -> bool:
        return self._host.container(self._volume) is not None

    def hold(self) -> None:
        """Make the volume, unless it exists, and what holds it."""
        make_empty_image(self._host)
        labels = names.labels(self._workspace, names.RECORDS)
        hold_volume(self._host, self._volume, self._volume, labels)

    def delete(self) -> None:
        self._host.remove(self._volume)
        self._host.remove_volume(self._volume)

    def locked(self) -> AbstractContextManager[object]:
        return self._locks.lock(_EDIT)

    def read(self) -> Sections | None:
        before, found = self._seen, self._log.read(self._seen)
        if not found.revision and not self.is_held() and self._host.has_volume(self._volume):
            self.hold()  # again: `docker container prune` removes what never ran
            found = self._log.read()
        self._seen = found
        return None if found is before else _summed(found.texts)

    def write(self, changed: Sections) -> None:
        if self._seen is not None:  # the workspace was deleted in this edit
            self._seen = self._log.grow(self._seen, _written(changed), _sum_written)

    def settle(self) -> None:
        """Nothing: a revision is whole."""

    def forget(self) -> None:
        self._seen = None


def make_empty_image(host: DockerHost) -> None:
    """Make the image of holders and locks, unless the host has it."""
    if not host.has_image(names.EMPTY):
        repository, _, tag = names.EMPTY.partition(":")
        with host.asked("make", f"image {names.EMPTY}") as api:
            api.import_image_from_data(b"\0" * 1024, repository=repository, tag=tag)


def hold_volume(host: DockerHost, volume: str, container: str, labels: Mapping[str, str]) -> None:
    """Make a volume, if there is none, and a container that holds it at /volume."""
    with host.asked("make", f"volume {volume}") as api:
        api.create_volume(volume, labels=dict(labels))
        bound = api.create_host_config(binds=[f"{volume}:{VOLUME}"])
        api.create_container(
            names.EMPTY, ["-"], name=container, labels=dict(labels), host_config=bound
        )


def _written(sections: Sections) -> bytes:
    return json.dumps(
        {
            section: {n: None if text is None else text.decode() for n, text in found.items()}
            for section, found in sections.items()
        }
    ).encode()


def _sum_written(revisions: tuple[bytes, ...]) -> bytes:
    return _written(_summed(revisions))


def _summed(revisions: tuple[bytes, ...]) -> Sections:
    """Return the documents that follow from revisions."""
    found: dict[str, dict[str, bytes | None]] = {}
    for text in revisions:
        parsed: dict[str, dict[str, str | None]] = json.loads(text)
        for section, documents in parsed.items():
            there = found.setdefault(section, {})
            for name, document in documents.items():
                there.pop(name, None)
                if document is not None:
                    there[name] = document.encode()
    return found
