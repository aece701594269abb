"""supervisord's events of one workspace -> how often each program ended; a bounded access log.

Run by supervisord as its event listener, `python -I -S watch.py ENDS ACCESS_LOG BYTES`, so it
lives and ends with it. Imports nothing but the standard library: it starts in milliseconds. Which
program keeps dying is `endings.py`'s to say.
"""

import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

KEPT_MINUTES = 300
"""Ends are counted by the minute, for so long; the number since the start is kept beside it."""
ACCESS_LOG_BACKUPS = 3
ADMIN_TIMEOUT_S = 2.0

ENDED = ("PROCESS_STATE_EXITED", "PROCESS_STATE_BACKOFF")
"""What a program's end that nobody asked for is called; the second, when it ran under 1 s."""
ANEW = ("PROCESS_GROUP_ADDED", "PROCESS_GROUP_REMOVED")
EVENTS = (*ENDED, *ANEW, "TICK_5")

Ends = dict[str, dict[str, Any]]
"""Per program: `total`, and `minutes`, a count by minutes since 1970."""


def count_end(ends: Ends, program: str, minute: int) -> None:
    """Count one end of a program, and forget those of too long ago."""
    own = ends.setdefault(program, {"total": 0, "minutes": {}})
    own["total"] += 1
    kept = {m: n for m, n in own["minutes"].items() if int(m) > minute - KEPT_MINUTES}
    own["minutes"] = {**kept, str(minute): kept.get(str(minute), 0) + 1}


def bound_log(log: Path, limit: int) -> None:
    """Set an access log of `limit` bytes aside, and drop the oldest when all are too many.

    All of them never have more than 4 * `limit` bytes and what is written until the next look.
    Envoy has no rotation of its own: it writes on in the renamed file until it is told to open a
    new one, and is told again as long as there is none.
    """
    older = [log.with_name(f"{log.name}.{i}") for i in range(1, ACCESS_LOG_BACKUPS + 1)]
    if _size(log) >= limit:
        for newer, path in reversed([*zip([log, *older], older, strict=False)]):
            with suppress(FileNotFoundError):
                newer.rename(path)
    total = _size(log)
    for path in older:
        total += _size(path)
        if total > limit * (ACCESS_LOG_BACKUPS + 1):
            path.unlink(missing_ok=True)
    admin = log.with_name("admin.sock")
    if admin.exists() and not log.exists():
        _reopen_logs(admin)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _reopen_logs(admin: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as router:
        router.settimeout(ADMIN_TIMEOUT_S)
        router.connect(str(admin))
        router.sendall(b"POST /reopen_logs HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\n\r\n")
        router.recv(1024)


class Watch:
    """What one event does."""

    def __init__(self, ends_file: Path, log: Path, limit: int) -> None:
        self._ends_file = ends_file
        self._log, self._limit = log, limit
        self._ends: Ends = {}
        self._unsaved = False
        with suppress(FileNotFoundError, ValueError):  # a restart of this program alone
            found = json.loads(ends_file.read_text())
            self._ends = found if isinstance(found, dict) else {}

    def take(self, event: str, fields: dict[str, str]) -> None:
        """Take one event in. Raises OSError; the next event tries again what failed."""
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
            bound_log(self._log, self._limit)

    def _save(self) -> None:
        beside = self._ends_file.with_name(f".{self._ends_file.name}")
        beside.write_text(json.dumps(self._ends))
        os.replace(beside, self._ends_file)
        self._unsaved = False


def listen(watch: Watch, events: BinaryIO, answers: BinaryIO) -> None:
    """Speak supervisord's protocol for listeners until it ends."""
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
    """Read `name:value` words."""
    return dict(word.split(":", 1) for word in line.decode().split())


if __name__ == "__main__":
    listen(
        Watch(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])),
        sys.stdin.buffer,
        sys.stdout.buffer,
    )
