"""Ends what a program started, once the program's first process has ended.

Such processes are recognized by their process group, whose number is the first process's pid, and
by a mark in their environment, which survives even in a new session. One scan of this machine's
processes serves any number of programs. Only this user's are ended, and only those with this
folder's mark.
"""

import json
import os
import signal
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from inference_provider.targets.local.pid_notes import means

MARK_VARIABLE = "INFERENCE_INSTANCE"
START_SLACK_S = 30.0
"""Longest time between a process's start and its pid file, seconds, on a busy machine."""
TERM_WAIT_S = 2.0
KILL_WAIT_S = 5.0
ROUNDS = 3
"""An ending process may start another; after this many rounds the rest is left alone."""


def mark(folder: Path, program: str = "") -> str:
    """Return the mark in a program's environment; without a program, the prefix of all marks."""
    return f"{sha256(os.fsencode(folder)).hexdigest()[:16]}/{program}"


def find_process(pid_file: Path) -> psutil.Process | None:
    """Return the process that a pid file names, if it still lives; never another with its pid."""
    note = _read(pid_file)
    if note is None:
        return None
    try:
        process = psutil.Process(note["pid"])
        ours = means(note, process.pid)
        if ours is None:
            ours = -1.0 <= note["time"] - process.create_time() <= START_SLACK_S
    except psutil.Error:
        return None
    return process if ours and _runs(process) else None


def end_leftovers(pid_files: Iterable[Path], marks: Collection[str]) -> None:
    """End what is left of programs whose first process has ended: SIGTERM, then SIGKILL.

    Args:
        pid_files: The pid files of the first processes.
        marks: The programs' marks; one that ends in `/` stands for every program of a folder.
    """
    groups = dict(filter(None, (_group(path) for path in pid_files)))
    for _ in range(ROUNDS):
        found = _find(groups, marks)
        if not found:
            return
        _end(found)


def end_processes(processes: Collection[psutil.Process], wait_s: float) -> None:
    """End processes and their groups: SIGTERM, after `wait_s` SIGKILL."""
    for signal_, limit_s in ((signal.SIGTERM, wait_s), (signal.SIGKILL, KILL_WAIT_S)):
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal_)
        processes = _still_there(processes, limit_s)


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return _runs(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _read(pid_file: Path) -> dict[str, Any] | None:
    try:
        note = json.loads(pid_file.read_text())
        return {**note, "pid": int(note["pid"]), "time": float(note["time"])}
    except (FileNotFoundError, ValueError):  # a power cut left half of it
        return None


def _group(pid_file: Path) -> tuple[int, float] | None:
    """Return a group and its first process's start time; None if the pid now belongs to another."""
    note = _read(pid_file)
    if note is None or note["time"] < psutil.boot_time():
        return None
    with suppress(psutil.NoSuchProcess):
        if psutil.Process(note["pid"]).create_time() > note["time"] + 1.0:
            return None
    return note["pid"], note["time"]


def _find(groups: dict[int, float], marks: Collection[str]) -> list[psutil.Process]:
    me = psutil.Process()
    spared = {me.pid, *(parent.pid for parent in me.parents())}  # we may be in an instance
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mine = process.uids().real == os.getuid() and process.pid not in spared
            if mine and _runs(process) and (_in(groups, process) or _marked(process, marks)):
                found.append(process)
    return found


def _in(groups: dict[int, float], process: psutil.Process) -> bool:
    noted_s = groups.get(os.getpgid(process.pid))
    return noted_s is not None and process.create_time() >= noted_s - START_SLACK_S


def _marked(process: psutil.Process, marks: Collection[str]) -> bool:
    own = process.environ().get(MARK_VARIABLE, "")
    return own in marks or own.partition("/")[0] + "/" in marks


def _end(processes: Collection[psutil.Process]) -> None:
    for signal_, limit_s in ((signal.SIGTERM, TERM_WAIT_S), (signal.SIGKILL, KILL_WAIT_S)):
        for process in processes:
            with suppress(psutil.Error):
                process.send_signal(signal_)
        processes = _still_there(processes, limit_s)


def _still_there(processes: Collection[psutil.Process], limit_s: float) -> list[psutil.Process]:
    """Wait until processes have ended, at most `limit_s`; return those that have not."""
    deadline = time.monotonic() + limit_s
    while (left := [one for one in processes if _runs(one)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
