"""What the locks of a workspace have in common wherever they lie: threads, pauses, what is told."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inference_provider.errors import Busy

WAIT_S = 120.0
"""Longest wait for another process that changes the same thing, seconds."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5


class AmongThreads:
    """Locks, by name, against other threads of this process."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}

    @contextmanager
    def taken(self, name: str, limit_s: float, busy: Callable[[str], Busy]) -> Iterator[None]:
        """Hold one; raise what `busy` makes of a reason when another thread has it for so long."""
        lock = self._locks.setdefault(name, threading.Lock())
        if not lock.acquire(timeout=limit_s):
            raise busy(f"another thread of this process has held '{name}' for {limit_s:.0f} s")
        try:
            yield
        finally:
            lock.release()


class Pauses:
    """Pauses between tries to take a lock, longer and longer."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._pause_s = _FIRST_PAUSE_S

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._deadline_s

    def pause(self) -> None:
        time.sleep(min(self._pause_s, max(0.0, self._deadline_s - time.monotonic())))
        self._pause_s = min(self._pause_s * 1.5, _LONGEST_PAUSE_S)


def told(lock: str, process: str, machine: str, since: str, who: str = "") -> str:
    """Say who holds a lock, and since when."""
    where = f"process {process} on {machine}"
    if who:
        return f"{who} has been changing it since {since} ({where})"
    return f"{where} has held '{lock}' since {since}"
