"""File locks, against threads and other processes of this machine."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inference_provider.errors import Busy, OutOfCapacity
from inference_provider.observed import Actor
from inference_provider.targets.private_file import no_space, write_private

LOCK_WAIT_S = 120.0
"""Longest wait for another process that changes the same thing, seconds; a rollout may take so
long."""
NOTE_WAIT_S = 1.0
"""Longest wait for a lock's holder to write who it is, seconds."""


@contextmanager
def file_lock(path: Path, what: str, wait_s: float | None = None) -> Iterator[None]:
    """Hold a lock against threads and other processes.

    Args:
        path: The lock's file.
        what: What it protects, for the message.
        wait_s: Longest wait; LOCK_WAIT_S when None.

    Raises:
        Busy: Somebody else has it for that long.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - it imports asyncio; readers need none

    limit_s = LOCK_WAIT_S if wait_s is None else wait_s
    lock = FileLock(path, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire(timeout=limit_s)
    except Timeout as late:
        raise Busy(
            "change",
            what,
            f"another process has held {path.name} for {limit_s:.0f} s",
            "wait for it to end, or end it, and run this again",
        ) from late
    except OSError as fault:
        raise no_space(fault, path) from fault
    try:
        yield
    finally:
        lock.release()


@contextmanager
def held(folder: Path, workspace: str, actor: Actor) -> Iterator[None]:
    """Keep a second `up`, `down`, `split`, `start` or `stop` out, and tell it who is first.

    Args:
        folder: Contains the lock, and a note of who holds it.
        workspace: What is changed.
        actor: Who changes it.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - as above

    note = folder / f"{workspace}.json"
    lock = FileLock(folder / f"{workspace}.lock", thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire(timeout=0)
    except Timeout as taken:
        raise _held_by(note, workspace) from taken
    except OSError as fault:
        raise no_space(fault, note) from fault
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OutOfCapacity):  # a `down` must work on a full disk, to free some of it
            write_private(note, json.dumps({"who": str(actor), "pid": os.getpid(), "since": since}))
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _held_by(note: Path, workspace: str) -> Busy:
    deadline_s = time.monotonic() + NOTE_WAIT_S
    while not (holder := _read(note)) and time.monotonic() < deadline_s:
        time.sleep(0.01)  # the holder has the lock and is about to write its note
    return Busy(
        "change",
        f"workspace '{workspace}'",
        f"{holder.get('who', 'somebody')} has been changing it since {holder.get('since', 'now')}"
        f" (process {holder.get('pid', 'unknown')})",
        "wait for that to end and run this again",
    )


def _read(note: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(note.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}
