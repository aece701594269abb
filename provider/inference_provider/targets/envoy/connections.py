"""Connections on the machine, or in the container, in which this and the router run."""

import socket
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import psutil

from inference_provider.router.table import Backend

_CONNECTING_OR_CONNECTED = ("02", "03")


class UnixSocket(NamedTuple):
    """One end of a Unix socket, as the kernel lists it."""

    state: str
    inode: str
    path: str


def connected(backends: Collection[Backend]) -> bool:
    """Whether any connection to one of these backends exists, accepted or still queued.

    Looks at the router's end: the other one of a connection by TCP may be on another machine.
    """
    addresses = {(backend.host, backend.port) for backend in backends if not backend.socket}
    sockets = {backend.socket for backend in backends if backend.socket}
    return any(
        c.status == psutil.CONN_ESTABLISHED and c.raddr and tuple(c.raddr) in addresses
        for c in psutil.net_connections("tcp")
    ) or any(
        one.state in _CONNECTING_OR_CONNECTED and one.path in sockets for one in unix_sockets()
    )


def refuses(socket_path: str) -> bool:
    """Whether connections to a Unix socket are refused: it is missing, or nobody listens on it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(socket_path)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:  # it is there, and its process is busy
            return False
    return False


def unix_sockets(pid: int = 0) -> list[UnixSocket]:
    """Return every Unix socket in the network of a process, of this one for 0.

    psutil gives no state, and no path with a blank. Raises OSError when the process is gone.
    """
    listed = Path(f"/proc/{pid or 'self'}/net/unix").read_bytes()
    text = listed.decode(errors="surrogateescape")
    lines = (line.split(maxsplit=7) for line in text.split("\n")[1:])
    return [UnixSocket(line[5], line[6], line[7]) for line in lines if len(line) == 8]
