"""Programs of this package beside the router of this machine: how they start, and of which release.

Their last argument is the version of the package that has started them.
"""

import json
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import inference_provider
from inference_provider import __version__
from inference_provider.errors import NotReady
from inference_provider.targets.envoy.connections import refuses
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.supervisor import Supervisor
from inference_provider.targets.local.supervisor_text import Program

_START_S = 20.0


def own_program(
    folders: Folders, name: str, module: str, *given: str, directory: Path, stop_wait_s: int = 10
) -> Program:
    """Return a program that runs a module with some arguments, and the version as the last."""
    package = Path(inference_provider.__file__).parents[1]  # where it is not installed, but run
    return Program(
        name=name,
        argv=(sys.executable, "-P", "-m", module, *given, __version__),
        environment={"PYTHONPATH": str(package)},
        directory=str(directory),
        log=str(folders.log_path(name, name)),
        stop_wait_s=stop_wait_s,
    )


def arguments_of(supervisor: Supervisor, name: str) -> list[str]:
    """Return those with which a program was started last; none where that cannot be told."""
    found: list[str] = _order(supervisor, name).get("argv", [])
    return [sys.executable, *found[1:]]  # whose Python it is is of no account


def environment_of(supervisor: Supervisor, name: str) -> dict[str, str]:
    """Return the variables of its own with which a program was started last."""
    found: dict[str, str] = _order(supervisor, name).get("environment", {})
    return found


def _order(supervisor: Supervisor, name: str) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(supervisor.order_file(name).read_text())
        return found if isinstance(found, dict) else {}
    return {}


def is_of_this_release(supervisor: Supervisor, name: str) -> bool:
    """Whether this release has started a program."""
    return arguments_of(supervisor, name)[-1:] == [__version__]


def wait_until_it_answers(folders: Folders, name: str, what: str, sockets: Iterable[str]) -> None:
    """Wait until something listens on sockets of the router's folder.

    Args:
        folders: The workspace's.
        name: The program's.
        what: It, in a message.
        sockets: Their names.

    Raises:
        NotReady: It does not answer; its log says why.
    """
    until_s, paths = time.monotonic() + _START_S, [str(folders.router_folder / s) for s in sockets]
    while any(map(refuses, paths)):
        if time.monotonic() > until_s:
            limit = f"it does not answer within {_START_S:.0f} s"
            raise NotReady("start", what, limit, f"read {folders.log_path(name, name)}")
        time.sleep(0.02)
