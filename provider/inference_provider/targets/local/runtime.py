"""What runs of one workspace: its supervisord and, under it, its router.

Starts them, mends them, changes what the router serves, ends them. Instances are `rollout.py`'s.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from inference_provider.errors import NotReady, OutOfCapacity, TargetError, TargetUnreachable
from inference_provider.quoting import without_secrets
from inference_provider.targets.local import watch
from inference_provider.targets.local.addresses import (
    address_fault,
    is_free,
    listeners,
    metrics_port,
)
from inference_provider.targets.local.endings import Endings, read_endings
from inference_provider.targets.local.known import router_secrets
from inference_provider.targets.local.leftovers import end_processes
from inference_provider.targets.local.machine import (
    MORE_FILES,
    OTHER_FOLDER,
    machine_lock,
    open_files_fault,
    path_fault,
)
from inference_provider.targets.local.router import EnvoyRouter
from inference_provider.targets.local.router_admin import RouterAdmin
from inference_provider.targets.local.routes import router_table
from inference_provider.targets.local.store import RouterAddress, Store
from inference_provider.targets.local.supervisor import (
    ORPHAN_STOP_WAIT_S,
    Program,
    Supervisor,
)

ROUTER = "router"
"""The router's program name; no instance's, which all have dots."""

ROUTER_START_TIMEOUT_S = 20.0

LOG_TAIL_BYTES = 100_000
"""Of a log, for the lines that an error quotes; a line may be long."""

ACCESS_LOG_BYTES = 64_000_000

ORPHAN_DRAIN_S = 15.0
"""Longest wait for the last request of a router that is replaced."""


class Runtime:
    """supervisord and router of one workspace."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.supervisor = Supervisor(store.supervisor_folder, listener=_listener(store))
        self._ends_file = _ends_file(store)
        self.router = EnvoyRouter(store.router_folder)

    def endings(self) -> dict[str, Endings]:
        """Return how often each program ended by itself."""
        return read_endings(self._ends_file)

    @property
    def address(self) -> RouterAddress:
        """Where the router listens. Raises TargetError when the workspace is not there."""
        address = self.store.address()
        if address is None:
            raise TargetError(
                "use", f"workspace '{self.store.workspace}'", "it is not there", "declare it first"
            )
        return address

    def is_up(self) -> bool:
        """Whether supervisord and the router run."""
        process = self.supervisor.processes().get(ROUTER)
        running = process is not None and process.state in ("RUNNING", "STARTING")
        return running and self.router.is_ready()

    def ensure_up(self) -> None:
        """Start what does not run; orphans of a dead supervisord go on serving meanwhile."""
        if self.is_up():
            self.supervisor.ensure_listener()
            return
        with machine_lock():  # nobody else chooses a port before the router listens on its own
            self.bring_up()

    def bring_up(self) -> None:
        """Do the same under the machine's lock, which the caller holds."""
        for fault, remedy in (
            (path_fault(self.store), OTHER_FOLDER),
            (open_files_fault(), MORE_FILES),
        ):
            if fault:
                raise TargetError("start", f"workspace '{self.store.workspace}'", fault, remedy)
        with self.store.lock("boot"):
            if not self.supervisor.is_running():
                for name in self.supervisor.names():
                    if self.supervisor.orphan(name):
                        self.supervisor.unlist(name)
                if not self.supervisor.orphan(ROUTER):
                    self._settle_ports()
                    self._write_router_files()
                self._ends_file.unlink(missing_ok=True)  # a new supervisord starts counting at 0
                self.supervisor.start()
            self.supervisor.ensure_listener()
            self._ensure_router()

    def _write_router_files(self) -> None:
        with self.store.lock():
            self.router.write_all(router_table(self.store, self.address))

    def _ensure_router(self) -> None:
        process = self.supervisor.processes().get(ROUTER)
        if process is None:
            orphan = self.supervisor.orphan(ROUTER)
            orphan_admin = self.store.router_folder / "orphan.sock"
            if orphan:
                # It holds the port; SO_REUSEPORT lets the new one listen beside it until it ends.
                self._refuse_a_shared_port(orphan.pid)
                with suppress(FileNotFoundError):
                    (self.store.router_folder / "admin.sock").rename(orphan_admin)
            else:
                self._settle_ports()
            self._write_router_files()
            self.supervisor.add(self._router_program())
            self._wait_until_router_answers()
            if orphan:
                self._retire_orphan(orphan, orphan_admin)
            else:
                self._end_if_shared()
        else:
            self._wait_until_router_answers()

    def _retire_orphan(self, orphan: psutil.Process, admin: Path) -> None:
        """Let a router that outlived its supervisord finish, then end it."""
        with suppress(TargetUnreachable):
            RouterAdmin(admin).post("/drain_listeners?graceful&skip_exit")
            deadline = time.monotonic() + ORPHAN_DRAIN_S
            while time.monotonic() < deadline and _serves(orphan, self.address.port):
                time.sleep(0.05)
        end_processes([orphan], ORPHAN_STOP_WAIT_S)
        admin.unlink(missing_ok=True)

    def _wait_until_router_answers(self) -> None:
        deadline = time.monotonic() + ROUTER_START_TIMEOUT_S
        while not self.router.is_ready():
            process = self.supervisor.process(ROUTER)
            dead = process is None or process.state == "FATAL"
            if dead or time.monotonic() > deadline:
                said = last_lines(self.store.log_path(ROUTER, ROUTER), 5)
                log = without_secrets(said, router_secrets(self.store))
                raise NotReady(
                    "start",
                    "the router",
                    f"not ready within {ROUTER_START_TIMEOUT_S:.0f} s: {log}",
                    "read its log; `inferctl doctor` checks the machine",
                )
            time.sleep(0.02)

    def _router_program(self) -> Program:
        self.store.router_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Program(
            name=ROUTER,
            argv=self.router.command(),
            directory=str(self.store.router_folder),
            log=str(self.store.log_path(ROUTER, ROUTER)),
        )

    def _settle_ports(self) -> None:
        """Refuse a router port that is taken; choose the metrics port, which no URL has, again.

        Call it under the machine's lock.
        """
        address = self.address
        fault = address_fault(address.host, address.port)
        if fault:
            raise TargetError("start", f"the router of workspace '{self.store.workspace}'", fault)
        if not is_free(address.host, address.port):
            raise self._taken()
        if not is_free("127.0.0.1", address.metrics_port):
            another = metrics_port(self.store.root, {address.port})
            self.store.save_address(address.model_copy(update={"metrics_port": another}))

    def _taken(self) -> OutOfCapacity:
        address = self.address
        holds = bool(self.store.records())  # a new router_port needs the workspace recreated
        return OutOfCapacity(
            "start",
            f"the router of workspace '{self.store.workspace}'",
            f"its router port {address.port} on {address.host} is taken by another process",
            "end that process (`ss -ltnp` names it) and run this again; or "
            + ("run `inferctl down`, then `inferctl up` with" if holds else "give it")
            + " another router_port (0 picks a free one)",
        )

    def _refuse_a_shared_port(self, own: int) -> None:
        """Refuse a port on which another process of this user listens too.

        Envoy listens with SO_REUSEPORT: the kernel would hand each a part of the requests.
        """
        if listeners(self.address.port) - {own}:
            raise self._taken()

    def _end_if_shared(self) -> None:
        """End a new router whose port another one took in the same moment."""
        router = self.supervisor.processes().get(ROUTER)
        try:
            self._refuse_a_shared_port(router.pid if router else 0)
        except OutOfCapacity:
            self.supervisor.remove(ROUTER)
            raise

    def runs(self) -> bool:
        """Whether anything runs that serves requests; a router without its supervisord does."""
        return self.supervisor.is_running() or self.supervisor.orphan(ROUTER) is not None

    def withdraw(self) -> None:
        """Take from the router what the records no longer say; a later start reads all of them."""
        if self.runs():
            self.converge()

    def converge(self) -> None:
        """Make the router serve what the records say. Call it under the state lock.

        Raises:
            RouterRejected: The old configuration stays in force.
        """
        self.router.converge(router_table(self.store, self.address))

    def shut_down(self) -> None:
        """End every process of the workspace, orphans and what they started too."""
        self.supervisor.end_all()


def _ends_file(store: Store) -> Path:
    return store.supervisor_folder / "ends.json"


def _listener(store: Store) -> tuple[str, ...]:
    """Return the command of the program that takes supervisord's events."""
    files = (_ends_file(store), store.router_folder / "access.log")
    # Neither the environment nor site-packages: it imports nothing but the standard library.
    program = (sys.executable, "-I", "-S", watch.__file__)
    # relative: it starts in supervisord's folder, whose name may mean something in supervisord.conf
    relative = [os.path.relpath(path, store.supervisor_folder) for path in files]
    return (*program, *relative, str(ACCESS_LOG_BYTES))


def _serves(process: psutil.Process, port: int) -> bool:
    """Whether a process has a connection on a port that it listens on."""
    try:
        connections = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(c.laddr.port == port and c.status == psutil.CONN_ESTABLISHED for c in connections)


def last_lines(log: Path, count: int) -> str:
    """Return the last lines of a log, for an error message; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])
