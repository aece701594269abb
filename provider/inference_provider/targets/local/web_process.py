"""The workspace service over HTTP, a process of this machine under the workspace's supervisord.

It runs while the workspace has `service`. When it ends, nobody gets new tokens, and all else goes
on. Its arguments say all that it cannot change by itself: with others it is replaced.
"""

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from inference_provider.router.table import Backend
from inference_provider.spec.service import ServiceSettings
from inference_provider.targets.envoy.fetched_keys import FetchedKeys
from inference_provider.targets.listening import bind_fault
from inference_provider.targets.local.addresses import listens
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.own_program import arguments_of, own_program
from inference_provider.targets.local.supervisor import ProcessState, Supervisor
from inference_provider.targets.local.supervisor_rpc import SupervisorGone
from inference_provider.targets.local.supervisor_text import Program
from inference_provider.targets.web_service import is_known, pages_of, service_of, unfetched
from inference_provider.targets.web_told import unshown
from inference_provider.workspace.state import State

WEB = "web"
"""The program's name; an instance's cannot be the same, since it contains dots."""
_MODULE = "inference_provider.web"
"""By its name: it stands on targets."""
_START_S = 30.0


def web_folder(folders: Folders) -> Path:
    """Return the folder of what it keeps: keys that it has fetched."""
    return folders.decisions.parent / WEB


def is_settled(supervisor: Supervisor, folders: Folders, state: State) -> bool:
    """Whether it was started as the workspace declares it; asks nobody whether it still runs."""
    settings = service_of(state)
    if not is_known(state):
        return True
    if settings is None or not supervisor.has(WEB):
        return settings is None and not supervisor.has(WEB)
    return _is_as_declared(supervisor, folders, state, settings)


def settle_web(supervisor: Supervisor, folders: Folders, state: State) -> bool:
    """Start, replace or end it; return whether it was started. It waits for no start."""
    settings = service_of(state)
    if settings is None and not supervisor.has(WEB):
        return False  # most workspaces: nothing is asked
    if not is_known(state):
        return False
    try:
        process = supervisor.process(WEB)
        if process and process.pid == os.getpid():  # which ends no change of its own
            return False
        if settings is None:
            supervisor.remove(WEB)
        elif process is None or not _is_as_declared(supervisor, folders, state, settings):
            supervisor.remove(WEB)  # also one that outlived its supervisord
            supervisor.add(_program(folders, state, settings))
            return True
    except SupervisorGone:  # nothing can be started; the next start does it
        pass
    return False


def wait_for_web(supervisor: Supervisor, state: State) -> None:
    """Wait until it listens, as far as it does soon; what is wrong with it, the status tells."""
    until_s = time.monotonic() + _START_S
    while (settings := service_of(state)) and time.monotonic() < until_s:
        process = _process(supervisor)
        if process and process.runs and _listens(process, settings):
            return
        if process is None or process.state in ("BACKOFF", "FATAL"):
            return
        if bind_fault(settings.bind_address, settings.port) is not None:
            return
        time.sleep(0.05)


def is_the_web_process(supervisor: Supervisor) -> bool:
    """Whether this process is the one that the workspace's supervisord has started."""
    process = _process(supervisor)
    return process is not None and process.pid == os.getpid()


def said_of_web(
    supervisor: Supervisor, folders: Folders, state: State, said: dict[str, Any]
) -> dict[str, Any]:
    """Return what a router's status has of processes beside it, with this one."""
    settings = service_of(state)
    if settings is None:
        return said
    host = f"[{settings.bind_address}]" if ":" in settings.bind_address else settings.bind_address
    place, process = f"{host}:{settings.port}", _process(supervisor)
    if process and process.runs and _listens(process, settings):
        scheme = "https" if state.speaks_tls() else "http"
        folder = web_folder(folders)
        faults = (unfetched(state, FetchedKeys(folder).state), unshown(folder))
        told = (f"service on {scheme}://{place}", *faults)
        return _with(said, "beside", ", ".join(filter(None, told)))
    fault = bind_fault(settings.bind_address, settings.port)
    if fault and fault.errno == errno.EADDRINUSE:
        reason = "the port is taken by another process; end that, or use another service.port"
    elif fault:
        remedy = "use another service.port, or an address of this machine in service.bind_address"
        reason = f"it cannot be listened on: {fault.strerror}; {remedy}"
    elif process and process.runs:
        return _with(said, "beside", f"service starts on {place}")
    else:
        reason = f"its log is {folders.log_path(WEB, WEB)}"
    return _with(said, "missing", f"the service on {place} does not run: {reason}")


def _with(said: dict[str, Any], field: str, more: str) -> dict[str, Any]:
    return {**said, field: "; ".join(filter(None, (said.get(field, ""), more)))}


def _process(supervisor: Supervisor) -> ProcessState | None:
    with suppress(SupervisorGone):
        return supervisor.process(WEB)
    return None


def _listens(process: ProcessState, settings: ServiceSettings) -> bool:
    return listens(process.pid, Backend(host=settings.bind_address, port=settings.port))


def _is_as_declared(
    supervisor: Supervisor, folders: Folders, state: State, settings: ServiceSettings
) -> bool:
    """Whether it was started as it would be now, by this release."""
    return arguments_of(supervisor, WEB) == [*_program(folders, state, settings).argv]


def _given(folders: Folders, state: State, settings: ServiceSettings) -> tuple[str, ...]:
    scheme = "https" if state.speaks_tls() else "http"
    place = (settings.bind_address, str(settings.port), scheme)
    return ("local", str(folders.root), folders.workspace, *place, pages_of(settings))


def _program(folders: Folders, state: State, settings: ServiceSettings) -> Program:
    given = _given(folders, state, settings)
    return own_program(folders, WEB, _MODULE, *given, directory=folders.folder)
