"""A router's access log -> the calls that somebody asks for, whatever files it was rotated to."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from inference_provider.targets.envoy.log_bound import ACCESS_LOG_BACKUPS
from inference_provider.workspace.logged import CallQuery

_BLOCK_BYTES = 1 << 20
_LATE = timedelta(seconds=1)
"""How much later than its end by these numbers a call may be written."""
MOST = 10_000
"""Calls that are told at once; a router's agent sends them in one answer."""


def calls(log: Path, asked: CallQuery) -> list[dict[str, Any]]:
    """Return the newest calls that are asked for, oldest first, as the router wrote them."""
    found: list[dict[str, Any]] = []
    for line in _newest_first(log):
        with suppress(ValueError, TypeError, KeyError):  # half written, or of another release
            call = json.loads(line)
            began = datetime.fromisoformat(call["ts"])
            if asked.since and began < asked.since:
                if began + timedelta(milliseconds=call["ms"]) < asked.since - _LATE:
                    break  # lines are in the order of ends
            elif _is_asked(call, asked):
                found.append(call)
        if len(found) >= min(asked.last, MOST):
            break
    return sorted(found, key=lambda one: str(one["ts"]))


def _is_asked(call: Mapping[str, Any], asked: CallQuery) -> bool:
    wanted = {
        "endpoint": asked.endpoint,
        "deployment": asked.deployment,
        "request_id": asked.request_id,
    }
    return all(call[name] == value for name, value in wanted.items() if value)


def _newest_first(log: Path) -> Iterator[bytes]:
    older = (log.with_name(f"{log.name}.{i}") for i in range(1, ACCESS_LOG_BACKUPS + 1))
    for path in (log, *older):
        with suppress(FileNotFoundError):
            yield from _backwards(path)


def _backwards(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first, reading no more of it than is asked for."""
    with path.open("rb") as file:
        left, rest = file.seek(0, 2), b""
        while left:
            size = min(_BLOCK_BYTES, left)
            left -= size
            file.seek(left)
            rest, *whole = (file.read(size) + rest).split(b"\n")
            yield from reversed(whole)
        yield rest
