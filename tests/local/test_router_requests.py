"""What of a request reaches the model: method, path, body, stream."""

import contextlib
import http.client
import time

import pytest

from tests.local.server.routing import KEY, Served

pytestmark = pytest.mark.envoy


def test_a_caller_cannot_change_the_limits_of_a_route(served: Served):
    asked = {"x-envoy-upstream-rq-timeout-ms": "60000"}
    assert served.ask("quick/sleep/1", headers=asked).status_code == 408


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_and_sub_path_passes(served: Served, method: str):
    found = served.ask("chat/a/b/swagger.json?version=3", method=method).json()
    assert (found["method"], found["path"]) == (method, "/a/b/swagger.json")
    assert found["query"] == "version=3"


def test_score_goes_to_the_scoring_path(served: Served):
    paths = [served.ask(f"other/{path}").json()["path"] for path in ("score", "score?a=1", "x")]
    assert paths == ["/v1/x:predict", "/v1/x:predict", "/x"]
    assert served.ask("other/score", pin="blue").json()["path"] == "/v1/x:predict"


def test_a_path_cannot_leave_its_endpoint(served: Served):
    assert served.ask("chat/%2f..%2f..%2fidle/score").status_code == 400


def test_a_body_of_20_mb_passes(served: Served):
    found = served.ask("chat/score", method="POST", content=b"x" * 20_000_000)
    assert found.json()["bytes"] == 20_000_000


def test_a_body_over_the_limit_is_413(served: Served):
    connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)
    connection.putrequest("POST", "/endpoints/chat/score")
    connection.putheader("authorization", KEY["authorization"])
    connection.putheader("content-length", str(101 * 1024 * 1024))
    connection.endheaders()
    with contextlib.suppress(OSError):
        for _ in range(101):
            connection.send(b"x" * 1024 * 1024)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_stream_arrives_piece_by_piece(served: Served):
    arrived: list[float] = []
    with served.client.stream("GET", "/endpoints/chat/stream", headers=KEY) as answer:
        for _ in answer.iter_lines():
            arrived.append(time.monotonic())
    assert len(arrived) == 4
    assert arrived[3] - arrived[0] > 0.3
