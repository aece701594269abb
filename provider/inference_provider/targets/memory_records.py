"""The Records of a workspace in dictionaries."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from inference_provider.errors import Busy, OutOfCapacity
from inference_provider.observed import Actor, JournalEntry
from inference_provider.targets.documents import Documents

LOCK_WAIT_S = 30.0


class MemoryRecords(Documents):
    """Documents that only this process has, with locks and a journal."""

    def __init__(self, workspace: str) -> None:
        super().__init__()
        self.workspace = workspace
        self.created = False
        self.is_full = False
        """Whether the journal has no room left."""
        self._journal: list[JournalEntry] = []
        self._editing = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._holder: Actor | None = None

    def exists(self) -> bool:
        return self.created

    def put(self, section: str, name: str, text: str) -> None:
        self.write(section, name, text.encode())

    def drop(self, section: str, name: str) -> None:
        self.write(section, name, None)

    def still(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def edit(self) -> Iterator[None]:
        if self.editing:
            with self.part():
                yield
        else:
            with self._editing, self.part():
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
        if self.is_full:
            raise OutOfCapacity("write", "the journal", "no space left")
        self._journal.append(entry)
