"""supervisord's events of one workspace -> how often each program ended; a bounded access log.

Run by supervisord as its event listener, `python -I -S watch.py ENDS ACCESS_LOG BYTES`, so it
starts and ends with it. Imports only the standard library, and one module of ours that does the
same, to start in milliseconds. `workspace/endings.py` decides which program keeps dying.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

KEPT_MINUTES = 300
"""Ends are counted per minute, for this many minutes; the total since the start is kept too."""

ENDED = ("PROCESS_STATE_EXITED", "PROCESS_STATE_BACKOFF")
"""Events of a program that ended by itself; the second one when it ran for less than 1 s."""
ANEW = ("PROCESS_GROUP_ADDED", "PROCESS_GROUP_REMOVED")
EVENTS = (*ENDED, *ANEW, "TICK_5")

Ends = dict[str, dict[str, Any]]
"""Per program: `total`, and `minutes`, counts keyed by minutes since 1970."""


def count_end(ends: Ends, program: str, minute: int) -> None:
    """Count one end of a program, and drop counts that are too old."""
    own = ends.setdefault(program, {"total": 0, "minutes": {}})
    own["total"] += 1
    kept = {m: n for m, n in own["minutes"].items() if int(m) > minute - KEPT_MINUTES}
    own["minutes"] = {**kept, str(minute): kept.get(str(minute), 0) + 1}


class Watch:
    """Handles one event at a time; `each_time` is called after each, and at least every 5 s."""

    def __init__(self, ends_file: Path, each_time: Callable[[], None]) -> None:
        self._ends_file = ends_file
        self._each_time = each_time
        self._ends: Ends = {}
        self._unsaved = False
        with suppress(FileNotFoundError, ValueError):  # a restart of this program alone
            found = json.loads(ends_file.read_text())
            self._ends = found if isinstance(found, dict) else {}

    def take(self, event: str, fields: dict[str, str]) -> None:
        """Handle one event. Raises OSError; the next event retries what failed."""
        if event in ENDED:
            count_end(self._ends, fields["processname"], int(time.time() // 60))
            self._unsaved = True
        elif event in ANEW and fields["groupname"] in self._ends:
            del self._ends[fields["groupname"]]
            self._unsaved = True
        try:
            if self._unsaved:
                self._save()
        finally:
            self._each_time()

    def _save(self) -> None:
        beside = self._ends_file.with_name(f".{self._ends_file.name}")
        beside.write_text(json.dumps(self._ends))
        os.replace(beside, self._ends_file)
        self._unsaved = False


def listen(watch: Watch, events: BinaryIO, answers: BinaryIO) -> None:
    """Speak supervisord's event listener protocol until it ends."""
    while True:
        answers.write(b"READY\n")
        answers.flush()
        head = _fields(events.readline())
        if not head:
            return
        try:
            watch.take(head["eventname"], _fields(events.read(int(head["len"]))))
        except OSError as fault:  # a full disk, or a router that does not answer
            print(f"{head['eventname']}: {fault}", file=sys.stderr, flush=True)  # noqa: T201
        answers.write(b"RESULT 2\nOK")
        answers.flush()


def _fields(line: bytes) -> dict[str, str]:
    """Parse `name:value` words."""
    return dict(word.split(":", 1) for word in line.decode().split())


def main() -> None:
    # `-I -S` finds no package; last, so that none of site-packages hides one of the library
    sys.path.append(str(Path(__file__).parents[3]))
    from inference_provider.targets.envoy.log_bound import bound_log  # noqa: PLC0415

    ends_file, log, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    watch = Watch(ends_file, lambda: bound_log(log, limit))
    listen(watch, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
