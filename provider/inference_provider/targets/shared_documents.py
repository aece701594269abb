"""Documents that several clients edit: read as a whole, edited under a lock, written together.

Where they lie, and how a write of several becomes one, is the target's `Store`. Its Records are
`SharedDocuments` with locks and a journal.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol

from inference_provider.errors import InferenceError
from inference_provider.targets.documents import Documents, Sections, changes

_FRESH_S = 0.2
"""How long what was read counts as new, seconds."""


class Store(Protocol):
    """Where documents lie."""

    def read(self) -> Sections | None:
        """Return all documents; None where they are those of the last read or write."""

    def write(self, changed: Sections) -> None:
        """Write some documents, all or none; the caller holds the lock.

        When this raises, the next read returns what is there.
        """

    def settle(self) -> None:
        """Do what is left to do after a write, which is in force whatever becomes of this."""

    def forget(self) -> None:
        """Forget what was read, so that the next read returns all documents."""

    def locked(self) -> AbstractContextManager[object]:
        """Keep other clients from writing."""


class SharedDocuments:
    """The documents of one workspace, as this process sees them."""

    def __init__(self, store: Store, fresh_s: float = _FRESH_S) -> None:
        """Open them; what was read counts as new for `fresh_s`, but to an edit."""
        self._store = store
        self._fresh_s = fresh_s
        self._documents = Documents()
        self._stored: Sections = {}
        """What the store has, while this process edits."""
        self._wanted: Sections = {}
        """What an edit has tried to store."""
        self._commits = 0
        self._reading = threading.RLock()
        self._read_s = float("-inf")
        self._edits = 0
        self._still: list[int] = []
        """Threads that want nothing newer."""

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
        """Replace one document, or drop it: in this thread's edit, or in one of its own."""
        if self._documents.editing:
            self._documents.write(section, name, document)
        elif self.read(section, name) != document:
            with self.edit():
                self._documents.write(section, name, document)

    def _forget(self) -> None:
        """Read everything again when it is asked for next."""
        with self._reading:
            self._store.forget()
            self._read_s = float("-inf")
            self._documents.become({})

    def _expire(self) -> None:
        """Take nothing for new that was read until now: who had a lock may have written since."""
        with self._reading:  # or a read that began before would end after this, and count as new
            self._read_s = float("-inf")

    def _refresh(self, *, now: bool = False) -> None:
        """Read what is stored, unless it was read just now or this process edits it."""
        if self._documents.editing:
            return
        with self._reading:
            got_a_lock = self._read_s == float("-inf")
            still = threading.get_ident() in self._still and not got_a_lock
            if not now and (still or time.monotonic() < self._read_s + self._fresh_s):
                return
            if self._edits:  # another thread's edit is under way, and nobody else can write
                return
            found = self._store.read()
            if found is not None:
                self._documents.become(found)
            self._read_s = time.monotonic()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Read what there is at the beginning of a block, and nothing newer until its end.

        A thread that gets a lock inside the block reads again, since others may have written.
        """
        self._refresh()
        self._still.append(threading.get_ident())
        try:
            yield
        finally:
            self._still.remove(threading.get_ident())

    @contextmanager
    def edit(self) -> Iterator[None]:
        """Exclude other edits; an exception undoes every write, also what was committed."""
        if self._documents.editing:
            with self._documents.part():
                yield
            return
        with self._store.locked():
            self._refresh(now=True)
            with self._reading:
                self._edits += 1
                self._stored, self._commits = self._documents.everything(), 0
            try:
                try:
                    with self._documents.part():
                        yield
                        self._commit()
                except BaseException:
                    self._take_back()
                    raise
                else:
                    self._read_s = time.monotonic()
            finally:
                with self._reading:
                    self._edits -= 1

    def _commit(self) -> None:
        """Store what the edit has done so far, where others read it."""
        self._wanted = self._documents.everything()
        changed = changes(self._stored, self._wanted)
        if changed:
            self._commits += 1
            self._store.write(changed)
            self._stored = self._wanted
            self._store.settle()

    def _take_back(self) -> None:
        """Store what was there before an edit that has failed, where any of it was stored.

        Whether an interrupted write is in force, a read tells. What another client has written
        since, because this one has lost its lock, stays.
        """
        if not self._commits:
            return
        self._store.forget()
        with suppress(InferenceError, OSError):  # the first error is the one to report
            stored, before = self._store.read() or {}, self._documents.everything()
            ours = {
                section: {
                    n: before.get(section, {}).get(n)
                    for n, text in found.items()
                    if stored.get(section, {}).get(n) == text
                }
                for section, found in changes(before, self._wanted).items()
            }
            if any(ours.values()):
                self._store.write(ours)
                self._store.settle()
        self._store.forget()
