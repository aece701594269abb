"""The note of a program's first process, and whether a process is still the one that it means.

Imports only the standard library: `launch.py` and `watch.py` run it.
"""

import json
from pathlib import Path
from typing import Any


def note_of(pid: int, time_s: float) -> str:
    """Return the note of a process that runs.

    Args:
        pid: The process.
        time_s: When it was noted, seconds since 1970, for who cannot read when it started.
    """
    start = started(pid)
    return json.dumps({"pid": pid, "time": time_s, **({"start": start} if start else {})})


def started(pid: int) -> str:
    """Return when a process started, as no other of its number did; empty if not known.

    By the machine's start and the ticks since then: no clock that is set moves it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        said = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return f"{boot.strip()}/{said.rpartition(b')')[2].split()[19].decode()}"  # after its name


def means(note: dict[str, Any], pid: int) -> bool | None:
    """Whether a note means the process that has a number now; None where it does not say so."""
    if "start" not in note:
        return None  # of an older release, or of another system
    return bool(note["pid"] == pid and note["start"] == started(pid))
