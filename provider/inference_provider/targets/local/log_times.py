"""When the lines of a log were written, which supervisord does not say.

`watch.py` looks at all logs every five seconds and writes down how long each is by then. Imports
only the standard library.
"""

import bisect
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

_SUFFIX = ".times"


class LogTimes:
    """Writes down how long the logs of a folder and its folders are, as time goes by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[Path, int] = {}

    def note(self) -> None:
        """Look at all logs. Raises OSError; the next look writes what is missing."""
        now = int(time.time())
        for log in self._folder.glob("*/*/*.log"):
            with suppress(FileNotFoundError):
                self._note(log, log.stat().st_size, now)

    def _note(self, log: Path, size: int, now: int) -> None:
        before = self._sizes.get(log, -1)
        if size == before:
            return
        mode = os.O_TRUNC if size < before else os.O_APPEND  # supervisord began a new file
        opened = os.open(_beside(log), os.O_WRONLY | os.O_CREAT | mode, 0o600)
        with os.fdopen(opened, "w") as file:
            file.write(f"{now} {size}\n")
        self._sizes[log] = size


def _beside(log: Path) -> Path:
    return log.with_name(f".{log.name}{_SUFFIX}")


class Written:
    """When each part of one log was written."""

    def __init__(self, log: Path) -> None:
        self._sizes, self._times = [0], [0]
        with suppress(OSError, ValueError):
            for line in _beside(log).read_text().splitlines():
                at, size = map(int, line.split())
                if size < self._sizes[-1]:  # of a file before this one
                    self._sizes, self._times = [0], [0]
                self._sizes.append(size)
                self._times.append(at)

    def before(self, offset: int) -> datetime:
        """Return when what ends at an offset had been written, five seconds late at most."""
        place = bisect.bisect_left(self._sizes, offset)
        if place >= len(self._times):
            return datetime.now(UTC)
        return datetime.fromtimestamp(self._times[place], UTC)
