"""Connections to the workspace service that say nothing are closed."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from inference_provider.web.connection import Connection


class Impatient(Connection):
    headers_s, body_s = 0.3, 0.3


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


async def _slow(_request: Request) -> PlainTextResponse:
    await asyncio.sleep(0.9)
    return PlainTextResponse("late")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    routes = [Route("/", _echo, methods=["POST"]), Route("/slow", _slow)]
    config = uvicorn.Config(
        Starlette(routes=routes), http=Impatient, log_level="critical", ws="none"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10)


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
