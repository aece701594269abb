"""Connections to given backends, of the machine or container in which this and the router run."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import psutil

from inference_provider.router.table import Backend

_UNIX_SOCKETS = Path("/proc/net/unix")
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


def unix_sockets() -> list[UnixSocket]:
    """Return every Unix socket; psutil gives no state, and no path with a blank."""
    text = _UNIX_SOCKETS.read_bytes().decode(errors="surrogateescape")
    lines = (line.split(maxsplit=7) for line in text.split("\n")[1:])
    return [UnixSocket(line[5], line[6], line[7]) for line in lines if len(line) == 8]
