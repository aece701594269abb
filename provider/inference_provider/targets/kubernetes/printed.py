"""What one pod's server prints, as the kubelet hands it on, read on from a place. Pure.

Lines have times, which two streams of a container may write in another order by a hair. So a place
is a line itself, found again by its time and its text; where it is gone, lines may be missing.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from inference_provider.targets.log_tail import LONGEST_BYTES, Position

_OVERLAP_NS = 10_000_000
"""By so much less a later line's time may be."""
_SECOND_NS = 1_000_000_000
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_GAP = "gap"


class Printed(NamedTuple):
    """A line, or a place before which lines may be missing."""

    text: bytes
    time_ns: int
    """When it was written, since 1970."""
    run: int
    """How often its container had been started again."""
    is_gap: bool = False

    @property
    def position(self) -> Position:
        head = _GAP if self.is_gap else _digest(self.text)
        return Position(inode=self.run, offset=self.time_ns, head=head)

    @property
    def size(self) -> int:
        return len(self.text) + 1

    def uid(self, pod: str) -> str:
        """Return what is the same of it whenever it is read."""
        return _digest(f"{pod} {self.time_ns} ".encode() + self.text)


def lines_of(said: str, run: int) -> Iterator[Printed]:
    """Yield the line that begins with its time, in pieces where it is long.

    The kubelet writes lines without a time itself, where there is no log; they are left out.
    """
    time, _, text = said.partition(" ")
    found = _TIME.fullmatch(time)
    if not found:
        return
    whole, fraction, zone = found.groups()
    seconds = int(datetime.fromisoformat(whole + zone).timestamp())
    time_ns = seconds * _SECOND_NS + int((fraction or "").ljust(9, "0"))
    content = text.encode()
    for start in range(0, len(content) or 1, LONGEST_BYTES):
        yield Printed(content[start : start + LONGEST_BYTES], time_ns, run)


def since(position: Position | None) -> str:
    """Return from when on a log is asked for, which has whole seconds; empty for all of it."""
    if position is None:
        return ""
    return datetime.fromtimestamp(position.offset // _SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class CaughtUp:
    """Leaves out what was read before.

    Args:
        position: Up to where; None where nothing was.
    """

    def __init__(self, position: Position | None) -> None:
        self._position = position
        self._held: list[Printed] = []
        """What may be after it."""

    def take(self, one: Printed) -> list[Printed]:
        """Return what of the log up to this line is new."""
        if self._position is None:
            return [one]
        if one.time_ns == self._position.offset and one.position.head == self._position.head:
            self._position, self._held = None, []
            return []
        if one.time_ns <= self._position.offset + _OVERLAP_NS:
            if one.time_ns > self._position.offset:
                self._held.append(one)
            return []
        return [*self.rest(gap_of=one), one]

    def rest(self, gap_of: Printed | None = None) -> list[Printed]:
        """Return what else is new, where its place was not found before its end, or a line."""
        found, self._held = self._held, []
        first = found[0] if found else gap_of
        if self._position is None or first is None:
            return []
        place, self._position = self._position, None
        gap = Printed(b"", place.offset, first.run, is_gap=True)
        return [gap, *found]


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()
