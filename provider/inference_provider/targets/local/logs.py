"""Instances' logs -> lines: the last ones, then new ones.

supervisord writes and rotates the files, one per instance.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from inference_provider.targets.local.log_times import Written
from inference_provider.targets.starting import no_logs
from inference_provider.workspace.logged import LogLine, LogQuery

FOLLOW_POLL_S = 0.2
LOG_TAIL_BYTES = 100_000
"""Bytes read from the end of a log for the lines that an error quotes; a line may be long."""


def read_logs(folder: Path, deployment: str, query: LogQuery) -> Iterator[LogLine]:
    """Yield the last lines of each log; then new ones when following.

    Raises:
        TargetError: The deployment has no logs, or none of that instance.
    """
    files = _files(folder, query)
    if not files:
        raise no_logs(deployment, query.instance)
    offsets: dict[Path, int] = {}
    for path in files:
        content = path.read_bytes()
        offsets[path] = len(content)
        found = _timed(path, content) if query.lines else []
        fresh = [one for one in found if query.since is None or _is_fresh(one, query.since)]
        yield from fresh[-query.lines :]
    while query.follow:
        time.sleep(FOLLOW_POLL_S)
        for path in _files(folder, query):
            yield from _new_lines(path, offsets)


def _files(folder: Path, query: LogQuery) -> list[Path]:
    return sorted(path for path in folder.glob("*.log") if query.wants(path.stem))


def _timed(path: Path, content: bytes) -> list[LogLine]:
    written, offset, found = Written(path), 0, []
    for line in content.splitlines(keepends=True):
        offset += len(line)
        text = line.rstrip(b"\r\n").decode(errors="replace")
        found.append(LogLine(path.stem, text, written.before(offset)))
    return found


def _is_fresh(line: LogLine, since: datetime) -> bool:
    return line.time is None or line.time >= since


def _new_lines(path: Path, offsets: dict[Path, int]) -> list[LogLine]:
    """Return what was written since the last call, up to the last whole line."""
    start, now = offsets.get(path, 0), datetime.now(UTC)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < start:
                start = 0  # the log was rotated
            file.seek(start)
            content = file.read()
    except FileNotFoundError:
        return []  # it is being rotated, or its instance is gone
    whole = content[: content.rfind(b"\n") + 1]
    offsets[path] = start + len(whole)
    lines = whole.decode(errors="replace").splitlines()
    return [LogLine(path.stem, line, now) for line in lines]


def last_lines(log: Path, count: int) -> str:
    """Return the last lines of a log, for an error message; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])
