"""A server of which whoever reaches it can take only so much."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from inference_provider.targets.kubernetes import bounded_server, content_server, questions
from inference_provider.targets.kubernetes.bounded_server import BoundedServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_given) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[BoundedServer]:
    monkeypatch.setattr(bounded_server, "MOST", 3)
    monkeypatch.setattr(bounded_server, "MOST_OF_ONE", 2)
    with BoundedServer(("0.0.0.0", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def connected(server: BoundedServer, address: str) -> socket.socket:
    made = socket.create_connection((address, server.server_port), 5, (address, 0))
    made.settimeout(5)
    return made


def answered(connection: socket.socket) -> bytes:
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return connection.recv(100).partition(b"\r\n")[0]


def test_one_address_keeps_no_other_from_being_answered(server):
    silent = [connected(server, "127.0.0.1") for _ in range(2)]
    with connected(server, "127.0.0.1") as third:
        assert third.recv(100).startswith(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n")
    with connected(server, "127.0.0.2") as other:
        assert answered(other) == b"HTTP/1.0 200 OK"
    for one in silent:
        one.close()


def test_all_together_have_so_many_connections_and_no_more(server):
    silent = [connected(server, "127.0.0.1"), connected(server, "127.0.0.1")]
    silent.append(connected(server, "127.0.0.2"))
    with connected(server, "127.0.0.3") as fourth:
        assert fourth.recv(100).startswith(b"HTTP/1.1 503 Busy")
    for one in silent:
        assert answered(one) == b"HTTP/1.0 200 OK"
        one.close()


def test_who_goes_makes_room(server):
    for _ in range(20):
        with connected(server, "127.0.0.1") as one:
            assert answered(one) == b"HTTP/1.0 200 OK"
            while one.recv(100):
                pass
        while server._open:
            time.sleep(0.001)


@pytest.mark.parametrize("made", [content_server.Server, questions.Server])
def test_what_pods_answer_with_is_bounded(made):
    assert issubclass(made, BoundedServer)
