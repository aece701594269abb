"""Bodies of requests that wait for an instance: what the router keeps of them has a bound."""

import contextlib
import select
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import httpx
import psutil
import pytest

from inference_provider.router.holding import MOST_OF_BODY_BYTES, Held
from tests.local.server.http2 import request_frames
from tests.local.server.model import Model, until
from tests.local.server.routing import KEY, PRIMARY, deployment, endpoint
from tests.local.server.waiting import Waiting, waiting

pytestmark = pytest.mark.envoy
MIB = 1024 * 1024
SCORE = "/endpoints/chat/score"
NO_UNKNOWN = Held(500, MOST_OF_BODY_BYTES - 1)


def chat(*models: Model):
    blue = deployment("blue", *models, patience_s=60, timeout_ms=20_000)
    return endpoint("chat", {"blue": 100}, blue)


def head(method: str, *headers: str) -> bytes:
    lines = (f"{method} {SCORE} HTTP/1.1", "host: router", f"authorization: Bearer {PRIMARY}")
    return "\r\n".join((*lines, *headers, "", "")).encode()


def opened(space: Waiting, request: bytes) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", space.served.ports[0]), 60)
    found.sendall(request)
    return found


def memory_mib(space: Waiting) -> float:
    return psutil.Process(space.served.process.pid).memory_info().rss / MIB


class Sender:
    """Sends one long body, as far as the router takes it."""

    def __init__(self, space: Waiting, size: int) -> None:
        self._left = size
        self.sent = 0
        request = head("POST", f"content-length: {size}", "connection: close")
        before = space.held
        self.socket = opened(space, request)
        until(lambda: space.held > before or self.answered())

    def answered(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])

    def send(self) -> None:
        while self._left:
            some = self.socket.send(b"x" * min(self._left, 65536))
            self._left -= some
            self.sent += some

    def answer(self) -> str:
        return self.socket.makefile("rb").read().decode()


def test_bodies_past_the_bound_are_refused_and_small_ones_wait_on(models: dict[str, Model]):
    with (
        waiting(chat(), most=Held(500, 2 * MOST_OF_BODY_BYTES)) as space,
        ThreadPoolExecutor(64) as pool,
        contextlib.ExitStack() as stack,
    ):

        def small_ones() -> list[Future[httpx.Response]]:
            asked = partial(space.served.ask, "chat/score", content=b"x" * 10_000, timeout=60)
            return [pool.submit(asked, method="POST") for _ in range(10)]

        before_mib = memory_mib(space)
        small = small_ones()
        until(lambda: space.held == 10)
        large = [Sender(space, 24 * MIB) for _ in range(20)]
        for one in large:
            stack.enter_context(one.socket)
        waits = [one for one in large if not one.answered()]
        sending = [pool.submit(one.send) for one in waits]
        until(lambda: all(one.sent >= 16 * MIB for one in waits))
        small += small_ones()
        until(lambda: space.held == 20 + len(waits))
        # Envoy keeps 16 MiB and more of each that waits
        assert memory_mib(space) - before_mib < 150
        refused = [one.answer() for one in large if one not in waits]
        assert len(refused) == 18
        assert all(one.startswith("HTTP/1.1 503 ") for one in refused)
        assert all("\r\nretry-after: 3\r\n" in one for one in refused)
        space.publish(chat(models["blue"]))
        assert {one.result(60).json()["bytes"] for one in small} == {10_000}
        for done in sending:
            done.result(60)
        answers = [one.answer() for one in waits]
        assert [f'"bytes": {24 * MIB}' in one for one in answers] == [True, True]


@pytest.mark.parametrize(
    "request_head",
    [
        head("POST", "transfer-encoding: chunked"),
        head("POST", f"content-length: {40 * MIB}"),
        head("GET", "connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"),
    ],
    ids=["chunked", "long", "websocket"],
)
def test_a_body_that_may_be_long_counts_as_the_longest(request_head: bytes):
    with waiting(chat(), most=NO_UNKNOWN) as space, opened(space, request_head) as caller:
        answer = caller.recv(65536).decode()
        assert answer.startswith("HTTP/1.1 503 ")
        assert "\r\nretry-after: 3\r\n" in answer
        assert space.held == 0


@pytest.mark.parametrize(
    "request_head",
    [head("GET"), head("POST", "content-length: 0"), head("POST", "content-length: 1000")],
    ids=["none", "empty", "short"],
)
def test_a_request_without_a_body_or_with_a_short_one_waits(request_head: bytes):
    with waiting(chat(), most=NO_UNKNOWN) as space, opened(space, request_head):
        until(lambda: space.held == 1)


def test_over_http2_a_body_of_unknown_length_counts_as_the_longest():
    with waiting(chat(), most=NO_UNKNOWN) as space:
        key = KEY["authorization"]
        with opened(space, request_frames("GET", key)):
            until(lambda: space.held == 1)
        until(lambda: space.held == 0)
        with opened(space, request_frames("POST", key, body_follows=True)) as caller:
            found = b""
            while b"retry-after" not in found and b"ServiceUnavailable" not in found:
                found += caller.recv(65536)
            assert space.held == 0
