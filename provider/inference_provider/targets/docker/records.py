"""The Records of a workspace on a Docker host: a volume, reached through the Engine's API.

A container that is never started holds the volume, so any client that reaches the host reads and
writes it while nothing of the workspace runs. An edit is one revision of a log (`volume_log.py`):
others see all of it or nothing. The journal is a log of its own.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from pydantic import ValidationError

from inference_provider.errors import Busy
from inference_provider.observed import Actor, JournalEntry
from inference_provider.targets.asked_once import AskedOnce
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.locks import HostLocks
from inference_provider.targets.docker.volume_log import Log, VolumeLog
from inference_provider.targets.documents import Documents, Sections, changes

EMPTY_IMAGE = "inference-empty:1"
"""Image without a file: a container of it holds a volume or a lock, and is never started."""
_VOLUME = "/volume"
_FRESH_S = 0.2
"""How long what was read from the host counts as new, seconds."""
_EDIT, _HOLD = "edit", "up"


class HostRecords:
    """Documents and journal of one workspace."""

    def __init__(self, host: DockerHost, workspace: str) -> None:
        self.workspace = workspace
        self._host = host
        self._holder = names.records(workspace)
        self._locks = HostLocks(host, workspace, EMPTY_IMAGE)
        self._documents = Documents()
        self._log = VolumeLog(host, self._holder, f"{_VOLUME}/records")
        self._entries = VolumeLog(host, self._holder, f"{_VOLUME}/journal")
        self._read: Log | None = None
        self._read_s = 0.0
        self._reading = threading.RLock()
        self._edits = 0
        self._noted: Log | None = None
        self._unwritten: list[bytes] = []
        self._write_notes = AskedOnce(self._write_all_notes)

    # -- the volume ----------------------------------------------------------------------------

    def make(self) -> None:
        """Make the volume and what holds it, unless they exist."""
        if self._host.container(self._holder) is None:
            labels = names.labels(self.workspace, names.RECORDS)
            with self._host.asked("make", f"the records of workspace '{self.workspace}'") as api:
                api.create_volume(self._holder, labels=labels)
            self._make_holder()
        self._forget()

    def _make_holder(self) -> None:
        make_empty_image(self._host)
        labels = names.labels(self.workspace, names.RECORDS)
        with self._host.asked("make", f"the records of workspace '{self.workspace}'") as api:
            bound = api.create_host_config(binds=[f"{self._holder}:{_VOLUME}"])
            api.create_container(
                EMPTY_IMAGE, ["-"], name=self._holder, labels=labels, host_config=bound
            )

    def _hold_again(self) -> None:
        """Make what holds the volume again: `docker container prune` removes what never ran."""
        if self._host.container(self._holder) is None and self._host.has_volume(self._holder):
            self._make_holder()

    def delete(self) -> None:
        """Remove the volume with all that is in it."""
        self._host.remove(self._holder)
        self._host.remove_volume(self._holder)
        self._locks.sweep()
        self._forget()

    def _forget(self) -> None:
        with self._reading:
            self._read = self._noted = None
            self._read_s = 0.0
            self._documents.become({})

    # -- documents -----------------------------------------------------------------------------

    def exists(self) -> bool:
        self._refresh()
        return bool(self._documents)

    def section(self, section: str) -> Mapping[str, bytes]:
        self._refresh()
        return self._documents.section(section)

    def read(self, section: str, name: str) -> bytes | None:
        self._refresh()
        return self._documents.read(section, name)

    def put(self, section: str, name: str, text: str) -> None:
        self._write(section, name, text.encode())

    def drop(self, section: str, name: str) -> None:
        self._write(section, name, None)

    def _write(self, section: str, name: str, document: bytes | None) -> None:
        if self._documents.editing:
            self._documents.write(section, name, document)
        elif self.read(section, name) != document:
            with self.edit():
                self._documents.write(section, name, document)

    def _refresh(self, *, now: bool = False) -> None:
        """Read the host's documents, unless they were read just now or this thread edits them."""
        if self._documents.editing:
            return
        with self._reading:
            if not now and time.monotonic() - self._read_s < _FRESH_S:
                return
            if self._edits:  # another thread's edit is under way, and nobody else can write
                return
            before, found = self._read, self._log.read(self._read)
            if not found.revision:
                self._hold_again()
                found = self._log.read()
            if found is not before:
                self._documents.become(_summed(found))
            self._read, self._read_s = found, time.monotonic()

    @contextmanager
    def edit(self) -> Iterator[None]:
        if self._documents.editing:
            with self._documents.part():
                yield
            return
        with self.lock(_EDIT):
            self._refresh(now=True)
            before = self._documents.everything()
            with self._reading:
                self._edits += 1
            try:
                with self._documents.part():
                    yield
                    self._commit(changes(before, self._documents.everything()))
            finally:
                with self._reading:
                    self._edits -= 1
                    self._read_s = time.monotonic()

    def _commit(self, changed: Sections) -> None:
        if not changed or self._read is None:  # the workspace was deleted in this edit
            return
        if self._read.is_full:
            self._read = self._log.rebase(self._read, _written(_summed(self._read)))
        self._read = self._log.append(self._read, _written(changed))

    # -- locks ---------------------------------------------------------------------------------

    def lock(self, name: str, wait_s: float | None = None) -> AbstractContextManager[None]:
        return self._locks.lock(name, wait_s)

    @contextmanager
    def hold(self, actor: Actor) -> Iterator[None]:
        make_empty_image(self._host)
        with self._locks.lock(_HOLD, 0, str(actor)):
            self._locks.sweep()
            yield

    def place(self, section: str, name: str) -> str:
        return f"{section}/{name} in volume {self._holder} of {self._host}"

    # -- journal -------------------------------------------------------------------------------

    def note(self, entry: JournalEntry) -> None:
        self._unwritten.append(entry.model_dump_json().encode())
        with suppress(Busy):
            self._write_notes()

    def _write_all_notes(self) -> None:
        """Write what all threads have noted meanwhile as one revision."""
        with self.lock("journal"):
            lines, log = [*self._unwritten], self._entries.read(self._noted)
            if log.is_full:
                log = self._entries.rebase(log, b"\n".join(_lines(log)))
            if lines:
                log = self._entries.append(log, b"\n".join(lines))
            del self._unwritten[: len(lines)]
            self._noted = log

    def journal(self) -> tuple[JournalEntry, ...]:
        self._noted = self._entries.read(self._noted)
        entries = []
        for line in _lines(self._noted):
            with suppress(ValidationError):
                entries.append(JournalEntry.model_validate_json(line))
        return tuple(entries)


def make_empty_image(host: DockerHost) -> None:
    """Make the image of holders and locks, unless the host has it."""
    if not host.has_image(EMPTY_IMAGE):
        repository, _, tag = EMPTY_IMAGE.partition(":")
        with host.asked("make", f"image {EMPTY_IMAGE}") as api:
            api.import_image_from_data(b"\0" * 1024, repository=repository, tag=tag)


def _lines(log: Log) -> list[bytes]:
    return [line for text in (log.base or b"", *log.entries) for line in text.splitlines()]


def _written(sections: Sections) -> bytes:
    return json.dumps(
        {
            section: {n: None if text is None else text.decode() for n, text in found.items()}
            for section, found in sections.items()
        }
    ).encode()


def _summed(log: Log) -> Sections:
    """Return the documents that follow from a log."""
    found: dict[str, dict[str, bytes | None]] = {}
    for text in (*((log.base,) if log.base else ()), *log.entries):
        parsed: dict[str, dict[str, Any]] = json.loads(text)
        for section, documents in parsed.items():
            there = found.setdefault(section, {})
            for name, document in documents.items():
                if document is None:
                    there.pop(name, None)
                else:
                    there[name] = document.encode()
    return found
