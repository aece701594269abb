"""Ends once the server of a pod has had its last request: what Kubernetes waits for to stop it.

Runs in the container of the server, with the Python of its environment and nothing else. Goes in:
the server's port, the seconds until routers have heard that the pod ends, and the longest seconds
of a request.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_ESTABLISHED = "01"
_POLL_S = 0.1


def connected(port: int, tables: Iterable[str] = _TABLES) -> bool:
    """Say whether a client has a connection to a port of this pod.

    Source: docs.kernel.org/networking/proc_net_tcp.html
    """
    for table in tables:
        try:
            with open(table, encoding="ascii") as file:
                lines = file.readlines()[1:]
        except OSError:  # IPv6 may be off
            continue
        for line in lines:
            _, local, _, state = line.split()[:4]
            if state == _ESTABLISHED and int(local.rpartition(":")[2], 16) == port:
                return True
    return False


def main() -> None:
    port, heard_s, longest_s = (int(word) for word in sys.argv[1:4])
    time.sleep(heard_s)
    until_s = time.monotonic() + longest_s
    while connected(port) and time.monotonic() < until_s:
        time.sleep(_POLL_S)


if __name__ == "__main__":
    main()
