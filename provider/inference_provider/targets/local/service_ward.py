"""Ends a workspace service of which a loop hangs, so that supervisord starts another.

What it was changing its successor ends; windows of alerts begin again, so none fires before they
are whole. Part of `watch.py`, so it imports only the standard library and modules of ours that do
the same.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from inference_provider.targets.heartbeat import (
    ENDED_S,
    beat_file,
    last_beat,
    not_looked,
    unwritable,
)
from inference_provider.targets.local.prober import Processes, Tell

NAME = "service"
_LOOKS = 3
"""How often in a row it must be seen: where nobody was run, this process was not either."""


class ServiceWard:
    """Looks after the service of one workspace."""

    def __init__(
        self, folder: Path, tell: Tell, end: Callable[[str, int, int], bool] | None = None
    ) -> None:
        """Prepare to look.

        Args:
            folder: Of the workspace.
            tell: Told of an end.
            end: Sends a signal to a process, if it still is that program's.
        """
        self._file, self._tell = beat_file(folder), tell
        self._end = end or Processes(folder / "supervisor" / "pids").end
        self._seen: tuple[int, str, float] | None = None
        self._times = 0
        self._said = ""

    def look(self) -> None:
        """Look once. Raises OSError where an end cannot be told.

        Where the service cannot note its looks, as on a disk that has become read-only, nobody
        knows whether it hangs, and none that is started would note more: it lives.
        """
        found = last_beat(self._file)
        hangs = found.hanging(ENDED_S) if found else None
        if found is None or hangs is None or self._is_unwritable():
            self._times = 0
            return
        loop, last = hangs
        seen = found.pid, loop, last.at_s
        self._seen, self._times = seen, self._times + 1 if self._seen == seen else 1
        if self._times < _LOOKS:
            return
        self._times = 0
        if self._end(NAME, found.pid, signal.SIGKILL):
            said = f"The workspace service {not_looked(loop, last.time)}, will be restarted"
            self._tell(NAME, "Killing", said)

    def _is_unwritable(self) -> bool:
        why = unwritable(self._file)
        if why and why != self._said:
            said = f"nobody knows whether the service hangs: {self._file}: {why}"
            print(said, file=sys.stderr, flush=True)  # noqa: T201 - the log of the process
        self._said = why
        return bool(why)
