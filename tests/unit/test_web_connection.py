"""Connections to the workspace service, over sockets: what is closed, and from where one is."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp
from tests.unit.test_web import Asking

from inference_provider.web.connection import SERVER, Connection


class Impatient(Connection):
    headers_s, body_s = 0.3, 0.3


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


async def _slow(_request: Request) -> PlainTextResponse:
    await asyncio.sleep(0.9)
    return PlainTextResponse("late")


@contextmanager
def serving(app: ASGIApp, **more) -> Iterator[int]:
    """Serve as the service does, and yield the port."""
    server = uvicorn.Server(uvicorn.Config(app, **{**SERVER, **more}))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    routes = [Route("/", _echo, methods=["POST"]), Route("/slow", _slow)]
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


@pytest.mark.parametrize("shown", [b"10.1.2.3", b"10.1.2.3, 10.1.2.4", b"x", b"::1%x", b""])
def test_a_caller_is_where_its_connection_comes_from_whatever_a_header_says(shown):
    asking = Asking()
    asking.sources = ("10.0.0.0/8",)
    headers = b"X-Forwarded-For: " + shown + b"\r\nForwarded: for=10.1.2.3\r\n" + LAST
    with serving(asking.app) as port:
        assert said(port, b"GET /health HTTP/1.1\r\n" + headers + b"\r\n").startswith(
            b"HTTP/1.1 403 "
        )
