"""Processes of a workspace whose notes are gone: found by command line, and by their mark.

`leftovers.py` finds a process by its note in `supervisor/pids/`. When a person removes the folder
`supervisor/`, supervisord and its programs run on without any note.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from inference_provider.targets.local.leftovers import MARK_VARIABLE, find_process, mark
from inference_provider.targets.local.pid_notes import note_of
from inference_provider.targets.private_file import write_private


def daemons(folder: Path) -> list[psutil.Process]:
    """Return every supervisord that was started with a folder's configuration.

    Only this user's processes count: anybody can start one with such a command line.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.uids().real == os.getuid() and is_daemon(process, folder):
                found.append(process)
    return found


def is_daemon(process: psutil.Process, folder: Path) -> bool:
    """Whether a process is a folder's supervisord. Raises psutil.Error when it is gone."""
    return process.cmdline()[-2:] == ["-c", str(folder / "supervisord.conf")]


def note_programs(folder: Path, pids: Path) -> None:
    """Write the pid file of each program that runs without one.

    Args:
        folder: supervisord's folder; its programs have its mark in their environment.
        pids: Where the pid files are.
    """
    for name, process in _programs(folder).items():
        note = pids / name
        if find_process(note) is None:
            write_private(note, note_of(process.pid, process.create_time()))


def _programs(folder: Path) -> dict[str, psutil.Process]:
    """Return the first process of each running program; those that it started are younger."""
    found: dict[str, psutil.Process] = {}
    for name, process in sorted(_marked(folder), key=lambda one: one[1].create_time()):
        found.setdefault(name, process)
    return found


def _marked(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the leader of each process group with a program's mark, and the program's name."""
    start = mark(folder)
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            leads = process.uids().real == os.getuid() and os.getpgid(process.pid) == process.pid
            own = process.environ().get(MARK_VARIABLE, "") if leads else ""
            if own.startswith(start) and process.status() != psutil.STATUS_ZOMBIE:
                yield own.removeprefix(start), process
