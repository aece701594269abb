"""Ends a workspace service that hangs, so that supervisord starts another.

What it was changing its successor ends; windows of alerts begin again, so none fires before they
are whole. Part of `watch.py`, so it imports only the standard library and modules of ours that do
the same.
"""

import signal
from collections.abc import Callable
from pathlib import Path

from inference_provider.targets.local.heartbeat import ENDED_S, beat_file, last_beat
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
        self._seen: tuple[int, float] | None = None
        self._times = 0

    def look(self) -> None:
        """Look once. Raises OSError where an end cannot be told."""
        found = last_beat(self._file)
        if found is None or found.age_s() < ENDED_S:
            self._times = 0
            return
        same = self._seen == (found.pid, found.at_s)
        self._seen, self._times = (found.pid, found.at_s), self._times + 1 if same else 1
        if self._times < _LOOKS:
            return
        self._times = 0
        if self._end(NAME, found.pid, signal.SIGKILL):
            said = f"The workspace service has not looked since {found.time}, will be restarted"
            self._tell(NAME, "Killing", said)
