"""Undo log of an edit: when a part fails, its writes are undone, last first."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class UndoLog:
    """Notes the writes of the thread that edits, and not those of other threads."""

    def __init__(self) -> None:
        self._editing = threading.local()

    @property
    def active(self) -> bool:
        """Whether this thread is in an edit."""
        return getattr(self._editing, "undo", None) is not None

    def __len__(self) -> int:
        return len(self._editing.undo) if self.active else 0

    def note(self, undo: Callable[[], None]) -> None:
        """Remember how to undo this thread's last write; outside an edit, do nothing."""
        if self.active:
            self._editing.undo.append(undo)

    @contextmanager
    def part(self) -> Iterator[None]:
        """When the block raises, undo what this thread noted in it."""
        outermost = not self.active
        if outermost:
            self._editing.undo = []
        undo: list[Callable[[], None]] = self._editing.undo
        mark = len(undo)
        try:
            yield
        except BaseException:
            _undo_to(undo, mark)
            raise
        finally:
            if outermost:
                self._editing.undo = None


def _undo_to(undo: list[Callable[[], None]], mark: int) -> None:
    """Undo all but the first `mark`; when one undo fails, the others still run."""
    while len(undo) > mark:
        try:
            undo.pop()()
        except BaseException:
            _undo_to(undo, mark)
            raise
