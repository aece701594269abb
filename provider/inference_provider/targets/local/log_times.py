"""When the lines of a log were written, which supervisord does not say.

`watch.py` looks at all logs every five seconds and writes down how long each is by then. Imports
only the standard library.
"""

import bisect
import math
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

BACKUPS = 3
"""Files of a log before the one that is written."""
_SUFFIX = ".times"


class LogTimes:
    """Writes down how long the logs of a folder and its folders are, as time goes by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[int, int]] = {}
        """Of each log its file's number, and how long it was."""

    def note(self) -> None:
        """Look at all logs. Raises OSError; the next look writes what is missing."""
        now = int(time.time())
        logs = {*self._folder.glob("*/*/*.log")}
        for gone in self._known.keys() - logs:
            del self._known[gone]
        for log in logs:
            with suppress(FileNotFoundError):
                self._note(log, now)

    def _note(self, log: Path, now: int) -> None:
        stat = log.stat()
        begun, before = self._known.get(log, (stat.st_ino, -1))
        if begun != stat.st_ino or stat.st_size < before:  # supervisord has begun a new file
            for newer, older in reversed([*pairwise(parts(log))]):
                with suppress(FileNotFoundError):
                    _beside(newer).replace(_beside(older))
        elif stat.st_size == before:
            return
        opened = os.open(_beside(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(opened, "w") as file:
            file.write(f"{now} {stat.st_size}\n")
        self._known[log] = stat.st_ino, stat.st_size


def parts(log: Path) -> tuple[Path, ...]:
    """Return the files of one log, the newest first."""
    return (log, *(log.with_name(f"{log.name}.{i}") for i in range(1, BACKUPS + 1)))


def logs_of_instances(folder: Path) -> list[Path]:
    """Return the log of each instance below a folder, also of one that is just being set aside."""
    found = (*folder.glob("*/*/*.log"), *folder.glob("*/*/*.log.1"))
    return sorted({path.with_name(path.name.removesuffix(".1")) for path in found})


def begun_s(log: Path) -> float:
    """Return when a log's first line had been written, s since 1970; infinite if it has none."""
    try:
        stat = log.stat()
    except FileNotFoundError:
        return math.inf
    if not stat.st_size:
        return math.inf
    with suppress(OSError, ValueError, IndexError), _beside(log).open() as file:
        return float(file.readline().split()[0])
    return stat.st_mtime


def drop_times(part: Path) -> None:
    """Forget when the lines of a file were written that is gone."""
    _beside(part).unlink(missing_ok=True)


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
