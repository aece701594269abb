"""Ports of loopback for tests that run beside others, in other processes."""

import itertools
import os
import socket

_FIRST, _PROCESSES, _EACH = 10_000, 80, 100
"""Below those that routers, instances and the kernel choose."""
_numbers = itertools.cycle(range(_EACH))


def own_port() -> int:
    """Return a port that no other process of tests takes, also while nobody listens there."""
    first = _FIRST + os.getpid() % _PROCESSES * _EACH
    for number in itertools.islice(_numbers, _EACH):
        with socket.socket() as found:
            # a router that has just ended leaves connections there, which do not matter
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind(("127.0.0.1", first + number))
            except OSError:
                continue
            return first + number
    raise OSError(f"no port from {first} to {first + _EACH - 1} is free")
