"""What happened in a workspace, as lines of JSON in a file of bounded size.

Written by its service, and on `local` by `watch.py`, for which this imports only the standard
library and modules of ours that do the same.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inference_provider.targets.whole_lines import append_line

EVENTS_BYTES = 1_000_000
"""Size at which the file is set aside, in place of the one before it."""


def log_of(workspace_folder: Path) -> Path:
    """Return where the events of a workspace are."""
    return workspace_folder / "logs" / "events.jsonl"


def events_in(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the events of lines; what a full disk or a power cut cut off is left out."""
    for line in lines:
        with suppress(ValueError):
            yield json.loads(line)


class EventLog:
    """The events of one workspace."""

    def __init__(self, file: Path, limit: int = EVENTS_BYTES) -> None:
        self._file, self._limit = file, limit
        self._before = file.with_name(f"{file.name}.1")

    @property
    def files(self) -> tuple[Path, Path]:
        """The file that is written, and the one before it."""
        return self._file, self._before

    def write(self, instance: str, name: str, message: str, endpoint: str = "") -> None:
        """Append an event of now. Raises OSError.

        Args:
            instance: Name of a program: `<endpoint>.<deployment>.<generation>.<number>`, `router`;
                empty for what is of a whole endpoint.
            name: One of Azure ML's: `Started`, `Killing`, `LivenessProbeFailed`, …
            message: One sentence.
            endpoint: Whose it is, where it is of no instance.
        """
        event = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "deployment": endpoint or deployment_of(instance),
            "instance": instance,
            "name": name,
            "message": message,
        }
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            with suppress(FileNotFoundError):
                if self._file.stat().st_size >= self._limit:
                    self._file.replace(self._before)
            append_line(self._file, json.dumps(event).encode() + b"\n")

    def set_aside(self, is_due: Callable[[], bool]) -> None:
        """Begin another file, in place of the one before this, where that is due."""
        with suppress(FileNotFoundError), self._alone():
            if is_due():
                self._file.replace(self._before)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep out other threads and processes: the service writes too, beside `watch.py`."""
        place = self._file.with_name(f".{self._file.name}.lock")
        with open(os.open(place, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield all events, oldest first; those that are whole."""
        for path in (self._before, self._file):
            with suppress(FileNotFoundError), path.open("rb") as file:
                yield from events_in(file)


def deployment_of(instance: str) -> str:
    """Return `<endpoint>/<deployment>` of an instance; empty for what is none, as the router."""
    words = instance.split(".")
    return "/".join(words[:2]) if len(words) > 2 else ""
