"""Ports and addresses of this machine: which are free, who listens, and which to choose."""

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.router.table import Backend
from inference_provider.targets.envoy.connections import unix_sockets
from inference_provider.targets.listening import (
    METRICS_PORTS,
    ROUTER_PORTS,
    ListenAddress,
    address_fault,
    bind_fault,
    in_order,
)
from inference_provider.targets.local.folders import all_folders

INSTANCE_PORTS = range(21000, 30000)
"""Below Linux's ephemeral ports (32768 and up), so that no outgoing connection takes one."""


def listens(pid: int, backend: Backend) -> bool:
    """Whether a process, or one that it started, listens on a backend's address.

    Another process may answer there: a free port can be taken between the check and its use.
    """
    try:
        process = psutil.Process(pid)
        family = (process, *process.children(recursive=True))
        if backend.socket:
            there = _listening(backend.socket, pid)
            return any(_holds(one.pid, there) for one in family)
        return any(
            c.status == psutil.CONN_LISTEN and c.laddr.port == backend.port
            for one in family
            for c in one.net_connections("tcp")
        )
    except psutil.Error:  # gone, or another user's by now
        return False


def _listening(socket_path: str, pid: int) -> set[str]:
    """Return the names, as in /proc, of the open files that listen on a Unix socket.

    Each is listed in the network of who listens: the process's own.
    """
    with suppress(OSError):  # gone, or another user's by now
        return {f"socket:[{one.inode}]" for one in unix_sockets(pid) if one.path == socket_path}
    return set()


def _holds(pid: int, files: set[str]) -> bool:
    """Whether a process has one of these files open."""
    try:
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed in the meantime
                if os.readlink(handle) in files:
                    return True
    except OSError:  # gone, or another user's by now
        return False
    return False


def listeners(port: int) -> set[int]:
    """Return this user's processes that listen on a port; other users' cannot be seen."""
    return {
        c.pid
        for c in psutil.net_connections("tcp")
        if c.pid and c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port
    }


def instance_ports(root: Path, count: int, taken: set[int]) -> list[int]:
    """Return free ports for instances; call it under the machine's lock.

    Each state folder starts its search at a different port: an instance listens only a second
    after its port was chosen, and one of another folder may be starting too.
    """
    return free_ports(count, in_order(INSTANCE_PORTS, str(root)), taken)


def free_ports(
    count: int, ports: Sequence[int], taken: set[int], host: str = "127.0.0.1"
) -> list[int]:
    """Return `count` ports that nobody listens on. Raises OutOfCapacity when there are fewer."""
    found: list[int] = []
    for port in ports:
        if port not in taken and bind_fault(host, port) is None:
            found.append(port)
            if len(found) == count:
                return found
    raise OutOfCapacity(
        "find",
        f"{count} free ports",
        f"all but {len(found)} of {min(ports)}-{max(ports)} are taken",
        "end what listens there",
    )


def choose_address(
    root: Path, host: str, wanted_port: int, besides: Collection[int] = ()
) -> ListenAddress:
    """Choose where a new workspace's router listens; call it under the machine's port lock.

    Args:
        root: State folder.
        host: Address of this machine.
        wanted_port: 0 for one that is free.
        besides: Ports on which something else of the workspace is to listen.
    """
    fault = address_fault(host, wanted_port)
    if fault:
        raise TargetError("start", "the router", fault)
    taken = _kept_ports(root) | set(besides)
    port = wanted_port or free_ports(1, ROUTER_PORTS, taken, host)[0]
    metrics = metrics_port(root, {port, *besides})
    return ListenAddress(host=host, port=port, metrics_port=metrics)


def metrics_port(root: Path, taken: set[int]) -> int:
    """Choose the port of a router's metrics; call it under the machine's port lock."""
    return free_ports(1, METRICS_PORTS, taken | _kept_ports(root))[0]


def _kept_ports(root: Path) -> set[int]:
    """Return the ports of all workspaces of a state folder, stopped ones included."""
    addresses = [folders.address() for folders in all_folders(root)]
    return {port for a in addresses if a for port in (a.port, a.metrics_port)}
