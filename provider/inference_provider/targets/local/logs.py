"""Instances' logs -> lines: the last ones, then new ones.

supervisord writes and rotates the files, one per instance.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from inference_provider.targets.local.log_times import Written, parts
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
    offsets = {path: path.stat().st_size for path in files}
    for path in files:
        yield from _last(path, offsets[path], query) if query.lines else ()
    while query.follow:
        time.sleep(FOLLOW_POLL_S)
        for path in _files(folder, query):
            yield from _new_lines(path, offsets)


def _files(folder: Path, query: LogQuery) -> list[Path]:
    return sorted(path for path in folder.glob("*.log") if query.wants(path.stem))


def _last(path: Path, size: int, query: LogQuery) -> list[LogLine]:
    """Return the last lines of a log, from as many of its files as have them."""
    found: list[LogLine] = []
    for part in parts(path):
        try:
            content = part.read_bytes()
        except FileNotFoundError:
            break
        lines = _timed(path.stem, Written(part), content[:size] if part == path else content)
        fresh = [one for one in lines if query.since is None or _is_fresh(one, query.since)]
        found = fresh + found
        if len(found) >= query.lines or len(fresh) < len(lines):
            break
    return found[-query.lines :]


def _timed(instance: str, written: Written, content: bytes) -> list[LogLine]:
    offset, found = 0, []
    for line in content.removesuffix(b"\n").split(b"\n") if content else ():
        offset = min(offset + len(line) + 1, len(content))
        found.append(LogLine(instance, _text(line), written.before(offset)))
    return found


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


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
    return [LogLine(path.stem, _text(line), now) for line in whole.split(b"\n")[:-1]]


def last_lines(log: Path, count: int) -> str:
    """Return the last lines of a log, for an error message; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])
