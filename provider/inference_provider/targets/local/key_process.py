"""The process that fetches keys of identity providers for the router of this machine.

It runs under the workspace's supervisord while an endpoint takes tokens of a provider whose keys
are fetched (`targets/envoy/key_server.py`). When it ends, Envoy goes on with the keys that it has.
"""

from collections.abc import Iterable

from inference_provider.router.provider import KEYS_SOCKET
from inference_provider.router.table import EndpointEntry
from inference_provider.targets.envoy import key_server
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.own_program import (
    is_of_this_release,
    own_program,
    wait_until_it_answers,
)
from inference_provider.targets.local.supervisor import Supervisor
from inference_provider.targets.local.supervisor_rpc import SupervisorGone
from inference_provider.targets.local.supervisor_text import Program

KEYS = "keys"
"""The program's name; an instance's cannot be the same, since it contains dots."""


def ensure_keys(
    supervisor: Supervisor, folders: Folders, endpoints: Iterable[EndpointEntry]
) -> None:
    """Run it where any of the endpoints needs it, and only there; wait until it answers.

    Raises:
        NotReady: It does not answer; its log says why.
    """
    if begin_keys(supervisor, folders, endpoints):
        what = "the process that fetches keys"
        wait_until_it_answers(folders, KEYS, what, (KEYS_SOCKET,))


def begin_keys(
    supervisor: Supervisor, folders: Folders, endpoints: Iterable[EndpointEntry]
) -> bool:
    """Start it where any of the endpoints needs it, or end it; return whether it was started."""
    needed = bool(uris_of(endpoints))
    try:
        process = supervisor.process(KEYS)
    except SupervisorGone:  # nothing can be started; what runs goes on
        return False
    if needed and not (process and process.runs and is_of_this_release(supervisor, KEYS)):
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
    folder = folders.router_folder
    return own_program(folders, KEYS, key_server.__name__, str(folder), directory=folder)
