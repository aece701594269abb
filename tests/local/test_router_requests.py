"""What of a request reaches the model: method, path, body, stream."""

import contextlib
import gzip
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from inference_provider.router import EndpointEntry
from tests.local.server.model import Model
from tests.local.server.routing import KEY, Served, deployment, endpoint, raw_get, serving

pytestmark = pytest.mark.envoy
MIB = 1024 * 1024


@pytest.mark.parametrize(
    "header",
    [
        "x-envoy-upstream-rq-timeout-ms: 60000",
        "x-envoy-upstream-rq-per-try-timeout-ms: 1",
        "x-envoy-hedge-on-per-try-timeout: true",
        "x-envoy-upstream-alt-stat-name: mine",
        "x-envoy-max-retries: 5",
        "x-envoy-internal: true",
    ],
)
def test_a_caller_cannot_change_the_limits_of_a_route(served: Served, header: str):
    name, _, value = header.partition(": ")
    assert served.ask("quick/sleep/0.6", headers={name: value}).status_code == 408
    assert name not in served.ask("quick/score", headers={name: value}).json()["headers"]


def test_a_caller_cannot_let_the_router_ask_again(served: Served, models: dict[str, Model]):
    before = models["blue"].hits
    asked = {"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "5"}
    assert served.ask("chat/status/503", headers=asked).status_code == 424
    assert models["blue"].hits == before + 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_but_trace_and_sub_path_passes(served: Served, method: str):
    found = served.ask("chat/a/b/swagger.json?version=3", method=method).json()
    assert (found["method"], found["path"]) == (method, "/a/b/swagger.json")
    assert found["query"] == "version=3"


def test_score_goes_to_the_scoring_path(served: Served):
    paths = [served.ask(f"other/{path}").json()["path"] for path in ("score", "score?a=1", "x")]
    assert paths == ["/v1/x:predict", "/v1/x:predict", "/x"]
    assert served.ask("other/score", pin="blue").json()["path"] == "/v1/x:predict"


@pytest.mark.parametrize(
    ("asked", "path", "query"),
    [
        ("/a%20b", "/a%20b", ""),
        ("/%E2%82%AC", "/%E2%82%AC", ""),
        ("/a;b=c/d:e@f,g", "/a;b=c/d:e@f,g", ""),
        ("/score?x=%2F%20&y=1&y=2&z", "/score", "x=%2F%20&y=1&y=2&z"),
        ("/a/endpoints/other/score", "/a/endpoints/other/score", ""),
        ("/", "/", ""),
        ("/%41%2D", "/A-", ""),
        ("//a///b", "/a/b", ""),
        ("/a/../b", "/b", ""),
    ],
)
def test_path_and_query_are_passed_on_in_their_one_normal_form(
    served: Served, asked: str, path: str, query: str
):
    found = json.loads(served.raw(raw_get(f"/endpoints/chat{asked}")).partition("\r\n\r\n")[2])
    assert (found["model"], found["raw_path"], found["query"]) == ("blue", path, query)


@pytest.mark.parametrize("path", ["%2f..%2f..%2fidle/score", "a%2Fb", "a%5cb", "%00"])
def test_a_path_cannot_leave_its_endpoint(served: Served, path: str):
    assert served.raw(raw_get(f"/endpoints/chat/{path}")).startswith("HTTP/1.1 400 ")


def test_dots_are_resolved_before_the_endpoint_is_chosen(served: Served):
    assert "NoTraffic" in served.raw(raw_get("/endpoints/chat/../idle/score"))
    assert "EndpointNotFound" in served.raw(raw_get("/endpoints/chat/../../etc/passwd"))


@pytest.mark.parametrize("path", ["chat", "chatty/score", "cha/score", "CHAT/score"])
def test_a_name_that_is_nearly_an_endpoints_is_none(served: Served, path: str):
    assert "EndpointNotFound" in served.raw(raw_get(f"/endpoints/{path}"))


def test_a_body_of_20_mb_passes(served: Served):
    found = served.ask("chat/score", method="POST", content=b"x" * 20_000_000)
    assert found.json()["bytes"] == 20_000_000


def upload(
    served: Served, size: int, chunked: bool, of: str = "chat", pin: str = ""
) -> tuple[int, bytes]:
    """Send a body in pieces of 1 MiB; return what was answered, were it before the end."""
    connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)
    connection.putrequest("POST", f"/endpoints/{of}/score")
    connection.putheader("authorization", KEY["authorization"])
    if pin:
        connection.putheader("azureml-model-deployment", pin)
    name, value = ("transfer-encoding", "chunked") if chunked else ("content-length", str(size))
    connection.putheader(name, value)
    connection.endheaders()
    with contextlib.suppress(OSError):
        for start in range(0, size, MIB):
            piece = b"x" * min(MIB, size - start)
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        connection.send(b"0\r\n\r\n" if chunked else b"")
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize("size", [60 * MIB, 100 * MIB])
def test_a_body_up_to_the_limit_passes(served: Served, size: int, chunked: bool):
    status, body = upload(served, size, chunked)
    assert (status, json.loads(body)["bytes"]) == (200, size)


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_body_over_the_limit_is_413(served: Served, chunked: bool):
    status, body = upload(served, 100 * MIB + 1, chunked)
    assert (status, json.loads(body)["error"]["code"]) == (413, "PayloadTooLarge")


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_an_endpoint_has_its_own_largest_body(models: dict[str, Model], chunked: bool):
    def sized(name: str, mib: int) -> EndpointEntry:
        one = deployment("blue", models["blue"], timeout_ms=20000)
        return endpoint(name, {"blue": 100}, one, max_body_mib=mib)

    def answer(size: int, of: str, pin: str = "") -> int | str:
        status, body = upload(served, size, chunked, of, pin)
        found = json.loads(body)
        return found["bytes"] if status == 200 else f"{status} {found['error']['message']}"

    with serving(sized("small", 1), sized("large", 120), sized("chat", 100)) as served:
        assert [answer(MIB, "small"), answer(MIB, "small", "blue")] == [MIB, MIB]
        refused = "413 the body is over 1 MiB"
        assert answer(MIB + 1, "small") == answer(MIB + 1, "small", "blue") == refused
        assert answer(120 * MIB, "large") == 120 * MIB
        assert answer(120 * MIB + 1, "large") == "413 the body is over 120 MiB"
        assert answer(100 * MIB + 1, "chat") == "413 the body is over 100 MiB"
        before = served.versions()
        served.router.publish(served.table(sized("small", 2), sized("large", 120)))
        assert answer(MIB + 1, "small") == MIB + 1
        listener = "listener_manager.lds.version_text"
        assert served.versions()[listener] == before[listener]  # no connection is closed


def test_a_body_is_asked_for_before_it_is_sent_where_the_caller_wants_it(served: Served):
    head = raw_get("/endpoints/chat/a", "expect: 100-continue", "content-length: 5", method="POST")
    with socket.create_connection(("127.0.0.1", served.ports[0]), 5) as opened:
        opened.sendall(head.encode())
        assert opened.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        opened.sendall(b"hello")
        assert opened.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_compressed_bodies_pass_as_they_are(served: Served):
    body = gzip.compress(b"asked" * 100)
    asked = {"content-encoding": "gzip", "accept-encoding": "gzip"}
    found = served.ask("chat/score", method="POST", content=body, headers=asked).json()
    assert (found["bytes"], found["headers"]["content-encoding"]) == (len(body), "gzip")
    with served.client.stream("GET", "/endpoints/chat/gzip", headers=KEY) as answer:
        raw = b"".join(answer.iter_raw())
    assert (answer.headers["content-encoding"], gzip.decompress(raw)) == ("gzip", b"plain")


def test_a_stream_arrives_piece_by_piece(served: Served):
    arrived: list[float] = []
    with served.client.stream("GET", "/endpoints/chat/stream", headers=KEY) as answer:
        for _ in answer.iter_lines():
            arrived.append(time.monotonic())
    assert len(arrived) == 4
    assert arrived[3] - arrived[0] > 0.3


def test_an_answer_has_no_limit_of_size(served: Served):
    with served.client.stream("GET", "/endpoints/chat/big/120", headers=KEY) as answer:
        assert sum(len(piece) for piece in answer.iter_raw()) == 120 * MIB


def test_a_body_with_two_lengths_is_refused(served: Served):
    two = ("content-length: 5", "transfer-encoding: chunked")
    found = served.raw(raw_get("/endpoints/chat/score", *two, method="POST") + "0\r\n\r\nGET /")
    assert found.startswith("HTTP/1.1 400 ")
    assert found.count("HTTP/1.1") == 1


def test_a_streamed_answer_is_cut_when_the_deployments_time_is_over(served: Served):
    with (
        served.client.stream("GET", "/endpoints/quick/stream", headers=KEY) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        answer.read()
    assert answer.status_code == 200


def test_the_time_of_a_request_starts_with_its_last_byte(served: Served):
    def slowly() -> Iterator[bytes]:
        for _ in range(4):
            yield b"x"
            time.sleep(0.15)

    assert served.ask("quick/score", method="POST", content=slowly()).json()["bytes"] == 4


OURS = ("x-azml-client", "azureml-model-deployment", "x-request-id", "x-ms-client-request-id")


@pytest.mark.parametrize("written", [str.lower, str.upper, lambda name: name.replace("_", "-", 1)])
def test_a_header_with_an_underscore_is_not_read_as_one_of_ours(
    served: Served, written: Callable[[str], str]
):
    names = [written(name.replace("-", "_")) for name in OURS]
    asked = [*(f"{name}: claimed" for name in names), "x-request-id: own"]
    answer = served.raw(raw_get("/endpoints/wsgi/score", *asked))
    environ = json.loads(answer.partition("\r\n\r\n")[2])
    assert (environ["HTTP_X_AZML_CLIENT"], environ["HTTP_X_REQUEST_ID"]) == ("primary", "own")
    assert "claimed" not in environ.values()


@pytest.mark.parametrize("name", ["authorization_", "x_forwarded_proto", "x_anything"])
def test_no_header_with_an_underscore_reaches_a_model(served: Served, name: str):
    answer = served.ask("wsgi/score", headers={name: "claimed"})
    assert answer.status_code == 200
    assert "claimed" not in answer.text
