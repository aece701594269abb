"""Ports of loopback for tests that run beside others, in other processes."""

import fcntl
import itertools
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_FIRST, _RANGES, _EACH = 8_000, 100, 100
"""Below those that routers, instances and the kernel choose."""
_PLACE = Path(tempfile.gettempdir()) / "inference-test-ports"


def own_port() -> int:
    """Return a port that no other process of tests takes, also while nobody listens there."""
    for port in _ports():
        with socket.socket() as found:
            # a router that has just ended leaves connections there, which do not matter
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable: the ports go round")


@cache
def _ports() -> Iterator[int]:
    """Go round the ports of this process: of those that it has begun with, the oldest first."""
    first = _FIRST + _own_range() * _EACH
    return itertools.cycle(range(first, first + _EACH))


def _own_range() -> int:
    """Take a range for as long as this process lives."""
    _PLACE.mkdir(exist_ok=True)
    for number in range(_RANGES):
        held = (_PLACE / str(number)).open("w")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
            continue
        _held.append(held)
        return number
    raise OSError(f"{_RANGES} processes of tests run; end some")


_held: list[object] = []
"""The lock: it ends with the file, and that with the process."""
