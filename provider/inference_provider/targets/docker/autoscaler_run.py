"""The containers that have the Engine's socket, and which run of one holds a lock.

A process in it has a number of its own container, which says nothing to anybody else, and a clock
may be set. So its locks name its container, and when the Engine says that it was started.
"""

import os
import socket
from functools import cache
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost


def is_the_autoscaler() -> bool:
    """Whether this process is that of the container that keeps a workspace's autoscale rules."""
    return own_role() == names.AUTOSCALER


def own_role() -> str:
    """Return which of these containers this process is in; empty if in none."""
    role = os.environ.get(names.ROLE_VARIABLE, "")
    return role if role in (names.AUTOSCALER, names.WEB) else ""


def listed(host: DockerHost, workspace: str, role: str) -> list[dict[str, Any]]:
    """Return the containers of a workspace that have a role, as the Engine lists them.

    A person may have renamed one, and may have something else of its name.
    """
    selecting = dict(names.selecting(workspace, role))
    return [*filter(names.is_as_labelled, host.containers(selecting))]


def has_ended(host: DockerHost, workspace: str, role: str, run: str) -> bool:
    """Whether a run of a container of a workspace has ended."""
    return run not in _runs(host, workspace, role)


@cache
def this_run(host: DockerHost, workspace: str) -> str:
    """Return the run that this process is.

    Raises:
        TargetError: The Engine does not tell; what asks again may be told.
    """
    there = _running(host, workspace, own_role())
    # its machine has the name that it was made with, and its id if that was none
    own = socket.gethostname()
    found = [one for one in there if own in (_hostname(one), one["Id"][: len(own)])] or there
    if len(found) != 1:
        reason = f"{len(found)} containers run as the {own_role()} of workspace '{workspace}'"
        raise TargetError("lock", f"workspace '{workspace}'", reason, place=str(host))
    return _run_of(found[0])


def _runs(host: DockerHost, workspace: str, role: str) -> list[str]:
    """Return the runs that have not ended; one that waits to be started again has."""
    return [*map(_run_of, _running(host, workspace, role))]


def _running(host: DockerHost, workspace: str, role: str) -> list[dict[str, Any]]:
    found = (host.container(one["Id"]) for one in listed(host, workspace, role))
    there = ((one, one["State"]) for one in found if one is not None)
    return [one for one, state in there if state["Running"] and not state.get("Restarting")]


def _run_of(container: dict[str, Any]) -> str:
    return f"{container['Id']} {container['State']['StartedAt']}"


def _hostname(container: dict[str, Any]) -> str:
    return str(container.get("Config", {}).get("Hostname", ""))
