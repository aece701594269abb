"""The log of one pod's server, followed by one connection that stays.

The kubelet sets its files aside, and its API reads the newest alone: who asks again and again would
miss what was written before, and of a pod that goes its last lines. What nobody has taken yet waits
here up to a bound; then nothing more is read, and the kubelet's files are the buffer.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from inference_provider.errors import TargetError
from inference_provider.targets.kubernetes.printed import CaughtUp, Printed, lines_of, since
from inference_provider.targets.log_tail import Line, Position, Tail

Asks = Callable[[Mapping[str, str]], Iterator[str]]
"""Yields the lines of an answer as they come. It raises TargetError."""
_OWN_BYTES = 1024 * 1024
"""Of one log that waits."""
_LINE_BYTES = 300
"""Of a line in memory, beside its text."""
_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 15.0


class Room:
    """The memory that all logs together may take."""

    def __init__(self, size: int = 64 * 1024 * 1024) -> None:
        self._left = size
        self.changed = threading.Condition()

    def take(self, size: int, has_place: Callable[[], bool], is_over: Callable[[], bool]) -> None:
        """Wait until there is so much, and take it."""
        with self.changed:
            while not is_over() and (self._left < size or not has_place()):
                self.changed.wait(_PAUSE_S)
            self._left -= size

    def give(self, size: int) -> None:
        with self.changed:
            self._left += size
            self.changed.notify_all()


class Seen(NamedTuple):
    """How a pod is."""

    run: int = -1
    """How often its server was started again; -1 where it never was."""
    runs: bool = False
    """Whether that runs now."""
    is_gone: bool = False


class ConsoleLog:
    """What is new in the log of one pod's server.

    Args:
        pod: Its name.
        uid: What no other pod has.
        asks: Asks for its log.
        room: For what waits.
    """

    def __init__(self, pod: str, uid: str, asks: Asks, room: Room) -> None:
        self.pod, self._uid, self._asks, self._room = pod, uid, asks, room
        self.seen = Seen()
        self._waiting = deque[Printed]()
        self._bytes = 0
        self._last: Position | None = None
        """Up to where it was read from the kubelet."""
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_over = False
        self._is_whole = True
        """Whether the last answer came to its end."""
        self._fault: TargetError | None = None
        """Why it cannot be read now."""

    def look(self, seen: Seen) -> None:
        """Note how the pod is now."""
        if seen != self.seen:
            self.seen = seen
            self._news.set()

    @property
    def is_read(self) -> bool:
        """Whether the pod is gone, and nothing of it waits."""
        ended = self._thread is None or not self._thread.is_alive()
        return self.seen.is_gone and ended and not self._waiting

    def close(self) -> None:
        self._is_over = True
        self._news.set()

    # -- what is taken -------------------------------------------------------------------------

    def tail(self, known: Position | None, most_bytes: int, most_lines: int) -> Tail:
        """Return what came after a position; see `new_lines`. Raises TargetError."""
        if self._thread is None:
            self._last = known
            name = f"log of {self.pod}"
            self._thread = threading.Thread(target=self._follow, name=name, daemon=True)
            self._thread.start()
        with self._lock:
            self._drop(known)
            if self._waiting and self._waiting[0].is_gap:
                gap = self._waiting[0].position
                return Tail([], gap, gap, self._bytes, lost=True)
            taken, used = list[Printed](), 0
            for one in self._waiting:
                used += one.size
                if one.is_gap or used > most_bytes or len(taken) >= most_lines:
                    used -= one.size
                    break
                taken.append(one)
            left = self._bytes - used
        if self._fault and not taken and self._thread.is_alive():
            raise self._fault
        position = taken[-1].position if taken else known
        return Tail([*map(self._line, taken)], position, known, left, lost=False)

    def _line(self, one: Printed) -> Line:
        return Line(one.text, Path(self.pod), one.time_ns, one.uid(self._uid))

    def _drop(self, known: Position | None) -> None:
        """Forget what was taken, up to a position."""
        if known is None or not any(one.position == known for one in self._near(known)):
            return
        freed = 0
        while self._waiting:
            one = self._waiting.popleft()
            self._bytes -= one.size
            freed += _taken_by(one)
            if one.position == known:
                break
        self._room.give(freed)

    def _near(self, known: Position) -> Iterator[Printed]:
        return (one for one in self._waiting if one.time_ns == known.offset)

    # -- what comes ----------------------------------------------------------------------------

    def _follow(self) -> None:
        read, pause_s = -1, _PAUSE_S
        while not self._is_over:
            seen = self.seen
            if seen.run > read or (seen.runs and not seen.is_gone):
                try:
                    self._read(seen.run)
                except Exception as fault:  # noqa: BLE001 - a thread that ends would read no more
                    # that of a run which was read to its end is asked for once more, in vain
                    self._fault, self._is_whole = self._as_ours(fault), seen.run == read
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                else:
                    self._fault, self._is_whole, pause_s = None, True, _PAUSE_S
                    read = seen.run
            if self.seen.is_gone:
                break
            self._news.wait(pause_s)
            self._news.clear()
        if not self._is_whole and not self._is_over:
            last = self._last or Position(inode=0, offset=0, head="")
            self._put(Printed(b"", last.offset, last.inode, is_gap=True))

    def _as_ours(self, fault: Exception) -> TargetError:
        if isinstance(fault, TargetError):
            return fault
        return TargetError("read", f"the log of pod {self.pod}", f"{type(fault).__name__}: {fault}")

    def _read(self, run: int) -> None:
        """Read what is new, of the run before too, until the server ends or the answer does."""
        asked = {"sinceTime": since(self._last), "timestamps": "true"}
        caught = CaughtUp(self._last)
        before = self._last.inode if self._last else 0
        if before < run:
            with suppress(TargetError):  # the kubelet has it no more: that is found out below
                for said in self._asks({**asked, "previous": "true"}):
                    self._take(caught, said, run - 1)
        for said in self._asks({**asked, "follow": "true"}):
            if self._is_over:
                return
            self._take(caught, said, run)
        for one in caught.rest():
            self._put(one)

    def _take(self, caught: CaughtUp, said: str, run: int) -> None:
        for line in lines_of(said, run):
            for one in caught.take(line):
                self._put(one)

    def _put(self, one: Printed) -> None:
        def has_place() -> bool:
            return self._bytes + one.size <= _OWN_BYTES or not self._waiting

        self._room.take(_taken_by(one), has_place, lambda: self._is_over)
        with self._lock:
            self._waiting.append(one)
            self._bytes += one.size
            self._last = one.position


def _taken_by(one: Printed) -> int:
    return one.size + _LINE_BYTES
