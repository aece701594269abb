"""Files of a log that are too old -> gone, for a workspace that says for how many days they stay.

A log is set aside when its first line is half as old as that, and what was set aside goes when its
last line is: so no line gets older, and each gets at least half as old unless the size of its log
ends it. Part of `watch.py` too, so it imports only the standard library and modules of ours that do
the same.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from inference_provider.targets.event_log import EventLog

EVERY_S = 300.0
_DAY_S = 86_400
_LONGEST_BYTES = 65_536
"""Of a first line, which says when it was written."""

Clock = Callable[[], float]
"""Returns seconds since 1970."""


class Rounds:
    """Says when to look again: once in a while."""

    def __init__(self, clock_s: Clock = time.time) -> None:
        self._clock_s = clock_s
        self._next_s = 0.0

    def due_s(self) -> float | None:
        """Return the time of now, where it is time to look; None where that was a moment ago."""
        now_s = self._clock_s()
        if self._next_s - EVERY_S <= now_s < self._next_s:  # a clock that was set back starts again
            return None
        self._next_s = now_s + EVERY_S
        return now_s


def limit_s(now_s: float, days: int) -> float:
    """Return the time before which a log that stays for so many days is set aside, or goes."""
    return now_s - days * _DAY_S / 2


def end_events(events: EventLog, before_s: float) -> None:
    """End what is too old of a log of events. Raises OSError."""
    drop(events.files[1:], before_s)
    events.set_aside(lambda: written_s(events.files[0]) < before_s)


def end_calls(parts: Sequence[Path], before_s: float) -> None:
    """End what is too old of an access log; whoever bounds it has the router open another one.

    Args:
        parts: Its files, the newest first.
        before_s: See `limit_s`.

    Raises:
        OSError: A file cannot be read or removed.
    """
    drop(parts[1:], before_s)
    if written_s(parts[0]) < before_s:
        set_aside(parts)


def drop(
    files: Iterable[Path], before_s: float, dropped: Callable[[Path], None] = lambda _path: None
) -> None:
    """Remove the files whose last line is too old."""
    for path in files:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before_s:
                path.unlink()
                dropped(path)


def set_aside(parts: Sequence[Path]) -> None:
    """Rename the files of a log, the newest first, each to the name of the one before it."""
    for newer, older in reversed([*pairwise(parts)]):
        with suppress(FileNotFoundError):
            newer.replace(older)


def written_s(log: Path) -> float:
    """Return when the first line of a log of JSON was written; infinite where there is none."""
    try:
        with log.open("rb") as file:
            first = json.loads(file.readline(_LONGEST_BYTES))
        return datetime.fromisoformat(first.get("ts") or first["time"]).timestamp()
    except FileNotFoundError:
        return float("inf")
    except (ValueError, KeyError, TypeError, AttributeError):  # empty, or cut short by a full disk
        return log.stat().st_mtime if log.stat().st_size else float("inf")
