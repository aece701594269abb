"""The Records of a workspace in dictionaries."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from inference_provider.errors import Busy
from inference_provider.observed import Actor, JournalEntry
from inference_provider.workspace.undo import UndoLog

LOCK_WAIT_S = 30.0


class MemoryRecords:
    """Documents in dictionaries."""

    def __init__(self, workspace: str) -> None:
        self.workspace = workspace
        self.created = False
        self._documents: dict[str, dict[str, bytes]] = {}
        self._journal: list[JournalEntry] = []
        self._undo = UndoLog()
        self._editing = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._holder: Actor | None = None

    def exists(self) -> bool:
        return self.created

    def section(self, section: str) -> Mapping[str, bytes]:
        return dict(sorted(self._documents.get(section, {}).items()))

    def read(self, section: str, name: str) -> bytes | None:
        return self._documents.get(section, {}).get(name)

    def put(self, section: str, name: str, text: str) -> None:
        before = self.read(section, name)
        if before != text.encode():
            self._undo.note(lambda: self._set(section, name, before))
            self._set(section, name, text.encode())

    def drop(self, section: str, name: str) -> None:
        before = self.read(section, name)
        self._undo.note(lambda: self._set(section, name, before))
        self._set(section, name, None)

    def _set(self, section: str, name: str, document: bytes | None) -> None:
        if document is None:
            self._documents.get(section, {}).pop(name, None)
        else:
            self._documents.setdefault(section, {})[name] = document

    @contextmanager
    def edit(self) -> Iterator[None]:
        if self._undo.active:
            with self._undo.part():
                yield
        else:
            with self._editing, self._undo.part():
                yield

    @contextmanager
    def lock(self, name: str, wait_s: float | None = None) -> Iterator[None]:
        lock = self._locks.setdefault(name, threading.Lock())
        if not lock.acquire(timeout=LOCK_WAIT_S if wait_s is None else wait_s):
            raise Busy("change", f"workspace '{self.workspace}'", f"'{name}' is locked")
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def hold(self, actor: Actor) -> Iterator[None]:
        if self._holder is not None:
            reason = f"{self._holder} has been changing it"
            raise Busy("change", f"workspace '{self.workspace}'", reason, "wait for that to end")
        self._holder = actor
        try:
            yield
        finally:
            self._holder = None

    def place(self, section: str, name: str) -> str:
        return f"{section}/{name}"

    def journal(self) -> tuple[JournalEntry, ...]:
        return tuple(self._journal)

    def note(self, entry: JournalEntry) -> None:
        self._journal.append(entry)
