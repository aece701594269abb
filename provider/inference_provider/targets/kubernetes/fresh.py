"""What was read from the cluster a moment ago. Reads once, however many threads ask at a time."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_Found = TypeVar("_Found")


class Fresh(Generic[_Found]):
    """One thing that is read again once it is too old; what raises is kept for nobody.

    Args:
        read: Reads it.
    """

    def __init__(self, read: Callable[[], _Found]) -> None:
        self._read = read
        self._reading = threading.Lock()
        self._kept: tuple[float, _Found] | None = None

    def within(self, fresh_s: float) -> _Found:
        """Return it as it was at most some seconds ago."""
        with self._reading:
            if self._kept is None or time.monotonic() >= self._kept[0] + fresh_s:
                found = self._read()
                self._kept = time.monotonic(), found
            return self._kept[1]
