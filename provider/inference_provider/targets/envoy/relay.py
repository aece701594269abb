"""Passes requests to the agent in a router's container, and its answers back, one after another.

A request is one line of stdin, its answer one of stdout. A target in whose containers routers run
passes this file's text to their Python (`python3 -I -S -c`), which may be of an older release. It
imports little of the standard library, so it starts in milliseconds.
"""

import select
import socket
import sys

_IDLE_S = 60.0
"""Then it ends: nothing may tell it that its client's machine is gone."""


def main() -> None:
    """Pass each line of stdin on to the Unix socket that the first argument names."""
    while select.select([0], [], [], _IDLE_S)[0] and (line := sys.stdin.buffer.readline()):
        with socket.socket(socket.AF_UNIX) as agent:
            agent.connect(sys.argv[1])
            agent.sendall(line)
            agent.shutdown(socket.SHUT_WR)
            while part := agent.recv(1 << 16):
                sys.stdout.buffer.write(part)
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
