"""Which instances of a workspace have no way out, what they find in place of it, and which has one.

Those run in a network of their own: `own_network.py` makes it where an instance is started, and
`passages.py` leads into it and out of it. The way out that rules leave is the router as forward
proxy, on a Unix socket in its folder, which an instance finds on its own loopback.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.router.table import Backend, Proxy
from inference_provider.serving.server import server_of
from inference_provider.serving.way_out import proxy_variables
from inference_provider.spec import DeploymentSpec
from inference_provider.targets.local import launch
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.instances import Instance
from inference_provider.targets.local.machine import own_network_fit
from inference_provider.targets.local.own_network import PROXY_PORT, Passages
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State

_EGRESS = "egress_public_network_access"
_HOST = "127.0.0.1"
_NOT_CLOSED = "is in the machine's network, though its egress is disabled"
_NOT_LET_OUT = "was started without the way out that outbound_rules leave"
_NOT_OPEN = "is in a network of its own, though its egress is enabled"


class Wanted(NamedTuple):
    """How the instances of a deployment are to be."""

    closed: bool
    let_out: bool


class Closed:
    """Closed instances of one workspace."""

    def __init__(self, folders: Folders, state: State) -> None:
        self._folders = folders
        self._state = state

    def proxy(self) -> Proxy:
        """Return where the router is the forward proxy, while there are rules."""
        return Proxy(host=_HOST, port=PROXY_PORT, socket=self._proxy_socket)

    @property
    def _proxy_socket(self) -> str:
        return str(self._folders.router_folder / "egress.sock")

    def __contains__(self, spec: DeploymentSpec) -> bool:
        """Whether new instances of a deployment get no way out here."""
        return self._closes(spec.egress_public_network_access)

    def _closes(self, access: str) -> bool:
        return self._state.is_closed(access) and not self._is_left_to_others()

    def _is_left_to_others(self) -> bool:
        """Whether this machine cannot close anything, and the workspace allows that."""
        allowed = self._state.of_workspace("allow_unenforced_egress")
        found = own_network_fit()
        return bool(allowed and found.fault and not found.passes)

    def lets_out(self) -> bool:
        """Whether rules may let instances out, whether any rule is there yet or not.

        One that is closed by itself, in a workspace that is open, is not let out.
        """
        return self._closes("enabled")

    def variables(self, spec: DeploymentSpec) -> Mapping[str, str] | None:
        """Return what tells programs of the way out; None for that of this machine."""
        if spec not in self:
            return None
        return proxy_variables(_HOST, PROXY_PORT) if self.lets_out() else {}

    def passages(self, unit: Unit, at: Backend) -> Passages | None:
        """Return what leads to a new instance and out of it; None for one in this machine's."""
        if unit.spec not in self:
            return None
        listens_there = server_of(unit.spec, unit.environment).uses_socket
        return Passages(
            port=at.port,
            socket="" if listens_there else at.socket,
            proxy=self._proxy_socket if self.lets_out() else "",
        )

    # -- what is there -------------------------------------------------------------------------

    def wanted(self, deployment: str = "") -> Mapping[str, Wanted]:
        """Return how instances are to be, by each deployment of which that is known."""
        with suppress(TargetError):
            every, never = self.lets_out(), self._is_left_to_others()
            return {
                one.id.name: Wanted(
                    every or (one.properties.get(_EGRESS) == "disabled" and not never), every
                )
                for one in self._records(deployment)
                if one.id.kind == Kind.DEPLOYMENT
            }
        return {}

    def _records(self, deployment: str) -> list[Record]:
        if not deployment:
            return self._state.sorted_out()[0]
        place = self._folders.workspace
        found = self._state.record(
            ResourceId(kind=Kind.DEPLOYMENT, workspace=place, name=deployment)
        )
        return [found] if found else []


def fault(instance: Instance, pid: int, wanted: Wanted | None) -> str:
    """Say that an instance is in another network than it should be; empty if not, or not known.

    Args:
        instance: As it was started.
        pid: Of its process; 0 if it does not run.
        wanted: How it is to be; None if nobody knows.
    """
    if not pid or wanted is None:
        return ""
    with suppress(OSError):  # it has ended
        own = _network(str(pid)) != _network("self")
        if own != wanted.closed and not _is_starting(pid):
            return _NOT_CLOSED if wanted.closed else _NOT_OPEN
    return _NOT_LET_OUT if wanted.let_out and not instance.let_out else ""


def _network(process: str) -> str:
    return os.readlink(f"/proc/{process}/ns/net")


def _is_starting(pid: int) -> bool:
    """Whether it is still what will become the instance, once it has a network of its own."""
    return launch.__file__.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
