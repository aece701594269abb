"""A network of this process's own, in which nothing is but loopback: it and its children, for good.

Linux calls that a network namespace. A user namespace comes with it, in which every user is who he
is outside. It is what lets anybody but root have the other, and what keeps this process in, root
too: `setns` into another network, and the memory of processes outside, need rights there. No
service of the machine asks for names for it.

Imports only the standard library: `launch.py` uses it before it becomes a program. Run as a program
itself it ends with 0 where this machine lets this user do so, and else says why not.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path
from typing import NamedTuple

PROXY_PORT = 3128
"""Where an instance finds the forward proxy, on the loopback of its own."""
_NEW_USER, _NEW_NET, _NEW_MOUNTS = 0x10000000, 0x40000000, 0x00020000
_READ_ONLY = 0x1 | 0x2 | 0x4 | 0x8
"""`MS_RDONLY`, `MS_NOSUID`, `MS_NODEV` and `MS_NOEXEC`."""
_NAME_SERVICES = ("/run/nscd", "/run/systemd/resolve", "/run/avahi-daemon")
"""Folders of sockets, which pass the wall, on which services ask for names in the machine's network
for whoever asks them; the C library does by itself."""
_SET_FLAGS, _UP = 0x8914, 0x1
"""`SIOCSIFFLAGS` and `IFF_UP`."""
_TRY_S = 5.0


class Passages(NamedTuple):
    """What leads into the network of an instance, and out of it."""

    port: int
    """Of its server."""
    socket: str
    """Where the router finds it; empty where the server itself listens there."""
    proxy: str
    """Where the router's forward proxy listens; empty where there is no way out."""


class NotPossible(Exception):
    """This machine does not let this user have one; the text says what failed, and how."""


def enter() -> None:
    """Give this process a network of its own. It must have one thread. Raises NotPossible."""
    if sys.platform != "linux":
        raise NotPossible(f"{sys.platform} has no network namespaces")
    library = ctypes.CDLL(None, use_errno=True)
    hidden = [place for place in _NAME_SERVICES if os.path.isdir(place)]
    _leave(library, _NEW_USER | _NEW_NET | (_NEW_MOUNTS if hidden else 0))
    for place in hidden:
        if library.mount(b"none", place.encode(), b"tmpfs", _READ_ONLY, None):
            raise NotPossible(f"hiding {place}: {_told(ctypes.get_errno())}")
    try:
        _raise_loopback()
    except OSError as fault:
        raise NotPossible(f"bringing loopback up: {fault.strerror}") from fault


def _leave(library: ctypes.CDLL, namespaces: int) -> None:
    """Leave the machine's namespaces for new ones, in which everybody is who he is outside."""
    told, tells = os.pipe()
    mapper = os.fork()
    if not mapper:  # maps of more than one user can only be written from outside
        os.close(tells)
        os._exit(_map_users(os.getppid()) if os.read(told, 1) else 0)
    os.close(told)
    failed = ctypes.get_errno() if library.unshare(namespaces) else 0
    if not failed:
        os.write(tells, b"1")
    os.close(tells)
    mapped = os.waitstatus_to_exitcode(os.waitpid(mapper, 0)[1])
    if failed or mapped:
        what = "making namespaces" if failed else "mapping users"
        raise NotPossible(f"{what}: {_told(failed or mapped)}")


def _told(code: int) -> str:
    return "their limit is reached" if code == errno.ENOSPC else os.strerror(code)


def _map_users(pid: int) -> int:
    """Let users and groups be who they are: all for root, itself for any other; return an errno."""
    place = Path(f"/proc/{pid}")
    try:
        if os.geteuid():
            (place / "setgroups").write_text("deny")
        for name, own in (("uid_map", os.geteuid()), ("gid_map", os.getegid())):
            known = Path(f"/proc/self/{name}").read_text().splitlines()
            every = [f"{first} {first} {count}" for first, _, count in map(str.split, known)]
            (place / name).write_text("\n".join([f"{own} {own} 1"] if os.geteuid() else every))
    except OSError as fault:
        return fault.errno or errno.EIO
    return 0


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack("16sH22x", b"lo", _UP))


def main() -> None:
    """Try it, and what an instance needs there: a connection by loopback."""
    try:
        enter()
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), _TRY_S).close()
    except (NotPossible, OSError) as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
