"""What happened in a workspace as its platform tells it, as a log that is read from a place on."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from inference_provider.targets.log_tail import Line, Position, Tail
from inference_provider.workspace.statuses import Event

_EVERY_S = 10.0
_SETTLED_S = 5.0
"""After so long no event comes any more that is older than one that is there."""


class Events:
    """What happened in a workspace, as a log that goes by time.

    Its position is the time of the last event that was read, in microseconds, and how many of that
    time were: nobody keeps a list of all, so what is told now begins anywhere.

    Args:
        events: Returns what happened, oldest first, while it is kept.
        clock_s: Seconds since 1970, by the clock of who tells them.
        monotonic_s: A clock that never decreases.
    """

    def __init__(
        self,
        events: Callable[[], Iterable[Event]],
        clock_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._clock_s, self._monotonic_s = events, clock_s, monotonic_s
        self._next_s = float("-inf")
        self._known: list[Event] = []

    def tail(self, known: Position | None, most_bytes: int, most_lines: int) -> Tail:
        del most_bytes  # an event is short
        self._look()
        start = known or Position(inode=0, offset=0, head="0")
        after, done = start.offset, int(start.head)
        at = [(_microseconds(one), one) for one in self._known]
        same = [found for found in at if found[0] == after]
        new = [*same[done:], *(found for found in at if found[0] > after)][:most_lines]
        lines = [Line(_text(one), Path("events"), when, _uid(one)) for when, one in new]
        if not new:
            return Tail([], start, start, 0, lost=False)
        last = new[-1][0]
        count = sum(when == last for when, _ in new) + (done if last == after else 0)
        return Tail(lines, Position(inode=0, offset=last, head=str(count)), start, 0, lost=False)

    def _look(self) -> None:
        now_s = self._monotonic_s()
        if now_s < self._next_s:
            return
        limit = (self._clock_s() - _SETTLED_S) * 1_000_000
        found = [one for one in self._ask() if _microseconds(one) <= limit]
        self._known = sorted(found, key=lambda one: (one.time, one.instance, one.name, one.message))
        self._next_s = now_s + _EVERY_S


def _microseconds(one: Event) -> int:
    return round(one.time.timestamp() * 1_000_000)


def _text(one: Event) -> bytes:
    return one.model_dump_json().encode()


def _uid(one: Event) -> str:
    return f"{_microseconds(one)} {one.instance} {one.name}"
