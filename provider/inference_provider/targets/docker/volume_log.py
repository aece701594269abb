"""A log of revisions in a folder of a volume, each written whole or not at all.

Writing over a file through Docker's API is not atomic, and a client that dies leaves half of one.
So nothing that counts is ever written over: each revision goes into the next of a ring of files,
with its number and a hash of its content, and what is torn is not there. A base, written in turn
into one of two files, holds the sum of all revisions before; only then their files are used again.

The time of each file is its revision's number in seconds. So whether a log has grown is known by
two questions of a millisecond each; reading its folder takes 40, and much of a core.

Whoever appends must hold a lock that keeps other writers out.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from inference_provider.targets.docker.archive import packed, unpacked
from inference_provider.targets.docker.host import DockerHost

RING = 64
"""Files of revisions. A base is written before the oldest that it lacks would be written over."""


@dataclass(frozen=True)
class Log:
    """What a log holds."""

    revision: int = 0
    """Number of the newest revision; 0 for none."""
    base: bytes | None = None
    """The sum of all revisions before those of `entries`; None when there is none yet."""
    entries: tuple[bytes, ...] = ()
    """The revisions since, oldest first."""
    base_slot: int = 1
    """Which of the two files holds the base."""
    container: str = ""
    """Id of the container that it was read through: another one may hold another log."""

    @property
    def texts(self) -> tuple[bytes, ...]:
        """All of it, oldest first."""
        return self.entries if self.base is None else (self.base, *self.entries)


class VolumeLog:
    """The log in one folder of one container, which need not run."""

    def __init__(self, host: DockerHost, container: str, folder: str) -> None:
        self._host = host
        self._container = container
        self._folder = folder

    def read(self, known: Log | None = None) -> Log:
        """Return what the log holds now; `known`, what it held once, if it is the same."""
        if known is not None and self._is_newest(known):
            return known
        container = str((self._host.container(self._container) or {}).get("Id", ""))
        archive = self._host.get_files(container, self._folder) if container else None
        files = unpacked(archive) if archive else {}
        valid = {name: found for name, text in files.items() if (found := _parsed(text))}
        bases = [(*valid[f"base.{slot}"], slot) for slot in (0, 1) if f"base.{slot}" in valid]
        number, base, slot = max(bases, default=(0, None, 1), key=lambda found: found[0])
        entries: list[bytes] = []
        while (found := valid.get(_slot(number + 1))) and found[0] == number + 1:
            number += 1
            entries.append(found[1])
        return Log(number, base, tuple(entries), slot, container)

    def _is_newest(self, log: Log) -> bool:
        return (
            log.revision > 0
            and self._written_in(log, log.revision) == log.revision
            and self._written_in(log, log.revision + 1) in range(log.revision)
        )

    def _written_in(self, log: Log, revision: int) -> int:
        """Return the number of the revision in the file of another one; 0 if none is."""
        found = self._host.stat(log.container, f"{self._folder}/{_slot(revision)}")
        return int(datetime.fromisoformat(found["mtime"]).timestamp()) if found else 0

    def grow(self, log: Log, content: bytes, summed: Callable[[tuple[bytes, ...]], bytes]) -> Log:
        """Write the next revision of a log that was just read.

        Args:
            log: What was read.
            content: The revision.
            summed: Returns the sum of a base and the revisions since, for a new base.
        """
        if len(log.entries) >= RING - 1:
            log = self._rebase(log, summed(log.texts))
        number = log.revision + 1
        self._write(_slot(number), number, content)
        return replace(log, revision=number, entries=(*log.entries, content))

    def _rebase(self, log: Log, base: bytes) -> Log:
        """Write the sum of all revisions so far, which empties the ring."""
        slot = 1 - log.base_slot
        self._write(f"base.{slot}", log.revision, base)
        return replace(log, base=base, entries=(), base_slot=slot)

    def _write(self, name: str, number: int, content: bytes) -> None:
        text = f"{number} {hashlib.sha256(content).hexdigest()}\n".encode() + content
        # the folder is in the archive's names, so that the first write makes it
        parent, _, folder = self._folder.rpartition("/")
        archive = packed({f"{folder}/{name}": text}, time=number)
        self._host.put_files(self._container, parent or "/", archive)


def _slot(number: int) -> str:
    return f"revision.{number % RING}"


def _parsed(text: bytes) -> tuple[int, bytes] | None:
    """Return the number and the content of a file; None for a torn one."""
    head, _, content = text.partition(b"\n")
    number, _, digest = head.partition(b" ")
    whole = digest.decode(errors="replace") == hashlib.sha256(content).hexdigest()
    return (int(number), content) if whole and number.isdigit() else None
