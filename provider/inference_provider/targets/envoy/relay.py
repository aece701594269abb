"""Passes one request to the agent in a router's container, and its answer back.

Run by `docker exec` or `kubectl exec` with `python3 -I -S`: the request is one line of stdin, the
answer goes to stdout. It imports nothing but the standard library, so it takes milliseconds.
"""

import socket
import sys


def main() -> None:
    """Pass one line of stdin on to the Unix socket that the first argument names."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(sys.argv[1])
        agent.sendall(sys.stdin.buffer.readline())  # by TLS no end comes
        agent.shutdown(socket.SHUT_WR)
        while part := agent.recv(1 << 16):
            sys.stdout.buffer.write(part)


if __name__ == "__main__":
    main()
