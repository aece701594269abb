"""A deployment that answers in the foreground, and its next form that takes over from it."""

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from pydantic import SecretStr

from inference_provider.errors import Fault, NotReady, SpecError, TargetError
from inference_provider.router.holding import SOCKET
from inference_provider.router.table import Backend
from inference_provider.serving.command import InstanceCommand, instance_command
from inference_provider.serving.environments import build_environment
from inference_provider.serving.script_check import refuse_invalid_script
from inference_provider.serving.server import ServerKind, server_of
from inference_provider.spec import EnvironmentSpec
from inference_provider.targets.listening import (
    METRICS_PORTS,
    ROUTER_PORTS,
    bind_fault,
    in_order,
)
from inference_provider.targets.local.addresses import INSTANCE_PORTS, free_ports
from inference_provider.targets.local.foreground.choice import Choice
from inference_provider.targets.local.foreground.front import Front
from inference_provider.targets.local.foreground.process import ForegroundProcess
from inference_provider.targets.local.machine import SOCKET_PATH_LIMIT
from inference_provider.targets.local.surroundings import surroundings
from inference_provider.targets.loopback import answers

LOOPBACK = "127.0.0.1"
ROUTER = "router"
DEBUGGER = "debugpy>=1.8,<2"
_POLL_S = 0.05
_LAST_REQUEST_S = 5.0
"""Longest wait, at the end of all, for the request that is answered."""


@dataclass(frozen=True)
class Debugger:
    """Where a debugger may attach, by the Debug Adapter Protocol."""

    port: int
    """Of 127.0.0.1."""
    wait: bool
    """Whether the script is imported only once a debugger is there."""


@dataclass(frozen=True)
class _Running:
    choice: Choice
    process: ForegroundProcess
    backend: Backend


class Served:
    """What answers; nothing at first.

    Args:
        folder: Its own, with a short path, for sockets; the caller removes it.
        environments: Folder of the virtual environments that `up` on this machine builds too.
        port: The router's, on 127.0.0.1; 0 for any.
        key: Its callers' key; a new one when empty.
        debugger: None where none may attach.
        tell: Gets one line for each step.

    Raises:
        TargetError: The port is taken, or the folder's path is too long.
        OutOfCapacity: No port is free.
    """

    def __init__(
        self,
        folder: Path,
        environments: Path,
        *,
        port: int,
        key: str,
        debugger: Debugger | None,
        tell: Callable[[str], None],
    ) -> None:
        _refuse_long_path(folder)
        self._folder, self._environments, self._tell = folder, environments, tell
        self._debugger = debugger
        self.port = self._checked(port, "--port")
        if debugger:
            self._checked(debugger.port, "--debugpy")
        self.key = SecretStr(key or secrets.token_urlsafe(24))
        self._front = Front(
            folder / ROUTER,
            host=LOOPBACK,
            port=self.port,
            metrics_port=self._free(METRICS_PORTS),
            key=self.key,
            patient=debugger is not None,
        )
        self._numbers = count()
        self._running: _Running | None = None

    @property
    def answers(self) -> bool:
        """Whether anything answers."""
        return self._running is not None

    def url(self, choice: Choice) -> str:
        """Return the address that is scored."""
        return f"http://{LOOPBACK}:{self.port}/endpoints/{choice.endpoint.spec.name}/score"

    def serve(self, choice: Choice) -> None:
        """Let a deployment answer from now on, in place of the one before.

        Raises:
            TargetError: Its environment cannot be built, or its script is not valid.
            NotReady: It ended, or did not answer in time.

        What answered before does so still, unless a debugger may attach, or it has ended.
        """
        if self._debugger:
            refuse_debugger(choice)
        venv = self._environment(choice)
        self._check_script(choice, venv)
        if self._debugger:  # both would want its port
            self._end_running(_stop_wait_s(choice))
        begun = self._begin(choice, venv)
        try:
            self._wait_ready(begun)
            self._front.show(choice, begun.backend)
        except BaseException:
            begun.process.end(0)
            raise
        self._end_running(_stop_wait_s(choice))
        self._running = begun

    def ended(self) -> str:
        """Say how the server ended by itself, once; empty while it runs.

        Raises:
            NotReady: The router has ended.
        """
        if ended := self._front.ended():
            reason = f"it ended by itself ({ended})"
            raise NotReady("run", "the router", reason, "start `inferctl serve` again")
        self._front.tidy()
        ended = self._running.process.ended() if self._running else ""
        if ended:
            self._end_running(0)
        return ended

    def end(self) -> None:
        """End all of it; the request that is answered has a few seconds."""
        self._end_running(_LAST_REQUEST_S)
        self._front.end(_LAST_REQUEST_S)

    def _end_running(self, wait_s: float) -> None:
        if self._running:
            self._running.process.end(wait_s)
            self._running = None

    def _checked(self, wanted: int, option: str) -> int:
        """Return a port that a person wants, or for 0 a free one."""
        if not wanted:
            return self._free(ROUTER_PORTS)
        if fault := bind_fault(LOOPBACK, wanted):
            reason = f"port {wanted} cannot be listened on: {fault.strerror}"
            remedy = f"pass {option} with another, or end what listens there"
            raise TargetError("serve on", option, reason, remedy)
        return wanted

    def _free(self, ports: Sequence[int]) -> int:
        # by the folder's name: two runs that begin at once do not begin with the same port
        [found] = free_ports(1, in_order(ports, str(self._folder)), set())
        return found

    # -- a start -------------------------------------------------------------------------------

    def _environment(self, choice: Choice) -> Path:
        desired = choice.environment
        spec = with_debugger(desired.spec) if self._debugger else desired.spec
        return build_environment(spec, self._environments, self._tell, desired.placeholders)

    def _check_script(self, choice: Choice, venv: Path) -> None:
        spec, code = choice.deployment.spec, choice.code_dir
        script = server_of(spec, choice.environment.spec).script
        if script and code:
            resource = str(choice.deployment.id)
            refuse_invalid_script(venv / "bin" / "python", code / script, script, resource)

    def _begin(self, choice: Choice, venv: Path) -> _Running:
        number = next(self._numbers)
        backend = self._backend(choice, number)
        command = self._command(choice, venv, backend, self._model_dir(choice, number))
        variables = {name: one.get_secret_value() for name, one in command.environment.items()}
        if self._debugger:
            variables |= {"WORKER_COUNT": "1", "WORKER_TIMEOUT": "0"}  # one that waits is not hung
        try:
            process = ForegroundProcess(command.argv, Path(command.directory), variables)
        except OSError as fault:
            reason = f"cannot run '{command.argv[0]}': {fault.strerror}"
            remedy = "check the environment's command"
            raise TargetError("start", str(choice.deployment.id), reason, remedy) from fault
        return _Running(choice, process, backend)

    def _backend(self, choice: Choice, number: int) -> Backend:
        if server_of(choice.deployment.spec, choice.environment.spec).uses_socket:
            return Backend(host=LOOPBACK, port=number + 1, socket=str(self._folder / f"{number}"))
        return Backend(host=LOOPBACK, port=self._free(INSTANCE_PORTS))

    def _command(
        self, choice: Choice, venv: Path, backend: Backend, model_dir: Path | None
    ) -> InstanceCommand:
        there = surroundings(venv, backend.host)
        inherited = {**there.inherited, "PYTHONDONTWRITEBYTECODE": "1"}  # the code is somebody's
        found = instance_command(
            choice.deployment.spec,
            choice.environment.spec,
            replace(there, inherited=inherited),
            code_dir=choice.code_dir,
            model_dir=model_dir,
            port=backend.port,
            socket=backend.socket,
        )
        if not self._debugger:
            return found
        return found.model_copy(update={"argv": debugged(found.argv, self._debugger)})

    def _model_dir(self, choice: Choice, number: int) -> Path | None:
        """Return a folder in which the model is found by its own name; it is not copied."""
        place = choice.model_path
        if place is None:
            return None
        folder = self._folder / f"model-{number}"
        folder.mkdir(mode=0o700)
        (folder / place.name).symlink_to(place)
        return folder

    def _wait_ready(self, begun: _Running) -> None:
        spec = begun.choice.deployment.spec
        path = server_of(spec, begun.choice.environment.spec).readiness_path
        limit_s = spec.readiness_probe.initial_delay + spec.start_timeout_s
        until_s = time.monotonic() + limit_s
        at, resource = begun.backend, str(begun.choice.deployment.id)
        while not answers(at.socket or (at.host, at.port), path, spec.readiness_probe.timeout):
            if ended := begun.process.ended():
                reason = f"its server ended before it was ready ({ended})"
                raise NotReady("start", resource, reason, "its output above says why")
            waits = self._debugger is not None and self._debugger.wait
            if time.monotonic() > until_s and not waits:
                reason = f"GET {path} did not answer 200 to 399 within {limit_s} s"
                raise NotReady("start", resource, reason, "raise start_timeout_s, or load less")
            time.sleep(_POLL_S)


def refuse_debugger(choice: Choice) -> None:
    """Raise SpecError where no debugger can be put into the server."""
    environment = choice.environment.spec
    server = server_of(choice.deployment.spec, environment)
    if server.kind == ServerKind.COMMAND and not _is_python(server.command[0]):
        reason = f"the environment's command starts '{server.command[0]}', not Python"
        remedy = "leave it out, or begin the command with python"
        raise SpecError((Fault("--debugpy", reason, remedy),), "the command line")


def with_debugger(environment: EnvironmentSpec) -> EnvironmentSpec:
    """Return an environment that has a debugger besides."""
    packages = (*environment.dependencies, DEBUGGER)
    # without its hash it is another one, which `up` does not use
    return environment.model_copy(update={"dependencies": packages, "content_hash": ""})


def debugged(argv: tuple[str, ...], debugger: Debugger) -> tuple[str, ...]:
    """Return the command line of a Python program into which a debugger may look."""
    python, *program = argv
    waits = ("--wait-for-client",) if debugger.wait else ()
    listens = ("-m", "debugpy", "--listen", f"{LOOPBACK}:{debugger.port}", *waits)
    return (python, "-Xfrozen_modules=off", *listens, *program)


def _refuse_long_path(folder: Path) -> None:
    """Raise TargetError where a socket of the router would have no place in its address."""
    if len(os.fsencode(folder / ROUTER / SOCKET)) > SOCKET_PATH_LIMIT:
        reason = "its path is too long for a socket in it"
        raise TargetError("use", f"folder '{folder}'", reason, "set TMPDIR to a shorter one")


def _is_python(program: str) -> bool:
    return Path(program).name.startswith("python")


def _stop_wait_s(choice: Choice) -> float:
    timeout_ms: int = choice.deployment.spec.request_settings.request_timeout_ms
    return timeout_ms / 1000 + 5
