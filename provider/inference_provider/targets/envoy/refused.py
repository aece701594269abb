"""The end of a router's access log -> which calls it refused lately."""

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from inference_provider.workspace.statuses import RefusedCalls

ACCESS_LOG = "access.log"
STATUSES = (401, 403, 429)
READ_BYTES = 128 * 1024
"""So much of the log's end is read: some hundred requests, in a millisecond."""
MOST = 50
"""Groups that are told; the newest."""


def refused_calls(log: Path) -> tuple[RefusedCalls, ...]:
    """Return what was refused among the last requests, oldest first; empty without a log."""
    return counted(_refusals(_end_of(log)))


def counted(calls: Iterable[RefusedCalls]) -> tuple[RefusedCalls, ...]:
    """Add up calls of one client that were refused alike, oldest first; at most MOST groups."""
    found: dict[tuple[str, int, str], RefusedCalls] = {}
    for one in calls:
        alike = one.endpoint, one.status, one.client
        before = found.get(alike)
        total = one.calls + (before.calls if before else 0)
        last = max(one.last, before.last) if before else one.last
        found[alike] = one.model_copy(update={"calls": total, "last": last})
    return tuple(sorted(found.values(), key=lambda one: one.last)[-MOST:])


def _end_of(log: Path) -> list[bytes]:
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - READ_BYTES))
            lines = file.read(READ_BYTES).splitlines()
    except FileNotFoundError:
        return []
    return lines if size <= READ_BYTES else lines[1:]


def _refusals(lines: Iterable[bytes]) -> Iterable[RefusedCalls]:
    for line in lines:
        # ValueError, TypeError, KeyError: a line that is half written, or of another release
        with suppress(ValueError, TypeError, KeyError):
            found: dict[str, Any] = json.loads(line)
            if found["status"] in STATUSES and found["upstream"] is None:
                yield RefusedCalls(
                    endpoint=found["endpoint"],
                    status=found["status"],
                    client=found["client"],
                    calls=1,
                    last=datetime.fromisoformat(found["ts"]),
                )
