"""A model server in a thread, for tests of the router: says what it was asked.

What it does is chosen by the path: `/sleep/<seconds>`, `/status/<code>`, `/streamed/<code>`,
`/stream`, `/gzip`, `/big/<MiB>`, `/claims/<status>` (with the header of a model's error); any other
answers 200. A websocket on `/count` answers sizes, else an echo.
"""

import asyncio
import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import uvicorn

from inference_provider.router import Backend


def until(question: Callable[[], bool], timeout_s: float = 15) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not question():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


class Model:
    """A model server in a thread: says what it was asked, fails, sleeps, streams, echoes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hits = 0
        self.checks = 0
        self.sizes: list[int] = []
        self.last_headers: dict[str, str] = {}
        self.ready = 200
        config = uvicorn.Config(
            self.answer,
            port=0,
            proxy_headers=False,
            log_level="error",
            lifespan="off",
            ws="websockets-sansio",
            interface="asgi3",
            http="h11",
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)
        self.port: int = self.server.servers[0].sockets[0].getsockname()[1]

    @property
    def backend(self) -> Backend:
        return Backend(host="127.0.0.1", port=self.port)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)

    async def answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            self.last_headers = _headers(scope)
            await _converse(scope["path"], receive, send)
            return
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        path = scope["path"]
        if path == "/ready":
            self.checks += 1
            await _reply(send, self.ready, b"")
            return
        self.hits += 1
        self.sizes.append(size)
        self.last_headers = _headers(scope)
        kind, _, value = path.strip("/").partition("/")
        if kind == "sleep":
            await asyncio.sleep(float(value))
        if kind == "stream":
            await _stream(send, 200)
        elif kind == "streamed":
            await _stream(send, int(value))
        elif kind == "big":
            await _reply(send, 200, b"x" * int(value) * 1024 * 1024)
        elif kind == "claims":
            await _reply(send, 200, b"", (b"ms-azureml-model-error-statuscode", value.encode()))
        elif kind == "gzip":
            await _reply(send, 200, gzip.compress(b"plain"), (b"content-encoding", b"gzip"))
        else:
            body = {"model": self.name, "bytes": size, **_seen(scope)}
            await _reply(send, int(value) if kind == "status" else 200, json.dumps(body).encode())


def _seen(scope: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": _headers(scope),
        "connection": scope["client"][1],
    }


def _headers(scope: dict[str, Any]) -> dict[str, str]:
    return {key.decode(): text.decode("latin-1") for key, text in scope["headers"]}


async def _converse(path: str, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text") or ""
        if path.endswith("/count"):
            text = str(len(message.get("bytes") or text))
        await send({"type": "websocket.send", "text": text})


async def _reply(send: Any, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    body = b"" if status in {204, 304} else body
    headers = [
        (b"content-length", str(len(body)).encode()),
        (b"location", b"/elsewhere"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    for number in range(4):
        await send(
            {"type": "http.response.body", "body": f"{number}\n".encode(), "more_body": True}
        )
        await asyncio.sleep(0.15)
    await send({"type": "http.response.body", "body": b""})


class WsgiModel:
    """A model server in a thread that answers the request's headers as WSGI names them."""

    def __init__(self) -> None:
        class Quiet(WSGIRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

        self.server = make_server("127.0.0.1", 0, self.answer, handler_class=Quiet)
        self.backend = Backend(host="127.0.0.1", port=self.server.server_port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [json.dumps({k: v for k, v in environ.items() if k.startswith("HTTP_")}).encode()]


class RawModel:
    """A model server that no HTTP library corrects.

    It answers `/<code>` with that code and does not wait for the body, closes on `/cut`, and reads
    no more on `/stuck`. `seen` has the first line of every request.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.stuck = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.backend = Backend(host="127.0.0.1", port=self.socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.stuck.set()
        self.socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                opened, _ = self.socket.accept()
                threading.Thread(target=self._answer, args=(opened,), daemon=True).start()

    def _answer(self, opened: socket.socket) -> None:
        """Answer one request a connection."""
        with opened, contextlib.suppress(OSError):
            line = opened.recv(65536).decode(errors="replace").split("\r\n")[0]
            path = line.split(" ")[1]
            if path == "/ready":
                opened.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                return
            self.seen.append(line)
            if path == "/cut" or (path == "/stuck" and self.stuck.wait(60)):
                return
            head = f"HTTP/1.1 {path[1:]} Said\r\ncontent-length: 5\r\nx-azml-error: router\r\n"
            head += "ms-azureml-model-error-statuscode: abc\r\n"
            opened.sendall(f"{head}connection: close\r\n\r\nmodel".encode())
            opened.shutdown(socket.SHUT_WR)
            while opened.recv(65536):  # else what is unread would reset the connection
                pass
