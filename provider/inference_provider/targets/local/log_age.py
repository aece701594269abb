"""Logs of a workspace that are too old -> gone, where it declares for how many days they stay.

A log is set aside when its first line is half as old as that, and what was set aside goes when its
last line is: so no line gets older, and each gets at least half as old unless the size of its log
ends it. Part of `watch.py`, so it imports only the standard library and modules of ours that do the
same.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from inference_provider.targets.event_log import EventLog, log_of
from inference_provider.targets.local.log_times import begun_s, drop_times, logs_of_instances, parts

EVERY_S = 300.0
_DAY_S = 86_400
_LONGEST_BYTES = 65_536
"""Of a first line, which says when it was written."""


def retention_days(workspace_folder: Path) -> int:
    """Return for how many days a workspace keeps its logs; 0 for as long as they have room."""
    workspace = workspace_folder.resolve().name  # the folder may be given as `..`
    name = quote(f"Workspace.{workspace}", safe="")
    with suppress(OSError, ValueError, TypeError, AttributeError):
        record = json.loads((workspace_folder / "records" / f"{name}.json").read_bytes())
        return int((record["properties"].get("logs") or {}).get("retention_days") or 0)
    return 0


class LogAge:
    """Ends what is too old, once in a while."""

    def __init__(
        self,
        folder: Path,
        events: EventLog,
        access_log: Path,
        reopen: Callable[[], None],
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        """Prepare to look.

        Args:
            folder: Of the workspace.
            events: Its events.
            access_log: Of its router, which is told to open another by who bounds it.
            reopen: Has supervisord open the logs of instances again.
            clock_s: Seconds since 1970.
        """
        self._folder, self._events, self._access_log = folder, events, access_log
        self._reopen, self._clock_s = reopen, clock_s
        self._next_s = 0.0

    def look(self) -> None:
        """Look, unless that was a moment ago. Raises OSError."""
        now_s = self._clock_s()
        if self._next_s - EVERY_S <= now_s < self._next_s:  # a clock that was set back starts again
            return
        self._next_s = now_s + EVERY_S
        if days := retention_days(self._folder):
            self._end_before(now_s - days * _DAY_S / 2)

    def _end_before(self, limit_s: float) -> None:
        _drop(self._older_events(), limit_s)
        self._events.set_aside(lambda: _written_s(log_of(self._folder)) < limit_s)
        _drop(parts(self._access_log)[1:], limit_s)
        if _written_s(self._access_log) < limit_s:
            _set_aside(self._access_log)
        set_aside = False
        for log in logs_of_instances(self._folder / "logs"):
            _drop(parts(log)[1:], limit_s)
            if begun_s(log) < limit_s:
                set_aside = True
                _set_aside(log)
        if set_aside:
            self._reopen()

    def _older_events(self) -> tuple[Path]:
        log = log_of(self._folder)
        return (log.with_name(f"{log.name}.1"),)


def _drop(files: tuple[Path, ...], limit_s: float) -> None:
    for path in files:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < limit_s:
                path.unlink()
                drop_times(path)


def _set_aside(log: Path) -> None:
    for newer, older in reversed([*pairwise(parts(log))]):
        with suppress(FileNotFoundError):
            newer.replace(older)


def _written_s(log: Path) -> float:
    """Return when the first line of a log of JSON was written; infinite where there is none."""
    try:
        with log.open("rb") as file:
            first = json.loads(file.readline(_LONGEST_BYTES))
        return datetime.fromisoformat(first.get("ts") or first["time"]).timestamp()
    except FileNotFoundError:
        return float("inf")
    except (ValueError, KeyError, TypeError, AttributeError):  # empty, or cut short by a full disk
        return log.stat().st_mtime if log.stat().st_size else float("inf")
