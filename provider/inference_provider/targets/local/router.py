"""The Router of a workspace of this machine: Envoy, under the workspace's supervisord.

Starts, repairs and ends both, and chooses ports. `compute.py` runs instances; `targets/envoy/`
publishes to Envoy, and says what it serves.
"""

import os
import sys
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import psutil

from inference_provider import __version__
from inference_provider.errors import NotReady, OutOfCapacity, TargetError
from inference_provider.quoting import without_secrets
from inference_provider.router.table import (
    Backend,
    EndpointEntry,
    RouterTable,
    longest_request_s,
)
from inference_provider.spec.logs import LogSettings
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.envoy.connections import refuses
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.drain import drain
from inference_provider.targets.envoy.held import may_wait
from inference_provider.targets.envoy.log_bound import ACCESS_LOG_BYTES
from inference_provider.targets.envoy.serving import Serving
from inference_provider.targets.envoy.spans import traces_to, with_authorities
from inference_provider.targets.listening import (
    ListenAddress,
    absent,
    address_fault,
    bind_fault,
    port_taken,
)
from inference_provider.targets.local import watch
from inference_provider.targets.local.addresses import (
    listeners,
    listens,
    metrics_port,
)
from inference_provider.targets.local.beside import Beside
from inference_provider.targets.local.closed import Closed
from inference_provider.targets.local.compute import UNSUPERVISED
from inference_provider.targets.local.ends import read_endings
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.leftovers import end_processes
from inference_provider.targets.local.locks import workspace_lock
from inference_provider.targets.local.logs import last_lines
from inference_provider.targets.local.machine import (
    MORE_FILES,
    OTHER_FOLDER,
    machine_lock,
    open_files_fault,
    path_fault,
)
from inference_provider.targets.local.supervisor import (
    FILES_GONE,
    ORPHAN_STOP_WAIT_S,
    ProcessState,
    Supervisor,
)
from inference_provider.targets.local.supervisor_rpc import SupervisorGone
from inference_provider.targets.local.supervisor_text import Program
from inference_provider.targets.service_needs import logs_of, metrics_of, traces_of
from inference_provider.workspace.endings import Endings
from inference_provider.workspace.logged import CallQuery
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import RouterAddress, RouterStatus

ROUTER = "router"
"""The router's program name; an instance's cannot be the same, since it contains dots."""

ROUTER_START_TIMEOUT_S = 20.0


Endpoints = Callable[[], tuple[EndpointEntry, ...]]


class LocalRouter:
    """supervisord and router of one workspace."""

    reads_records = False

    def __init__(self, folders: Folders, state: State, closed: Closed) -> None:
        self.folders = folders
        self._state = state
        self._closed = closed
        self.supervisor = Supervisor(folders.supervisor_folder, listener=_listener(folders))
        self.envoy = Delivery(folders.router_folder)
        self.serving = Serving(self.envoy, self._listens, self.runs)
        self.beside = Beside(self.supervisor, folders, state, self.envoy)

    @property
    def listen_address(self) -> ListenAddress:
        """Where the router listens. Raises TargetError when the workspace is not there."""
        address = self.folders.address()
        if address is None:
            raise absent(self.folders.workspace)
        return address

    def address(self) -> RouterAddress:
        return self.listen_address.reached(secure=self._state.speaks_tls())

    # -- what it serves ------------------------------------------------------------------------

    def publish(self, endpoints: tuple[EndpointEntry, ...]) -> None:
        with self.beside.published(endpoints) as found:  # who raises has not changed Envoy
            self.serving.publish(found)

    def metrics(self) -> MetricsSettings | None:
        return metrics_of(self._state)

    def logs(self) -> LogSettings | None:
        return logs_of(self._state)

    def _listens(self) -> RouterTable:
        folder, proxy = str(self.folders.router_folder), self._closed.proxy()
        traces = traces_to(traces_of(self._state), self.folders.workspace)
        table = self.listen_address.table(folder, **self._state.edge(), proxy=proxy, traces=traces)
        return with_authorities(table)

    def in_force(self) -> bool:
        return self.serving.in_force()

    def is_drained(self, deployment: str) -> bool:
        return self.serving.is_drained(deployment)

    def is_connected(self, backends: Collection[Backend]) -> bool:
        return self.serving.is_connected(backends)

    def wait_healthy(self, deployment: str, count: int) -> None:
        self.serving.wait_healthy({deployment: count})

    def calls(self, query: CallQuery) -> list[dict[str, Any]]:
        return self.serving.calls(query)

    def status(self) -> RouterStatus:
        process, said = self._process(), self.serving.status()
        known = {
            "fault": self._fault(process, answers=said.weights is not None) or said.fault,
            **self.beside.said(),
            "runs": process is not None,
            "endings": read_endings(self.supervisor.ends_file).get(ROUTER, Endings()),
            "start_limit_s": int(ROUTER_START_TIMEOUT_S),
        }
        return said.model_copy(update=known)

    def _process(self) -> ProcessState | None:
        try:
            return self.supervisor.process(ROUTER)
        except SupervisorGone:
            return None

    def _fault(self, process: ProcessState | None, *, answers: bool) -> str:
        """Say what is wrong with the router's process; empty when it runs."""
        if answers and process is None:
            return f"the router serves on, {UNSUPERVISED}"
        if not process or not process.runs:
            return "the router does not run"
        if not self.supervisor.can_start_again(ROUTER):
            return f"router: {FILES_GONE}"
        return "the socket of its forward proxy is gone" if self._lets_nobody_out(process) else ""

    def _lets_nobody_out(self, process: ProcessState) -> bool:
        """Whether instances do not find it any more as their forward proxy, which it is."""
        at = self._closed.proxy().socket
        if not self._state.outbound_rules() or Path(at).exists():
            return False
        return listens(process.pid, Backend(host="", port=0, socket=at))

    def runs(self) -> bool:
        """Whether any router takes requests, even one that lost its supervisord."""
        return self.supervisor.is_running() or self.supervisor.orphan(ROUTER) is not None

    # -- start and end -------------------------------------------------------------------------

    def is_up(self) -> bool:
        """Whether supervisord and the router run."""
        process = self._process()
        if process is None or not process.runs or not self.envoy.is_ready():
            return False
        complete = not self.envoy.missing() and self.supervisor.can_start_again(ROUTER)
        return complete and not self._lets_nobody_out(process)

    def ensure_up(self, endpoints: Endpoints) -> None:
        """Start what does not run; orphans of a dead supervisord keep serving meanwhile."""
        if self.is_up():
            if not self.supervisor.has_listener():
                with self._lock("boot"):
                    self.supervisor.ensure_listener()
            self.beside.mend()
            return
        with machine_lock():  # nobody else may choose a port until the router listens on its own
            self.bring_up(endpoints)

    def bring_up(self, endpoints: Endpoints) -> None:
        """As `ensure_up`, for a caller that holds the machine's lock already."""
        for fault, remedy in (
            (path_fault(self.folders), OTHER_FOLDER),
            (open_files_fault(), MORE_FILES),
        ):
            if fault:
                raise TargetError("start", f"workspace '{self.folders.workspace}'", fault, remedy)
        with self._lock("boot"):
            if not self.supervisor.is_running():
                self.supervisor.abandon()
                for name in self.supervisor.names():
                    if self.supervisor.orphan(name):
                        self.supervisor.unlist(name)
                if not self.supervisor.orphan(ROUTER):
                    self._settle_ports()
                    if may_wait(self._write_router_files(endpoints)):
                        self.supervisor.unlist(ROUTER)  # it starts once requests can wait
                self.supervisor.ends_file.unlink(
                    missing_ok=True
                )  # a new supervisord starts counting at 0
                self.supervisor.start()
            self.supervisor.ensure_listener()
            self._ensure_router(endpoints)
            self.beside.mend()

    def _write_router_files(self, endpoints: Endpoints) -> tuple[EndpointEntry, ...]:
        """Write what a router starts with; return that."""
        held, serves = self.beside.held, self.supervisor.orphan(ROUTER) is not None
        with self._lock("state"):
            found = held.settled(endpoints()) if serves else held.at_first(endpoints())
            with held.told(found):
                self.serving.write(found)
        return found

    def _lock(self, name: str) -> AbstractContextManager[None]:
        return workspace_lock(self.folders, name)

    def _ensure_router(self, endpoints: Endpoints) -> None:
        process = self._process()
        if process is not None and self._is_lost(process):
            self.supervisor.remove(ROUTER)
            process = None
        if process is None:
            orphan = self.supervisor.orphan(ROUTER)
            orphan_admin = self.folders.router_folder / "orphan.sock"
            if orphan:
                # The orphan holds the port; SO_REUSEPORT lets the new router share it until then.
                self._refuse_a_shared_port(orphan.pid)
                with suppress(FileNotFoundError):
                    (self.folders.router_folder / "admin.sock").rename(orphan_admin)
            else:
                self._settle_ports()
            self.beside.begin_waiting(self._write_router_files(endpoints))
            self.supervisor.add(self._router_program())
            self._wait_until_router_answers(endpoints)
            if orphan:
                self._retire_orphan(orphan, orphan_admin, endpoints())
            else:
                self._end_if_shared()
        else:
            self._wait_until_router_answers(endpoints)
            self.serving.mend_bootstrap()
            if not self.supervisor.can_start_again(ROUTER):
                self.supervisor.write(self._router_program())

    def _is_lost(self, process: ProcessState) -> bool:
        """Whether a router can only be replaced: nothing starts it, or nothing reaches it.

        A file that was removed from a folder that it watches is written by the next publication.
        """
        if not process.runs or not self.envoy.is_watching() or self._lets_nobody_out(process):
            return True
        admin = str(self.envoy.admin.path)
        return refuses(admin) and listens(process.pid, Backend(host="", port=0, socket=admin))

    @staticmethod
    def _retire_orphan(
        orphan: psutil.Process, admin: Path, endpoints: tuple[EndpointEntry, ...]
    ) -> None:
        """Let a router that outlived its supervisord finish its requests, then end it."""
        with suppress(OSError):
            drain(str(admin), longest_request_s(endpoints))
        end_processes([orphan], ORPHAN_STOP_WAIT_S)
        admin.unlink(missing_ok=True)

    def _wait_until_router_answers(self, endpoints: Endpoints) -> None:
        deadline = time.monotonic() + ROUTER_START_TIMEOUT_S
        while not self.envoy.is_ready():
            process = self.supervisor.process(ROUTER)
            dead = process is None or process.state == "FATAL"
            if dead or time.monotonic() > deadline:
                said = last_lines(self.folders.log_path(ROUTER, ROUTER), 5)
                log = without_secrets(
                    said, tuple(key for entry in endpoints() for key in entry.keys)
                )
                raise NotReady(
                    "start",
                    "the router",
                    f"not ready within {ROUTER_START_TIMEOUT_S:.0f} s: {log}",
                    "read its log; `inferctl doctor` checks the machine",
                )
            time.sleep(0.02)

    def _router_program(self) -> Program:
        self.folders.router_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Program(
            name=ROUTER,
            argv=self.envoy.command(),
            directory=str(self.folders.router_folder),
            log=str(self.folders.log_path(ROUTER, ROUTER)),
        )

    def _settle_ports(self) -> None:
        """Refuse a taken router port; choose a taken metrics port, which no URL has, again.

        Call it under the machine's lock.
        """
        address = self.listen_address
        fault = address_fault(address.host, address.port)
        if fault:
            raise TargetError("start", f"the router of workspace '{self.folders.workspace}'", fault)
        if bind_fault(address.host, address.port):
            raise self._taken()
        if bind_fault("127.0.0.1", address.metrics_port):
            another = metrics_port(self.folders.root, {address.port})
            self.folders.save_address(address.model_copy(update={"metrics_port": another}))

    def _taken(self) -> OutOfCapacity:
        address = self.listen_address
        holds = self.folders.is_recorded  # another router_port needs a new workspace
        other = "run `inferctl down`, then `inferctl up` with" if holds else "give it"
        return port_taken(
            self.folders.workspace,
            f"its router port {address.port} on {address.host} is taken by another process",
            "end that process (`ss -ltnp` names it) and run this again; or "
            f"{other} another router_port (0 picks a free one)",
        )

    def _refuse_a_shared_port(self, own: int) -> None:
        """Refuse a port on which another of this user's processes listens too.

        Envoy listens with SO_REUSEPORT, so the kernel would split the requests between them.
        """
        if listeners(self.listen_address.port) - {own}:
            raise self._taken()

    def _end_if_shared(self) -> None:
        """End a new router whose port another one took at the same moment."""
        router = self.supervisor.processes().get(ROUTER)
        try:
            self._refuse_a_shared_port(router.pid if router else 0)
        except OutOfCapacity:
            self.supervisor.remove(ROUTER)
            raise

    def shut_down(self) -> None:
        """End every process of the workspace, including orphans and what they started."""
        self.supervisor.end_all()


def _listener(folders: Folders) -> tuple[str, ...]:
    """Return the command of supervisord's event listener."""
    files = (folders.supervisor_folder / "ends.json", folders.router_folder / "access.log")
    # neither the environment nor site-packages: it needs nothing but the standard library and us
    program = (sys.executable, "-I", "-S", watch.__file__)
    # relative: it starts in supervisord's folder, whose name may mean something in supervisord.conf
    relative = [os.path.relpath(path, folders.supervisor_folder) for path in files]
    return (*program, *relative, str(ACCESS_LOG_BYTES), "..", __version__)
