"""supervisord of one workspace, over its Unix socket.

One program per process (changing a group would restart all of it), and one file per program.
Programs are started through `launch.py`, which reads command and environment from a 0600 file, so
no secret is in supervisord's configuration or visible in `ps`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from inference_provider.errors import NotReady, TargetError, TargetUnreachable
from inference_provider.observed import Frozen
from inference_provider.targets.asked_once import AskedOnce
from inference_provider.targets.local.leftovers import (
    MARK_VARIABLE,
    end_leftovers,
    end_processes,
    find_process,
    lives,
    mark,
)
from inference_provider.targets.local.orphans import daemons, note_programs
from inference_provider.targets.local.supervisor_rpc import (
    RPC_TIMEOUT_S,
    Faults,
    SupervisorGone,
    SupervisorSocket,
)
from inference_provider.targets.local.supervisor_text import (
    LISTENER,
    LOG_OPTION,
    Program,
    daemon_configuration,
    is_the_same,
    listener_configuration,
    program_configuration,
)
from inference_provider.targets.private_file import make_folder, write_private

SUPERVISORD = (sys.executable, "-P", "-m", "supervisor.supervisord")
"""-P: no file of the current folder can shadow a module."""

DAEMON_START_TIMEOUT_S = 30.0
START_TIMEOUT_S = 10.0
SHUTDOWN_TIMEOUT_S = 200.0
"""Seconds; a program may take 185: the longest request that a deployment may allow, and 5 s."""
ORPHAN_STOP_WAIT_S = 10.0
LISTENER_STOP_WAIT_S = 5.0

FILES_GONE = "the files from which it is started again are gone"
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "USER")
"""Variables that a process inherits from the caller; the rest may hold the caller's secrets."""


class ProcessState(Frozen):
    """One program as supervisord sees it."""

    name: str
    state: str
    """supervisord's own state name: RUNNING, STARTING, BACKOFF, FATAL, EXITED, STOPPED."""
    pid: int

    @property
    def runs(self) -> bool:
        """Whether it runs or starts."""
        return self.state in ("RUNNING", "STARTING")


class Supervisor:
    """Starts, queries and ends one workspace's supervisord."""

    def __init__(
        self,
        folder: Path,
        answer_timeout_s: float = RPC_TIMEOUT_S,
        listener: tuple[str, ...] = (),
    ) -> None:
        """Prepare to use a folder's supervisord; `listener` is its event listener's command."""
        self._folder = folder
        self.ends_file = folder / "ends.json"
        """How often each program ended by itself, as the listener counts."""
        self._listener = listener
        self._processes = AskedOnce(self._ask_for_processes)
        self._programs = folder / "programs"
        self._rpc = SupervisorSocket(folder, answer_timeout_s)

    # -- the daemon ----------------------------------------------------------------------------

    def is_running(self) -> bool:
        """Whether it answers. Raises TargetUnreachable when it is alive but does not."""
        try:
            self._rpc.call(lambda rpc: rpc.getState())
        except SupervisorGone:
            return False
        return True

    def start(self) -> None:
        """Start the daemon, with all its programs, unless it runs."""
        if self.is_running():
            return
        make_folder(self._programs)
        self._rpc.path.unlink(missing_ok=True)
        self._write_configuration()
        self._make_log_folders()
        try:
            done = subprocess.run(
                [*SUPERVISORD, "-c", str(self._folder / "supervisord.conf")],
                env=clean_environment(),
                cwd=self._folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=DAEMON_START_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as late:
            waited = f"not within {DAEMON_START_TIMEOUT_S:.0f} s"
            raise NotReady("start", "supervisord", waited, "run this again") from late
        if done.returncode != 0:
            raise TargetError("start", "supervisord", (done.stderr or done.stdout).strip()[-400:])
        self._wait_for(self.is_running, "supervisord to answer")

    def _write_configuration(self) -> None:
        write_private(self._folder / "supervisord.conf", self._configuration())

    def _configuration(self) -> str:
        listener = listener_configuration(self._listener) if self._listener else ""
        return daemon_configuration() + listener

    def has_listener(self) -> bool:
        """Whether the event listener of this release runs, whose Python it may be."""
        if not self._listener:
            return True
        process = self.process(LISTENER) if self._is_written() else None
        return process is not None and process.runs

    def ensure_listener(self) -> None:
        """Give a daemon that an older release started the event listener of this one.

        Nobody else may do so meanwhile.
        """
        if self.has_listener():
            return
        self._write_configuration()
        self._stop(LISTENER)
        self._wait_until_stopped([LISTENER], LISTENER_STOP_WAIT_S)
        self._drop(LISTENER)
        self._reload()
        self._rpc.call(lambda rpc: rpc.addProcessGroup(LISTENER), Faults.ALREADY_ADDED)

    def _is_written(self) -> bool:
        try:
            written = (self._folder / "supervisord.conf").read_text()
        except FileNotFoundError:
            return False
        return is_the_same(written, self._configuration())

    def shutdown(self) -> None:
        """End the daemon and every program; return when it is gone, which happens last.

        If it is killed meanwhile, its programs live on as orphans.
        """
        running = [daemon.pid for daemon in daemons(self._folder)]
        with suppress(SupervisorGone):
            self._rpc.call(lambda rpc: rpc.shutdown(), Faults.SHUTDOWN_STATE)
        self._wait_for(
            lambda: not any(map(lives, running)),
            f"supervisord (process {', '.join(map(str, running))}) and its programs to end",
            SHUTDOWN_TIMEOUT_S,
        )

    def abandon(self) -> None:
        """Kill a daemon whose socket is gone; its programs live on as orphans, each with a note.

        Asked to end, it would end them too.
        """
        lost = daemons(self._folder)
        for daemon in lost:
            with suppress(psutil.Error):
                daemon.kill()
        psutil.wait_procs(lost, START_TIMEOUT_S)
        note_programs(self._folder, self._pid_path("any").parent)

    def end_all(self) -> None:
        """End the daemon, every program, orphans, and everything they started."""
        if self.is_running():
            self.shutdown()
        else:
            self.abandon()
        notes = list(self._pid_path("any").parent.glob("*"))
        orphans = [find_process(note) for note in notes]
        end_processes([one for one in orphans if one], ORPHAN_STOP_WAIT_S)
        end_leftovers(notes, {mark(self._folder)})

    def _daemon_pid(self) -> int | None:
        return self._rpc.daemon_pid()

    # -- programs ------------------------------------------------------------------------------

    def processes(self) -> dict[str, ProcessState]:
        """Return every program by name, in one call; empty when the daemon is not running."""
        try:
            return self._processes()
        except SupervisorGone:
            return {}

    def process_among_all(self, name: str) -> ProcessState | None:
        """Return one program as `process`; threads that wait for many share each question."""
        return self._processes().get(name)

    def _ask_for_processes(self) -> dict[str, ProcessState]:
        found = self._rpc.call(lambda rpc: rpc.getAllProcessInfo())
        return {item["name"]: _process_state(item) for item in found if item["name"] != LISTENER}

    def process(self, name: str) -> ProcessState | None:
        """Return one program; None when there is none. Raises SupervisorGone without a daemon."""
        found = self._rpc.call(lambda rpc: rpc.getProcessInfo(name), Faults.BAD_NAME)
        return _process_state(found) if found else None

    def has(self, name: str) -> bool:
        """Whether there is a program of this name, without asking supervisord."""
        return (self._programs / f"{name}.conf").exists()

    def can_start_again(self, name: str) -> bool:
        """Whether the files are there from which a program is started when it ends."""
        return self.has(name) and self.order_file(name).exists()

    def add(self, program: Program) -> None:
        """Add a program and start it; does nothing when it exists."""
        self.write(program)
        self._reload()
        self._rpc.call(lambda rpc: rpc.addProcessGroup(program.name), Faults.ALREADY_ADDED)
        self._rpc.call(
            lambda rpc: rpc.startProcess(program.name, False),
            Faults.ALREADY_STARTED,
            Faults.SPAWN_ERROR,
        )

    def write(self, program: Program) -> None:
        """Add a program without starting it."""
        make_folder(Path(program.log).parent)
        known_by = {MARK_VARIABLE: mark(self._folder, program.name)}
        order = {
            "argv": program.argv,
            "environment": {**clean_environment(), **program.environment, **known_by},
            "directory": program.directory,
            "content": program.content,
            "connections": program.connections,
            "name": program.name,
            "first_values": program.first_values,
            "network": program.network,
            "pid_file": str(self._pid_path(program.name)),
        }
        write_private(self.order_file(program.name), json.dumps(order))
        configuration = program_configuration(program, self._folder)
        write_private(self._programs / f"{program.name}.conf", configuration)

    def order_file(self, name: str) -> Path:
        """Return the file from which a program is started."""
        return self._folder / "launch" / f"{name}.json"

    def remove(self, *names: str, stop_wait_s: float = 30.0) -> None:
        """End programs, orphans included, with everything they started; remove their files.

        Args:
            names: Names of programs; one that does not exist is skipped.
            stop_wait_s: Seconds between SIGTERM and SIGKILL; or the program's `stop_wait_s`, if
                shorter.
        """
        there = self.processes().keys() & set(names)
        for name in there:
            self._stop(name)
        self._wait_until_stopped(there, stop_wait_s)
        orphans = [self.orphan(name) for name in {*names} - there]
        end_processes([one for one in orphans if one], stop_wait_s)
        end_leftovers(map(self._pid_path, names), {mark(self._folder, name) for name in names})
        for name in there:
            self._drop(name)
        for name in names:
            self.forget(name)
        if there:
            self._reload()

    def forget(self, name: str) -> None:
        """Remove a program's files; its process keeps running."""
        (self._programs / f"{name}.conf").unlink(missing_ok=True)
        self.order_file(name).unlink(missing_ok=True)
        self._pid_path(name).unlink(missing_ok=True)

    def unlist(self, name: str) -> None:
        """Keep the next daemon from starting a program whose process lives on as an orphan."""
        (self._programs / f"{name}.conf").unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all programs, orphans of a dead supervisord included."""
        listed = {path.stem for path in self._programs.glob("*.conf")}
        noted = {path.name for path in self._pid_path("any").parent.glob("*")}
        return sorted(listed | {name for name in noted - listed if self.orphan(name)})

    def _stop(self, name: str) -> None:
        self._rpc.call(
            lambda rpc: rpc.stopProcess(name, False), Faults.BAD_NAME, Faults.NOT_RUNNING
        )

    def _drop(self, name: str) -> None:
        self._rpc.call(lambda rpc: rpc.removeProcessGroup(name), Faults.BAD_NAME)

    def _wait_until_stopped(self, names: Collection[str], stop_wait_s: float) -> None:
        what = f"{', '.join(sorted(names))} to stop"
        try:
            self._wait_for(lambda: all(map(self._is_stopped, names)), what, stop_wait_s)
        except NotReady:
            for name in names:
                self._kill(name)
            self._wait_for(lambda: all(map(self._is_stopped, names)), what)

    def _kill(self, name: str) -> None:
        """Kill a program's process group at once."""
        process = self.process(name)
        if process and process.pid:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _is_stopped(self, name: str) -> bool:
        process = self.process(name)
        return process is None or process.state in ("STOPPED", "EXITED", "FATAL")

    # -- orphans -------------------------------------------------------------------------------

    def _pid_path(self, name: str) -> Path:
        return self._folder / "pids" / name

    def orphan(self, name: str) -> psutil.Process | None:
        """Return a program's process that outlived supervisord, found by pid and start time."""
        return find_process(self._pid_path(name))

    def _reload(self) -> None:
        try:
            self._rpc.call(lambda rpc: rpc.reloadConfig())
        except TargetUnreachable:
            raise
        except TargetError:  # it reads no program while the folder of one log is missing
            self._make_log_folders()
            self._rpc.call(lambda rpc: rpc.reloadConfig())

    def _make_log_folders(self) -> None:
        """Make the folders of all programs' logs, which a person may have removed."""
        for path in self._programs.glob("*.conf"):
            for line in path.read_text().splitlines():
                if line.startswith(LOG_OPTION):
                    make_folder((self._folder / line.removeprefix(LOG_OPTION)).parent)

    def _wait_for(
        self, condition: Callable[[], bool], what: str, timeout_s: float = START_TIMEOUT_S
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise NotReady("wait for", what, f"not within {timeout_s:.0f} s")
            time.sleep(0.02)


def _process_state(item: dict[str, Any]) -> ProcessState:
    return ProcessState(name=item["name"], state=item["statename"], pid=item["pid"])


def clean_environment() -> dict[str, str]:
    """Return the part of the caller's environment that a served process may see."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
