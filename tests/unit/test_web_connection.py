"""Connections to the workspace service, over sockets: what is closed, and from where one is."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp
from tests.local.server.certificates import caller_of, generated, trusting
from tests.unit.web.asking import Asking

from inference_provider.console.connection import SERVER, Connection
from inference_provider.console.listener import owner_of
from inference_provider.web.listener import Loop, listening
from inference_provider.web.log import Log
from inference_provider.web.tls import Handshakes, context_of


class Impatient(Connection):
    headers_s, body_s, answer_s = 0.3, 0.3, 0.3


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


async def _long(_request: Request) -> PlainTextResponse:
    return PlainTextResponse(b"x" * (32 << 20))


async def _slow(_request: Request) -> PlainTextResponse:
    await asyncio.sleep(0.9)
    return PlainTextResponse("late")


@contextmanager
def serving(app: ASGIApp, most: int = 500, most_of_one: int = 100, **more) -> Iterator[int]:
    """Serve as the service does, and yield the port."""
    server = uvicorn.Server(uvicorn.Config(app, **{**SERVER, **more}))
    with listening("127.0.0.1", 0, Log()) as listener:
        listener.most, listener.most_of_one = most, most_of_one
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    routes = [Route("/", _echo, methods=["POST"]), Route("/slow", _slow), Route("/long", _long)]
    with serving(Starlette(routes=routes), http=Impatient) as found:
        yield found


def said(port: int, *pieces: bytes) -> bytes:
    """Send pieces, a while apart, and return all that comes until the other side closes."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as asker:
        for piece in pieces:
            with contextlib.suppress(ConnectionError):
                asker.sendall(piece)
        with contextlib.suppress(ConnectionError):
            while piece := asker.recv(65536):
                got += piece
    return got


LAST = b"Host: x\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\n" + LAST + b"\r\nab",
    ],
    ids=["nothing", "half a line", "half the headers", "half the body"],
)
def test_a_request_that_does_not_come_whole_is_not_waited_for(port, sent):
    assert said(port, sent) == b""


def test_a_whole_request_is_waited_for_as_long_as_it_takes(port):
    assert said(port, b"GET /slow HTTP/1.1\r\n" + LAST + b"\r\n").endswith(b"late")
    whole = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n" + LAST + b"\r\n"
    assert said(port, whole, b"abcde").endswith(b"abcde")


def test_the_next_request_of_a_connection_has_the_same_limit(port):
    first = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"
    assert said(port, first, b"POST / HTTP/1.1\r\nHo").count(b"HTTP/1.1 200") == 1


def test_a_request_right_behind_another_has_the_same_limits(port):
    first = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    second = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"
    assert said(port, first + second).count(b"HTTP/1.1 ") == 1


def test_who_takes_nothing_of_an_answer_is_not_waited_for(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as asker:
        asker.sendall(b"GET /long HTTP/1.1\r\n" + LAST + b"\r\n")
        time.sleep(1)
        got = 0
        with contextlib.suppress(ConnectionError):
            while piece := asker.recv(1 << 20):
                got += len(piece)
    assert got < 32 << 20


@pytest.mark.parametrize("limit", [{"most": 3}, {"most_of_one": 3}], ids=["of all", "of one"])
def test_connections_above_the_limit_are_closed_and_one_that_ends_makes_room(limit):
    def is_open(one: socket.socket) -> bool:
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return one.recv(1) != b""
        return True

    with contextlib.ExitStack() as stack:
        port = stack.enter_context(serving(Starlette(), **limit))
        ask = partial(socket.create_connection, ("127.0.0.1", port))
        held = [stack.enter_context(ask()) for _ in range(5)]
        assert held[3].recv(1) == held[4].recv(1) == b""
        assert [is_open(one) for one in held[:3]] == [True, True, True]
        held[0].close()
        until_s = time.monotonic() + 20
        while not (there := b"404" in said(port, b"GET / HTTP/1.1\r\n" + LAST + b"\r\n")):
            assert time.monotonic() < until_s
        assert there


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7", "10.0.0.8", False),
        ("10.0.0.7", "::ffff:10.0.0.7", True),
        ("127.0.0.1", "127.8.9.1", True),
        ("127.0.0.1", "::1", True),
        ("2001:db8:0:1::5", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::5", "2001:db8:0:2::5", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
    ],
)
def test_addresses_that_one_caller_may_take_count_as_one(one, other, same):
    assert (owner_of(one) == owner_of(other)) is same


def test_who_speaks_tls_is_answered():
    kept = generated()
    context = context_of(kept.tls)
    routes = [Route("/", _echo, methods=["POST"])]
    with serving(Starlette(routes=routes), ssl_context_factory=lambda *_: context) as port:
        url = f"https://127.0.0.1:{port}/"
        answers = [httpx.post(url, content=b"x" * n, verify=trusting(kept)) for n in (1, 1 << 20)]
    assert [len(one.content) for one in answers] == [1, 1 << 20]


class ImpatientLoop(Loop):
    handshake_s = 0.3


def test_a_handshake_that_does_not_come_is_not_waited_for():
    context = context_of(generated().tls)

    async def served() -> bytes:
        config = uvicorn.Config(Starlette(), **SERVER, ssl_context_factory=lambda *_: context)
        server = uvicorn.Server(config)
        with listening("127.0.0.1", 0, Log()) as listener:
            running = asyncio.create_task(server.serve(sockets=[listener]))
            port = listener.getsockname()[1]
            got = await asyncio.to_thread(said, port)
            server.should_exit = True
            await running
        return got

    with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
        assert runner.run(served()) == b""


def test_a_new_certificate_ends_no_connection_and_other_settings_do():
    first = generated()
    handshakes = Handshakes(first.tls)

    def made() -> ssl.SSLObject:
        return handshakes.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)

    before = made()
    handshakes.renew(generated(first, names=["b.example.org"]).tls)
    assert not handshakes.is_over(before)
    other = first.tls.model_copy(update={"minimum_version": "1.3"})
    handshakes.renew(other)
    assert handshakes.is_over(before)
    assert not handshakes.is_over(made())
    assert not handshakes.is_over(None)
    assert handshakes.shown == other


def test_who_may_call_by_a_certificate_is_decided_by_the_newest_settings(tmp_path):
    first, known, other = generated(), generated(), generated()
    handshakes = Handshakes(first.tls.model_copy(update={"client_ca": known.trusted}))
    routes = [Route("/", _echo, methods=["POST"])]

    def answered(caller) -> bool:
        try:
            shown = trusting(first, caller_of(caller, tmp_path / "caller.pem"))
            return httpx.post(url, content=b"x", verify=shown).content == b"x"
        except httpx.TransportError:
            return False

    with serving(Starlette(routes=routes), ssl_context_factory=lambda *_: handshakes) as port:
        url = f"https://127.0.0.1:{port}/"
        assert [answered(known), answered(other)] == [True, False]
        handshakes.renew(first.tls.model_copy(update={"client_ca": other.trusted}))
        assert [answered(known), answered(other)] == [False, True]


def test_a_certificate_that_cannot_be_shown_leaves_the_one_before():
    first = generated()
    handshakes = Handshakes(first.tls)
    strange = first.tls.model_copy(update={"certificate": generated().tls.certificate})
    with pytest.raises(OSError, match=r"KEY_VALUES_MISMATCH|key values mismatch"):
        handshakes.renew(strange)
    assert handshakes.shown == first.tls
    routes = [Route("/", _echo, methods=["POST"])]
    with serving(Starlette(routes=routes), ssl_context_factory=lambda *_: handshakes) as port:
        url = f"https://127.0.0.1:{port}/"
        assert httpx.post(url, content=b"x", verify=trusting(first)).content == b"x"


@pytest.mark.parametrize("shown", [b"10.1.2.3", b"10.1.2.3, 10.1.2.4", b"x", b"::1%x", b""])
def test_a_caller_is_where_its_connection_comes_from_whatever_a_header_says(shown):
    asking = Asking()
    asking.sources = ("10.0.0.0/8",)
    headers = b"X-Forwarded-For: " + shown + b"\r\nForwarded: for=10.1.2.3\r\n" + LAST
    with serving(asking.app) as port:
        assert said(port, b"GET /health HTTP/1.1\r\n" + headers + b"\r\n").startswith(
            b"HTTP/1.1 403 "
        )
