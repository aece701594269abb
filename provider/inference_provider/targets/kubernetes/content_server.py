"""The program of the content pod: archives of models, code and environments over HTTP.

Goes in: the folder of its volume, and where content lies in a bucket its URL and whose it is. Comes
out: HEAD, GET (with Range), PUT and DELETE of `/assets/<sha256>`, of `/environments/<key>` (the
hash of an archive), a list at `/assets`; at `/bucket` GET says whether it can be used, and DELETE
clears it. Clients come through the API server, instances by the Service. All but reading what one
knows the hash of needs a pass (`content_passes.py`). Imports only the standard library, unless
there is a bucket.
"""

import argparse
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from inference_provider.targets.kubernetes import content_passes, names
from inference_provider.targets.kubernetes.bounded_server import BoundedServer
from inference_provider.targets.kubernetes.content_bucket import (
    Bucket,
    BucketFault,
    BucketFull,
    Owner,
    opened,
    secret_values,
)
from inference_provider.targets.kubernetes.content_cache import ContentCache, Fetching
from inference_provider.targets.kubernetes.content_folder import (
    ContentFolder,
    InUse,
    NotTheContent,
    VolumeFault,
    VolumeFull,
)
from inference_provider.targets.kubernetes.releases import HEADER, this_release

_PART = 2**20
MOST_RECEIVED, _MOST_INTO_BUCKET = 16, 4
"""Archives that arrive at a time: of each a part is in memory, and of a bucket's a larger one."""
_SILENCE_S = 120.0
"""A client that says nothing for so long is gone."""
_END_WAIT_S = 20.0
_LONGEST_LINE = 1024
_ASSET = re.compile(r"/assets/([0-9a-f]{64})")
_ENVIRONMENT = re.compile(r"/environments/([0-9a-f]{64}\.[0-9a-f]{16})")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class NoPass(Exception):
    """Who asks may not do that."""


class ShortBody(Exception):
    """The client went away before it had sent all."""


class Server(BoundedServer):
    """Answers over one folder, each connection in a thread of its own."""

    def __init__(
        self, root: Path, host: str, port: int, token: str = "", bucket: Bucket | None = None
    ) -> None:
        self.folder = ContentCache(root, bucket) if bucket else ContentFolder(root)
        self.token = token
        """What who changes something must show; empty lets everybody."""
        self._count = threading.Condition()
        self._busy = 0
        self.receiving = threading.BoundedSemaphore(_MOST_INTO_BUCKET if bucket else MOST_RECEIVED)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:  # and IPv4 beside it
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count a request, until it is answered."""
        with self._count:
            self._busy += 1
        try:
            yield
        finally:
            with self._count:
                self._busy -= 1
                self._count.notify_all()

    def wait_idle(self, limit_s: float) -> None:
        """Wait until every request is answered, or the time is over."""
        with self._count:
            self._count.wait_for(lambda: not self._busy, limit_s)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "inference-content", ""
    timeout = _SILENCE_S
    wbufsize = 2**16  # head and body in one packet; apart, each small answer takes 40 ms
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client is gone
            super().handle()

    def _do(self) -> None:
        with self.server.answering():
            url = urlsplit(self.path)
            self._unread = _body(self)
            try:
                self._answer_to(url.path, parse_qs(url.query))
            except ShortBody as short:
                self.close_connection = True
                self._say(400, str(short))
            except (VolumeFull, BucketFull) as full:
                self._say(507, str(full))
            except BucketFault as fault:
                self._say(424, f"{fault.reason}\n{fault.remedy}")
            except Fetching as far:
                self._say(503, str(far))
            except VolumeFault as fault:
                self._say(500, str(fault))
            except NotTheContent as other:
                self._say(422, str(other))
            except InUse as used:
                self._say(409, str(used))
            except NoPass:
                self._say(403, "only a client of this workspace may do that")
            self.wfile.flush()  # a server that ends waits for what is counted here

    do_GET = do_HEAD = do_PUT = do_DELETE = _do

    def _answer_to(self, path: str, query: dict[str, list[str]]) -> None:
        method = "GET" if self.command == "HEAD" else self.command
        if found := _ASSET.fullmatch(path):
            return self._asset(method, found[1], query)
        if found := _ENVIRONMENT.fullmatch(path):
            return self._environment(method, found[1])
        if (method, path) == ("GET", "/assets"):
            self._need(content_passes.may_change(self.server.token, self._shown))
            return self._say(200, json.dumps(self.server.folder.listed()))
        if path == "/bucket" and method in ("GET", "DELETE"):
            self._need(content_passes.may_change(self.server.token, self._shown))
            folder = self.server.folder
            (folder.check if method == "GET" else folder.clear)()
            return self._say(200, "ok")
        if (method, path) == ("GET", "/healthz"):
            return self._say(200, "ok")
        return self._say(404, "there is no such path")

    def _asset(self, method: str, digest: str, query: dict[str, list[str]]) -> None:
        folder = self.server.folder
        if method == "PUT":
            self._need(content_passes.may_put(self.server.token, self._shown))
            length = self.headers.get("Content-Length") or ""
            size = int(length) if length.isdecimal() else 0
            folder.fits(size)
            with self.server.receiving:
                folder.receive(digest, self._unread, size)
            return self._say(201, "kept")
        if method == "DELETE":
            self._need(content_passes.may_change(self.server.token, self._shown))
            unused_s = float(query.get("unused_s", ["0"])[0])
            return self._removed(folder.remove(digest, unused_s))
        if self.command == "HEAD":
            return self._tell_size(digest)
        return self._send_asset(digest)

    def _environment(self, method: str, name: str) -> None:
        folder = self.server.folder
        if method == "PUT":
            self._need(content_passes.may_put(self.server.token, self._shown, name))
            digest = b"".join(self._unread).decode(errors="replace")
            if not _ASSET.fullmatch(f"/assets/{digest}"):
                return self._say(400, "the body must be the sha256 of an archive")
            kept = folder.name(name, digest)
            return self._say(201 if kept else 409, "kept" if kept else "another one is kept")
        if method == "DELETE":
            self._need(content_passes.may_change(self.server.token, self._shown))
            return self._removed(folder.unname(name))
        digest_of = folder.named(name)
        return self._say(404 if digest_of is None else 200, digest_of or "not kept")

    def _removed(self, was_there: bool) -> None:
        self._say(200 if was_there else 404, "removed" if was_there else "not kept")

    @property
    def _shown(self) -> str:
        return str(self.headers.get(content_passes.HEADER) or "")

    @staticmethod
    def _need(allowed: bool) -> None:
        if not allowed:
            raise NoPass

    # -- answers -------------------------------------------------------------------------------

    def _say(self, status: int, text: str) -> None:
        try:
            for _ in self._unread:
                pass  # who still sends would not read the answer
        except ShortBody:
            self.close_connection = True
        body = text.encode() + b"\n"
        self._head(status, len(body), {"Content-Type": "text/plain"})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header(HEADER, this_release())
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _tell_size(self, digest: str) -> None:
        size = self.server.folder.size(digest)
        if size is None:
            return self._say(404, "not kept")
        return self._head(200, size, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"})

    def _send_asset(self, digest: str) -> None:
        kept = self.server.folder.opened(digest)
        if kept is None:
            return self._say(404, "not kept")
        with kept:
            size = kept.seek(0, 2)
            span = _span(self.headers.get("Range", ""), size)
            if span is None:
                return self._head(416, 0, {"Content-Range": f"bytes */{size}"})
            start, end = span
            headers = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
            if (start, end) != (0, size):
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
            self._head(206 if "Content-Range" in headers else 200, end - start, headers)
            if end > start:
                self.wfile.flush()
                self.connection.sendfile(kept, start, end - start)
        return None

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.path != "/healthz":
            super().log_request(code, size)


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """Return the first byte that is asked for, and the one after the last; None if there is none.

    Several ranges, and what is no range of bytes, are answered with everything.
    """
    found = _RANGE.fullmatch(asked.strip())
    if not found or found[1] == found[2] == "":
        return 0, size
    if not found[1]:
        return max(0, size - int(found[2])), size
    start, end = int(found[1]), int(found[2] or size) + bool(found[2])
    return (start, min(end, size)) if start < min(end, size) else None


def _body(handler: Handler) -> Iterator[bytes]:
    """Yield the parts of a request's body, once: who goes on with it gets what is left.

    Raises:
        ShortBody: The client went away, or said its length in a way that cannot be read.
    """
    length, coding = (handler.headers.get(n) for n in ("Content-Length", "Transfer-Encoding"))
    read = handler.rfile.read
    try:
        if coding is not None:
            if coding.strip().lower() != "chunked" or length is not None:
                raise ShortBody("the body's length is not said in one way")
            yield from _chunks(handler.rfile.readline, read)
        elif length is not None:
            if not length.isdecimal():
                raise ShortBody("Content-Length is not a number")
            yield from _exactly(int(length), read)
    except (ConnectionError, TimeoutError) as gone:
        raise ShortBody(f"the body ended early: {type(gone).__name__}") from gone


def _exactly(length: int, read: Callable[[int], bytes]) -> Iterator[bytes]:
    left = length
    while left:
        part = read(min(left, _PART))
        if not part:
            raise ShortBody(f"the body ended {left} bytes early")
        left -= len(part)
        yield part


def _chunks(readline: Callable[[int], bytes], read: Callable[[int], bytes]) -> Iterator[bytes]:
    while True:
        size = readline(_LONGEST_LINE).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
            raise ShortBody("the body ended in mid-chunk")
        if int(size, 16) == 0:
            while readline(_LONGEST_LINE).strip():
                pass  # trailers
            return
        yield from _exactly(int(size, 16), read)
        readline(3)


def main() -> None:
    """Serve the folder that the first argument names, until SIGTERM."""
    parser = argparse.ArgumentParser(description="Keep the content of a workspace.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bucket", metavar="URL")
    parser.add_argument("--owner", default="", metavar="NAMESPACE/WORKSPACE")
    parser.add_argument("--variables", type=Path, help="Folder with a file for each.")
    given = parser.parse_args()
    host = "::" if socket.has_dualstack_ipv6() else ""
    token, bucket = os.environ[content_passes.VARIABLE], None
    if given.bucket:
        namespace, _, workspace = given.owner.partition("/")
        owner = Owner(workspace, namespace, content_passes.public_id(token))
        bucket = Bucket(
            given.bucket,
            owner,
            partial(opened, variables=given.variables),
            partial(secret_values, given.variables),
        )
    server = Server(given.folder, host, names.CONTENT_PORT, token, bucket)

    def end(*_given: Any) -> None:
        threading.Thread(target=server.shutdown).start()  # waits for the loop that runs here

    signal.signal(signal.SIGTERM, end)
    with server:
        server.serve_forever(poll_interval=0.1)
        server.wait_idle(_END_WAIT_S)


if __name__ == "__main__":
    main()
