"""Logs of a workspace that are too old -> gone, where it declares for how many days they stay.

Of what instances print too, which is written by this machine's own supervisord. Part of `watch.py`,
so it imports only the standard library and modules of ours that do the same.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from inference_provider.targets.aging import (
    Clock,
    Rounds,
    drop,
    end_calls,
    end_events,
    limit_s,
    set_aside,
)
from inference_provider.targets.event_log import EventLog
from inference_provider.targets.local.log_times import begun_s, drop_times, logs_of_instances, parts

TRAFFIC, EVENTS, CONSOLE = "traffic", "events", "console"


class Kept(NamedTuple):
    """For how many days a workspace keeps its logs, and which."""

    days: int = 0
    """0 for as long as they have room."""
    of: tuple[str, ...] = (TRAFFIC, EVENTS, CONSOLE)


def kept(workspace_folder: Path) -> Kept:
    """Return what a workspace declares, as far as it can be read."""
    workspace = workspace_folder.resolve().name  # the folder may be given as `..`
    name = quote(f"Workspace.{workspace}", safe="")
    with suppress(OSError, ValueError, TypeError, AttributeError):
        record = json.loads((workspace_folder / "records" / f"{name}.json").read_bytes())
        logs = record["properties"].get("logs") or {}
        return Kept(
            int(logs.get("retention_days") or 0), tuple(logs.get("retention_of", Kept().of))
        )
    return Kept()


class LogAge:
    """Ends what is too old, once in a while."""

    def __init__(
        self,
        folder: Path,
        events: EventLog,
        access_log: Path,
        reopen: Callable[[], None],
        clock_s: Clock = time.time,
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
        self._reopen, self._rounds = reopen, Rounds(clock_s)

    def look(self) -> None:
        """Look, unless that was a moment ago. Raises OSError."""
        now_s = self._rounds.due_s()
        if now_s is None:
            return
        days, of = kept(self._folder)
        before_s = limit_s(now_s, days)
        if days and EVENTS in of:
            end_events(self._events, before_s)
        if days and TRAFFIC in of:
            end_calls(parts(self._access_log), before_s)
        if days and CONSOLE in of:
            self._end_printed(before_s)

    def _end_printed(self, before_s: float) -> None:
        is_set_aside = False
        for log in logs_of_instances(self._folder / "logs"):
            drop(parts(log)[1:], before_s, drop_times)
            if begun_s(log) < before_s:
                is_set_aside = True
                set_aside(parts(log))
        if is_set_aside:
            self._reopen()
