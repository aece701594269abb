"""A workspace's first `up`: all of it, or nothing.

Until its record is written a workspace is nobody's: what an `up` that was cut short left running
has no owner, and the port it chose was never in a URL that somebody was given.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from inference_provider.errors import InferenceError
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.local.addresses import choose_address
from inference_provider.targets.local.leftovers import end_processes
from inference_provider.targets.local.machine import machine_lock
from inference_provider.targets.local.runtime import Runtime
from inference_provider.targets.local.store import Store

DAEMON_WAIT_S = 10.0
"""Between SIGTERM and SIGKILL of a supervisord that does not answer; its router ends sooner."""


@contextmanager
def first_up(runtime: Runtime, spec: WorkspaceSpec) -> Iterator[bool]:
    """Start a workspace of which nothing is recorded; undone when the block raises.

    Yields:
        Whether it is one; the machine's lock is held then until the block, which records it, ends.
    """
    if runtime.store.records():
        yield False
        return
    with machine_lock():
        if runtime.store.records():  # another process has made it in the meantime
            yield False
            return
        with _started(runtime, spec):
            yield True


@contextmanager
def _started(runtime: Runtime, spec: WorkspaceSpec) -> Iterator[None]:
    clear_away(runtime)
    try:
        store = runtime.store
        store.save_address(choose_address(store.root, spec.bind_address, spec.router_port))
        runtime.bring_up()
        yield
    except BaseException:
        with suppress(InferenceError, OSError):  # the first error is the one to report
            clear_away(runtime)
        raise


def clear_away(runtime: Runtime) -> None:
    """End and forget what a first `up` left; its logs, which say why, stay."""
    folder = runtime.store.folder
    if not folder.exists():
        return
    with suppress(InferenceError):  # a supervisord that does not answer is ended by its process
        runtime.shut_down()
    end_processes(_daemons(folder), DAEMON_WAIT_S)
    runtime.shut_down()  # the router, where its supervisord could not end it
    for started in (runtime.store.supervisor_folder, runtime.store.router_folder):
        shutil.rmtree(started, ignore_errors=True)
    name = runtime.store.workspace
    runtime.store.drop_record(ResourceId(kind=Kind.WORKSPACE, workspace=name, name=name))
    runtime.store.drop_address()


def delete_unrecorded(runtime: Runtime) -> None:
    """End and remove a workspace of which nothing is recorded: it is nobody's."""
    if not runtime.store.folder.exists():
        return
    with machine_lock():
        if not runtime.store.records():
            clear_away(runtime)
            runtime.store.remove()


def unrecorded(root: Path) -> list[str]:
    """Return the workspaces that are not written down and whose supervisord runs."""
    notes = (root / "workspaces").glob("*/supervisor/supervisord.pid")
    folders = [note.parents[1] for note in notes]
    unknown = [folder for folder in folders if not Store(root, folder.name).exists]
    return [folder.name for folder in unknown if _daemons(folder)]


def _daemons(folder: Path) -> list[psutil.Process]:
    """Return every supervisord of a workspace, by how its command ends: its note may be missing.

    Only this user's: anybody may start a process with such a command.
    """
    started = ["-c", str(folder / "supervisor" / "supervisord.conf")]
    return [
        process
        for process in psutil.process_iter(["cmdline", "uids"])
        if (process.info["cmdline"] or [])[-2:] == started
        and process.info["uids"].real == os.getuid()
    ]
