"""When the loops of a workspace service last looked; one that hangs still has a thread.

On `local` the service writes it into a file, which `status` and `watch.py` read; so this imports
nothing but the standard library.
Times are of a clock that all processes of a machine share; it stands still while that is suspended.
"""

import json
import os
import threading
import time
from collections.abc import Mapping
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
ROLLOUTS, WAITING = "rollouts", "requests that wait"
"""Names of loops that publish, as those that follow are names of others."""
ALERTS, METRICS, LOGS = "alerts", "metrics", "logs"
_PUBLISH_S = 150.0
"""Longest wait of who publishes, besides: for a lock of others, and for the router."""
_SEND_S = 150.0
"""Longest wait of who sends logs, besides: for two answers of a collector behind a slow line, a
minute each, and for its name."""
_SLACK_S = {ROLLOUTS: _PUBLISH_S, WAITING: _PUBLISH_S, LOGS: _SEND_S}
_SHOWN = 300
"""Characters of a fault that are kept."""


class Look(NamedTuple):
    """A look of one loop."""

    at_s: float
    time: str
    fault: str = ""
    """Why it failed."""

    def age_s(self) -> float:
        """Return how long ago it was; 0 for one before the machine was started."""
        return max(0.0, time.monotonic() - self.at_s)


class Beat(NamedTuple):
    """The last look of the loop over rules, which runs in every service, and of the others."""

    pid: int
    at_s: float
    time: str
    loops: Mapping[str, Look] = {}

    def hanging(self, after_s: float) -> tuple[str, Look] | None:
        """Return the loop that has not looked for longest, if one has not for long.

        Its name is empty where it is the one over rules.
        """
        return latest({"": Look(self.at_s, self.time), **self.loops}, after_s)


def latest(looks: Mapping[str, Look], after_s: float) -> tuple[str, Look] | None:
    """Return the loop that has not looked for longest, if one has not for long."""
    late = [one for one in looks.items() if one[1].age_s() >= after_s + _slack_s(one[0])]
    return max(late, key=lambda one: one[1].age_s() - _slack_s(one[0]), default=None)


def not_looked(loop: str, since: str) -> str:
    """Say that a loop has not looked for long."""
    at = f" at {loop}" if loop else ""
    return f"has not looked{at} since {since}"


def _slack_s(loop: str) -> float:
    return _SLACK_S.get(loop, 0.0)


def beat_file(workspace_folder: Path) -> Path:
    return workspace_folder / "service" / "heartbeat.json"


def last_beat(file: Path) -> Beat | None:
    """Return the last looks; None where they are not known."""
    try:
        found = json.loads(file.read_bytes())
        loops = {name: Look(*one) for name, one in found.pop("loops", {}).items()}
        return Beat(**found, loops=loops)
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def unwritable(file: Path) -> str:
    """Return why the file cannot be written; empty if it can be, or if there is none.

    A disk turns read-only when it fails. On a full one the file is written over.
    """
    try:
        os.close(os.open(file, os.O_WRONLY))
    except FileNotFoundError:
        return ""
    except OSError as fault:
        return fault.strerror or str(fault)
    return ""


class Looks:
    """The last look of each loop of this process."""

    def __init__(self) -> None:
        self._looks: dict[str, Look] = {}

    def beat(self, loop: str = "", fault: str = "") -> None:
        """Note a look.

        Args:
            loop: Which; the one over rules when empty.
            fault: Why it failed.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._looks[loop] = Look(time.monotonic(), now, " ".join(fault.split())[:_SHOWN])

    def hanging(self, after_s: float) -> tuple[str, Look] | None:
        """Return the loop that has not looked for longest, if one has not for long."""
        return latest(dict(self._looks), after_s)


class Heart(Looks):
    """Writes them down too, once in a while."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._next_s = 0.0
        self._writing = threading.Lock()

    def beat(self, loop: str = "", fault: str = "") -> None:
        """Note a look; no look waits for it, and a full disk keeps it from nothing.

        Whoever has not noted one for long is ended, so one that is there is written over then.

        Args:
            loop: Which; the one over rules when empty.
            fault: Why it failed.
        """
        super().beat(loop, fault)
        now_s = self._looks[loop].at_s
        if now_s < self._next_s or not self._writing.acquire(blocking=False):
            return
        try:
            self._next_s = now_s + EVERY_S
            self._write(self._looks.get("") or self._looks[loop])
        finally:
            self._writing.release()

    def _write(self, rules: Look) -> None:
        loops = {name: look for name, look in [*self._looks.items()] if name}
        beat = Beat(os.getpid(), rules.at_s, rules.time, loops)
        text = with_room(json.dumps(beat._asdict()))
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
