"""Instances' logs -> lines: the last ones, then new ones.

supervisord writes and rotates the files, one per instance.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from inference_provider.targets.starting import no_logs

FOLLOW_POLL_S = 0.2
LOG_TAIL_BYTES = 100_000
"""Bytes read from the end of a log for the lines that an error quotes; a line may be long."""


def read_logs(folder: Path, deployment: str, *, lines: int, follow: bool) -> Iterator[str]:
    """Yield the last lines of each log, `<instance>: <line>`; then new ones when following.

    Raises:
        TargetError: The deployment has no logs.
    """
    files = sorted(folder.glob("*.log"))
    if not files:
        raise no_logs(deployment)
    offsets: dict[Path, int] = {}
    for path in files:
        content = path.read_bytes()
        offsets[path] = len(content)
        last = content.decode(errors="replace").splitlines()[-lines:] if lines else []
        yield from (f"{path.stem}: {line}" for line in last)
    while follow:
        time.sleep(FOLLOW_POLL_S)
        for path in sorted(folder.glob("*.log")):
            yield from _new_lines(path, offsets)


def _new_lines(path: Path, offsets: dict[Path, int]) -> list[str]:
    """Return what was written since the last call, up to the last whole line."""
    start = offsets.get(path, 0)
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
    return [f"{path.stem}: {line}" for line in whole.decode(errors="replace").splitlines()]


def last_lines(log: Path, count: int) -> str:
    """Return the last lines of a log, for an error message; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])
