"""When the workspace service last looked, as a file; one that hangs still has a process.

The service writes it, `status` and `watch.py` read it; imports nothing but the standard library.
Times are of a clock that all processes of a machine share; it stands still while that is suspended.
"""

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from inference_provider.targets.in_place import with_room, write_over

EVERY_S = 5.0
HANGS_S = 30.0
"""Seconds without a look after which the status says so; most take less than a second, and one in
which the router does not answer 10 more."""
ENDED_S = 120.0
"""Seconds without a look after which it is ended, and supervisord starts it again."""


class Beat(NamedTuple):
    """A look of the service."""

    pid: int
    at_s: float
    time: str

    def age_s(self) -> float:
        """Return how long ago it was; 0 for one before the machine was started."""
        return max(0.0, time.monotonic() - self.at_s)


def beat_file(workspace_folder: Path) -> Path:
    return workspace_folder / "service" / "heartbeat.json"


def last_beat(file: Path) -> Beat | None:
    """Return the last look; None where it is not known."""
    try:
        return Beat(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class Heart:
    """Notes the looks of this process, once in a while."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._next_s = 0.0

    def beat(self) -> None:
        """Note a look; no look waits for it, and a full disk keeps it from nothing.

        Whoever has not noted one for long is ended, so one that is there is written over then.
        """
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        text = with_room(json.dumps(Beat(os.getpid(), now_s, now)._asdict()))
        try:
            self._replace(text)
        except OSError:
            with suppress(OSError):
                write_over(self._file, text.rstrip())

    def _replace(self, text: str) -> None:
        self._file.parent.mkdir(exist_ok=True, mode=0o700)  # a workspace that is gone stays so
        beside = self._file.with_name(f".{self._file.name}")
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w") as file:
            file.write(text)
        beside.replace(self._file)
