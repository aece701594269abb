"""Locks of a workspace on a Docker host, against threads, other processes and other machines.

A lock is a container, never started, whose name is the lock's: the Engine makes only one of a name.
Its labels say who holds it. The lock of a process that has certainly ended is taken over. Of one on
another machine that is not known, and no age tells it: a build takes an hour, and a laptop that
sleeps goes on when it wakes. So a person is told who holds it, and how to remove it.
"""

import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil

from inference_provider.errors import Busy
from inference_provider.targets.docker import names
from inference_provider.targets.docker.autoscaler_run import (
    has_ended,
    own_role,
    this_run,
)
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.library import errors
from inference_provider.targets.shared_locks import WAIT_S, AmongThreads, Pauses, told

_LEFT: set[str] = set()
"""Which takings of this process failed: a host that fell silent may still have their containers,
and those name a process that runs."""
_RUNS = {names.AUTOSCALER: names.RUN, names.WEB: names.WEB_RUN}
"""By which label the lock of a container says which run of it has it."""
_OUTSIDE = "pid:[4026531836]"
"""Where Linux numbers the processes that are in no container."""


class HostLocks:
    """The locks of one workspace."""

    def __init__(self, host: DockerHost, workspace: str) -> None:
        self._host = host
        self._workspace = workspace
        self._threads = AmongThreads()

    @contextmanager
    def lock(self, name: str, wait_s: float | None = None, who: str = "") -> Iterator[None]:
        """Hold one lock.

        Args:
            name: Which.
            wait_s: Longest wait, seconds; WAIT_S when None.
            who: Who holds it, for those that wait.

        Raises:
            Busy: Somebody else has it for that long.
        """
        limit_s = WAIT_S if wait_s is None else wait_s
        pauses = Pauses(time.monotonic() + limit_s)
        taking = uuid.uuid4().hex
        with self._threads.taken(name, limit_s, partial(self._busy, name)):
            try:
                container = self._taken(name, pauses, {names.OWNER: who, names.TAKING: taking})
                try:
                    yield
                finally:
                    self._host.remove(container)
            except BaseException:
                _LEFT.add(taking)
                raise

    def _taken(self, name: str, pauses: Pauses, noted: Mapping[str, str]) -> str:
        """Return the id of the container that stands for the lock, once there is none of others."""
        called = names.lock(self._workspace, name)
        while True:
            made = self._made(called, noted)
            if made:
                return made
            held = self._host.container(called)
            if held is not None and self._is_abandoned(held["Config"]["Labels"]):
                self._host.remove(held["Id"])  # by id: another may have taken it over by now
                continue
            if pauses.over:
                labels = (held or {}).get("Config", {}).get("Labels") or {}
                raise self._busy(name, _told(name, labels))
            pauses.pause()

    def sweep(self) -> None:
        """Remove the locks, of all workspaces, that processes left which have certainly ended."""
        for container in self._host.containers({"label": f"{names.ROLE}={names.LOCK}"}):
            if self._is_abandoned(container["Labels"]):
                self._host.remove(container["Id"])

    def _is_abandoned(self, labels: Mapping[str, str]) -> bool:
        """Whether who holds a lock has certainly ended."""
        if labels.get(names.TAKING) in _LEFT:
            return True
        for role, label in _RUNS.items():
            if run := labels.get(label):
                return has_ended(self._host, labels[names.WORKSPACE], role, run)
        return is_abandoned(labels.get(names.HOLDER, ""), this_process())

    def _made(self, called: str, noted: Mapping[str, str]) -> str | None:
        labels = names.labels(
            self._workspace,
            names.LOCK,
            **{
                names.HOLDER: str(this_process()),
                names.SINCE: datetime.now(UTC).isoformat(timespec="seconds"),
                **self._run(),
                **noted,
            },
        )
        with self._host.asked("lock", f"workspace '{self._workspace}'") as api:
            try:
                made = api.create_container(names.EMPTY, ["-"], name=called, labels=labels)
            except errors().APIError as refused:
                if refused.status_code == 409:  # the name is taken
                    return None
                raise
        return str(made["Id"])

    def _run(self) -> Mapping[str, str]:
        """Return the label of a lock that a container takes which has the Engine's socket."""
        role = own_role()
        return {_RUNS[role]: this_run(self._host, self._workspace)} if role else {}

    def _busy(self, name: str, reason: str) -> Busy:
        container = names.lock(self._workspace, name)
        remedy = (
            "wait for that to end and run this again; if it ended without releasing its lock:"
            f" docker rm {container}"
        )
        return Busy("change", f"workspace '{self._workspace}'", reason, remedy)


class Holder(NamedTuple):
    """A process that holds a lock, as the lock's label names it."""

    machine: str
    """Its name, for a person. Two machines may share it."""
    boot: str
    """Of which start of its machine; differs between any two machines."""
    process: str
    started: str
    """When that process started: its number is used again. On Linux it moves with the clock."""
    numbered_by: str = "-"
    """The namespace that process numbers belong to; each container has its own."""
    machine_id: str = "-"
    """Stays when the machine is started again; `-` where there is none."""
    ticks: str = "-"
    """When it started by the machine's uptime; `-` if not known. Older releases note none."""

    def __str__(self) -> str:
        return " ".join(self)


def this_process() -> Holder:
    """Return this process as a holder."""
    return Holder(
        machine=socket.gethostname() or "-",
        boot=_text_of("/proc/sys/kernel/random/boot_id") or str(int(psutil.boot_time())),
        process=str(os.getpid()),
        started=str(psutil.Process().create_time()),
        numbered_by=_namespace(),
        machine_id=_text_of("/etc/machine-id") or "-",
        ticks=_ticks("self"),
    )


def is_abandoned(held: str, mine: Holder) -> bool:
    """Whether the process that a label names has certainly ended.

    That is known of a process whose number means the same here, and, outside containers, of every
    process of this machine from before it was started last. Of any other it is not known.
    """
    parts = held.split(" ")
    if len(parts) not in (len(mine) - 1, len(mine)):
        return False
    theirs = Holder(*parts)
    if theirs.boot != mine.boot:
        # containers of one image share an id and may share a name
        outside = theirs.numbered_by == mine.numbered_by == _OUTSIDE
        same = (theirs.machine_id, theirs.machine) == (mine.machine_id, mine.machine)
        return outside and same and mine.machine_id != "-"
    return theirs.numbered_by == mine.numbered_by and _has_ended(theirs)


def _has_ended(holder: Holder) -> bool:
    """Whether a process whose number means the same here has certainly ended."""
    try:
        os.kill(int(holder.process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # of another user
    except (ValueError, OverflowError):
        return False  # no label of ours
    if _ticks("self") != "-":  # then a time of day is no proof: the clock may have been set
        ticks = _ticks(holder.process)
        return "-" not in (ticks, holder.ticks) and ticks != holder.ticks
    try:
        return str(psutil.Process(int(holder.process)).create_time()) != holder.started
    except psutil.Error:
        return False


def _ticks(process: str) -> str:
    """Return when a process started, in ticks since the machine did; `-` where none can see it."""
    try:
        said = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return "-"
    return said.rpartition(b")")[2].split()[19].decode()  # its name may have spaces


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "-"


def _text_of(path: str) -> str:
    try:
        return "".join(Path(path).read_text().split())
    except OSError:
        return ""


def _told(name: str, labels: Mapping[str, str]) -> str:
    machine, _boot, process, *_ = (labels.get(names.HOLDER) or "- - -").split(" ")
    since, who = labels.get(names.SINCE, "now"), labels.get(names.OWNER, "")
    return told(name, process, machine, since, who)
