"""File locks, against threads and other processes of this machine."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inference_provider.errors import Busy, OutOfCapacity
from inference_provider.observed import Actor
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.private_file import no_space, write_private

LOCK_WAIT_S = 120.0
"""Longest wait for another process that changes the same thing, seconds; a rollout may take so
long."""
POLL_S = 0.05
"""Pause between two tries to take a lock, seconds."""
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
    limit_s = LOCK_WAIT_S if wait_s is None else wait_s
    lock = _taken(path, limit_s)
    if lock is None:
        raise Busy(
            "change",
            what,
            f"another process has held {path.name} for {limit_s:.0f} s",
            "wait for it to end, or end it, and run this again",
        )
    try:
        yield
    finally:
        os.close(lock)


def workspace_lock(
    folders: Folders, name: str, wait_s: float | None = None
) -> AbstractContextManager[None]:
    """Return what keeps other processes out of one thing of a workspace; see `file_lock`."""
    path = folders.folder / "locks" / f"{name}.lock"
    return file_lock(path, f"workspace '{folders.workspace}'", wait_s)


def _taken(path: Path, wait_s: float) -> int | None:
    """Return the descriptor whose end gives the lock back; None when somebody else keeps it.

    By hand, because each `up` does it: importing `filelock`, and asyncio with it, takes longer than
    all that an `up` without a change asks the router, the supervisor and the disk.

    Raises:
        OutOfCapacity: The disk is full.
        TargetError: The file cannot be opened or locked.
    """
    deadline_s = time.monotonic() + wait_s
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        with _closed_unless_done(descriptor):
            while not _lock(descriptor):
                if time.monotonic() >= deadline_s:
                    raise TimeoutError
                time.sleep(POLL_S)
    except TimeoutError:
        return None
    except OSError as fault:
        raise no_space(fault, path) from fault
    return descriptor


@contextmanager
def _closed_unless_done(descriptor: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(descriptor)
        raise


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # which of them depends on the file system
        return False
    return True


@contextmanager
def held(folder: Path, workspace: str, actor: Actor) -> Iterator[None]:
    """Keep a second `up`, `down`, `split`, `start` or `stop` out, and tell it who is first.

    Args:
        folder: Contains the lock, and a note of who holds it.
        workspace: What is changed.
        actor: Who changes it.
    """
    note = folder / f"{workspace}.json"
    lock = _taken(folder / f"{workspace}.lock", 0)
    if lock is None:
        raise _held_by(note, workspace)
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OutOfCapacity):  # a `down` must work on a full disk, to free some of it
            write_private(note, json.dumps({"who": str(actor), "pid": os.getpid(), "since": since}))
        yield
    finally:
        note.unlink(missing_ok=True)
        os.close(lock)


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
