"""The process that fetches keys of identity providers for the router of this machine.

It runs under the workspace's supervisord while an endpoint takes tokens of a provider whose keys
are fetched (`targets/envoy/key_server.py`). When it ends, Envoy goes on with the keys that it has.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import inference_provider
from inference_provider.errors import NotReady
from inference_provider.router.provider import KEYS_SOCKET
from inference_provider.router.table import EndpointEntry
from inference_provider.targets.envoy import key_server
from inference_provider.targets.envoy.connections import refuses
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.supervisor import Supervisor
from inference_provider.targets.local.supervisor_rpc import SupervisorGone
from inference_provider.targets.local.supervisor_text import Program

KEYS = "keys"
"""The program's name; an instance's cannot be the same, since it contains dots."""
_START_S = 20.0


def ensure_keys(
    supervisor: Supervisor, folders: Folders, endpoints: Iterable[EndpointEntry]
) -> None:
    """Run it where any of the endpoints needs it, and only there; wait until it answers.

    Raises:
        NotReady: It does not answer; its log says why.
    """
    if begin_keys(supervisor, folders, endpoints):
        _wait_until_it_answers(folders)


def begin_keys(
    supervisor: Supervisor, folders: Folders, endpoints: Iterable[EndpointEntry]
) -> bool:
    """Start it where any of the endpoints needs it, or end it; return whether it was started."""
    needed = bool(uris_of(endpoints))
    try:
        process = supervisor.process(KEYS)
    except SupervisorGone:  # nothing can be started; what runs goes on
        return False
    if needed and not (process and process.runs):
        supervisor.remove(KEYS)  # also one that outlived its supervisord
        supervisor.add(_program(folders))
        return True
    if process and not needed:
        supervisor.remove(KEYS)
    return False


def uris_of(endpoints: Iterable[EndpointEntry]) -> set[str]:
    """Return the URLs from which keys are fetched for some endpoints."""
    return {one.provider.jwks_uri for one in endpoints if one.provider and one.provider.jwks_uri}


def _program(folders: Folders) -> Program:
    folder = str(folders.router_folder)
    package = Path(inference_provider.__file__).parents[1]  # where it is not installed, but run
    return Program(
        name=KEYS,
        argv=(sys.executable, "-P", "-m", key_server.__name__, folder),
        environment={"PYTHONPATH": str(package)},
        directory=folder,
        log=str(folders.log_path(KEYS, KEYS)),
    )


def _wait_until_it_answers(folders: Folders) -> None:
    until_s = time.monotonic() + _START_S
    while refuses(str(folders.router_folder / KEYS_SOCKET)):
        if time.monotonic() > until_s:
            log = folders.log_path(KEYS, KEYS)
            limit = f"it does not answer within {_START_S:.0f} s"
            raise NotReady("start", "the process that fetches keys", limit, f"read {log}")
        time.sleep(0.02)
