"""What is posted to a collector, and how long it may take; against real servers of this machine."""

import gzip
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import requests
from tests.ports import own_port

from inference_provider.service.collector_post import Limits, Reply, Unanswered, post, session

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


class Server:
    """Says some pieces, one each 0.05 s; the last one again and again, or until it closes."""

    def __init__(self, pieces, *, closes):
        self.heads, self.pieces, self.closes = [], pieces, closes
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v1/logs"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                taken, _ = self.socket.accept()
                with taken:
                    self.heads.append(taken.recv(65536).split(b"\r\n\r\n")[0].decode())
                    self.say(taken)
        except OSError:
            return

    def say(self, taken):
        pieces = list(self.pieces)
        try:
            while pieces:
                taken.sendall(pieces[0])
                time.sleep(0.05)
                pieces = pieces[1:] if len(pieces) > 1 or self.closes else pieces
        except OSError:
            return


@contextmanager
def serving(*pieces, closes=True):
    found = Server(pieces, closes=closes)
    try:
        yield found
    finally:
        found.socket.close()


def test_an_answer_comes_with_its_content():
    with serving(OK, b"0123456789") as server:
        assert post(server.url, b"x", {}) == Reply(200, b"0123456789")


@pytest.mark.parametrize("pieces", [(OK,), (OK, b"012")])
def test_what_was_answered_2xx_was_taken_though_the_rest_is_cut(pieces):
    with serving(*pieces) as server:
        assert post(server.url, b"x", {}) == Reply(200)


@pytest.mark.parametrize("limits", [Limits(30, 2), Limits(2, 30), Limits(2, 2)])
def test_what_was_answered_2xx_was_taken_though_the_rest_trickles(limits):
    with serving(OK.replace(b"10", b"99999"), b"0", closes=False) as server:
        assert post(server.url, b"x", {}, limits) == Reply(200)


@pytest.mark.parametrize(
    "pieces", [(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"), (b"HTTP/1.1 100 A\r\n\r\n",)]
)
def test_a_head_that_never_ends_is_waited_for_no_longer_than_the_whole_limit(pieces):
    late = pytest.raises(Unanswered, match=r"^it did not answer in time$")
    with serving(*pieces, closes=False) as server, late:
        post(server.url, b"x", {}, Limits(0.5, 30))


def test_a_refusal_is_not_read_further():
    with serving(
        b"HTTP/1.1 400 Bad\r\nContent-Length: 99999\r\n\r\n", b"x", closes=False
    ) as server:
        assert post(server.url, b"x", {}, Limits(30, 30)) == Reply(400)


def test_content_that_is_packed_is_not_unpacked():
    packed = gzip.compress(bytes(1 << 20))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with serving(head + packed) as server:
        assert post(server.url, b"x", {}).content == packed


def test_nothing_that_listens_is_said_so():
    with pytest.raises(Unanswered, match=r"^Connection refused$"):
        post(f"http://127.0.0.1:{own_port()}", b"x", {})


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    file = tmp_path / "netrc"
    file.write_text("default login ann password hunter2\n")
    monkeypatch.setenv("NETRC", str(file))


@pytest.mark.parametrize("through", ["post", "session"])
def test_a_collector_gets_no_password_of_netrc_by_a_proxy_either(netrc, monkeypatch, through):
    with serving(OK, b"0123456789") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1/logs"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        url = "http://collector.invalid/v1/logs"
        if through == "post":
            assert post(url, b"x", {"A": "b"}).status == 200
        else:
            assert session().post(url, b"x", headers={"A": "b"}, timeout=30).status_code == 200
    (head,) = proxy.heads
    assert head.startswith("POST http://collector.invalid/v1/logs HTTP/1.1")
    assert "authorization" not in head.lower()
    assert "a: b" in head.lower()


def test_a_session_follows_no_redirect_and_fails_as_requests_do():
    with serving(b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n") as server:
        assert session().post(server.url, b"x", timeout=30).status_code == 302
        assert len(server.heads) == 1
    with pytest.raises(requests.ConnectionError, match="Connection refused"):
        session().post(f"http://127.0.0.1:{own_port()}", b"x", timeout=30)
    with (
        serving(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", closes=False) as server,
        pytest.raises(requests.ConnectionError, match="in time"),
    ):
        session().post(server.url, b"x", timeout=0.5)


def test_a_session_gives_the_content_of_an_answer():
    with serving(OK, b"0123456789") as server:
        assert session().post(server.url, b"x", timeout=30).content == b"0123456789"


def test_a_proxy_that_is_not_supported_is_said_so(monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(Unanswered, match="SOCKS"):
        post("http://collector.invalid", b"x", {})
