"""A pod is told to stop only when no client is connected to its server."""

import socket
import sys
import threading
import time

import pytest

from inference_provider.targets.kubernetes import last_requests

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
LISTENS = "   0: 00000000:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001\n"
ASKED = "   1: 0700000A:1389 0900000A:D2F0 01 00000000:00000000 00:00000000 00000000 10001\n"
CLOSED_BY_CLIENT = ASKED.replace(" 01 ", " 08 ")
ASKS = "   2: 0700000A:D2F0 0900000A:1389 01 00000000:00000000 00:00000000 00000000 10001\n"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], False),
        ([LISTENS], False),
        ([LISTENS, ASKED], True),
        ([CLOSED_BY_CLIENT], False),
        ([ASKS], False),
    ],
)
def test_only_a_client_of_the_port_counts(tmp_path, lines, found):
    table = tmp_path / "tcp"
    table.write_text(HEAD + "".join(lines))
    assert last_requests.connected(5001, [str(tmp_path / "tcp6"), str(table)]) is found


def ends(monkeypatch, port: int, longest_s: int) -> float:
    monkeypatch.setattr(sys, "argv", ["last_requests.py", str(port), "0", str(longest_s)])
    began_s = time.monotonic()
    last_requests.main()
    return time.monotonic() - began_s


@pytest.fixture
def connection():
    """A server's port, and a client's connection to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as there:
            yield port, client, there


def test_it_ends_with_the_last_connection(monkeypatch, connection):
    port, client, there = connection
    threading.Timer(0.3, lambda: (client.close(), there.close())).start()
    assert 0.2 < ends(monkeypatch, port, 30) < 5


def test_it_waits_no_longer_than_a_request_may_take(monkeypatch, connection):
    assert 1 <= ends(monkeypatch, connection[0], 1) < 5
