"""What is undone when an edit fails: the last thing first, and no more than its own part."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class UndoLog:
    """One thread's edit at a time; what other threads write meanwhile is not noted."""

    def __init__(self) -> None:
        self._editing = threading.local()

    @property
    def active(self) -> bool:
        """Whether this thread is in an edit."""
        return getattr(self._editing, "undo", None) is not None

    def __len__(self) -> int:
        return len(self._editing.undo) if self.active else 0

    def note(self, undo: Callable[[], None]) -> None:
        """Remember how the last write of this thread is undone; outside an edit it stays."""
        if self.active:
            self._editing.undo.append(undo)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Undo what this thread notes in the block when the block raises."""
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
    """Undo all but the first `mark`; one that fails keeps none of the others from it."""
    while len(undo) > mark:
        try:
            undo.pop()()
        except BaseException:
            _undo_to(undo, mark)
            raise
