"""Which status a caller gets, and whose fault it says it is."""

import collections
import concurrent.futures
import http.client
import json
import time

import pytest

from tests.local.server.model import Model, RawModel
from tests.local.server.routing import KEY, Served, code_of, raw_get

pytestmark = pytest.mark.envoy
ANSWERED = (
    *("chat/score", "chat/status/500", "nobody/score", "idle/score", "bare/score", "chat/%2f"),
    *("quick/sleep/1", "raw/no-code", "raw/cut"),
)
"""One path for each kind of answer: the model's, its error, and the router's."""


def test_errors_of_the_router_are_not_errors_of_the_model(served: Served):
    found = {
        "no endpoint": code_of(served.ask("nobody/score")),
        "no deployment": code_of(served.ask("chat/score", pin="red")),
        "no traffic": code_of(served.ask("idle/score")),
        "no backend": code_of(served.ask("bare/score")),
        "no backend, pinned": code_of(served.ask("bare/score", pin="blue")),
        "too slow": code_of(served.ask("quick/sleep/1")),
    }
    assert found == {
        "no endpoint": (404, "EndpointNotFound"),
        "no deployment": (404, "DeploymentNotFound"),
        "no traffic": (404, "NoTraffic"),
        "no backend": (503, "ServiceUnavailable"),
        "no backend, pinned": (503, "ServiceUnavailable"),
        "too slow": (408, "RequestTimeout"),
    }


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 408, 413, 418, 424, 429, 499, 500, 502, 503, 504, 599]
)
def test_an_error_of_the_model_is_424_with_its_status(served: Served, status: int):
    found = served.ask(f"chat/status/{status}")
    assert found.status_code == 424
    assert found.headers["ms-azureml-model-error-statuscode"] == str(status)
    assert found.headers["ms-azureml-model-error-reason"]
    assert found.headers["azureml-model-deployment"] == "blue"
    assert found.json()["model"] == "blue"


@pytest.mark.parametrize("status", [201, 204, 300, 301, 302, 304, 307, 308])
def test_what_is_no_error_of_the_model_passes(served: Served, status: int):
    found = served.ask(f"chat/status/{status}")
    assert (found.status_code, found.headers.get("location")) == (status, "/elsewhere"), found.text
    assert "ms-azureml-model-error-statuscode" not in found.headers


@pytest.mark.parametrize("code", ["404", "500", "600", "999"])
def test_a_model_that_marks_its_error_as_the_routers_is_424_all_the_same(served: Served, code: str):
    found = served.ask(f"raw/{code}")
    assert (found.status_code, found.text) == (424, "model")
    assert found.headers["ms-azureml-model-error-statuscode"] == code
    assert "x-azml-error" not in found.headers


def test_an_error_given_before_the_body_was_read_is_424(served: Served):
    connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)
    connection.putrequest("POST", "/endpoints/raw/413")
    connection.putheader("authorization", KEY["authorization"])
    connection.putheader("content-length", "1000000")
    connection.endheaders(b"x" * 1000)
    found = connection.getresponse()
    assert (found.status, found.read()) == (424, b"model")
    assert found.headers["ms-azureml-model-error-statuscode"] == "413"
    connection.close()


def test_a_streamed_error_arrives_piece_by_piece_as_424(served: Served):
    with served.client.stream("GET", "/endpoints/chat/streamed/500", headers=KEY) as answer:
        pieces = [(line, time.monotonic()) for line in answer.iter_lines()]
    assert (answer.status_code, [line for line, _ in pieces]) == (424, ["0", "1", "2", "3"])
    assert answer.headers["ms-azureml-model-error-statuscode"] == "500"
    assert pieces[3][1] - pieces[0][1] > 0.3


def test_an_error_answered_to_head_is_424_without_a_body(served: Served):
    found = served.ask("chat/status/500", method="HEAD")
    assert (found.status_code, found.content) == (424, b"")
    assert found.headers["ms-azureml-model-error-statuscode"] == "500"
    assert int(found.headers["content-length"]) > 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_the_model_took_and_dropped_is_503_and_is_not_sent_again(
    served: Served, raw_model: RawModel, method: str
):
    raw_model.seen.clear()
    assert code_of(served.ask("raw/cut", method=method)) == (503, "ServiceUnavailable")
    assert raw_model.seen == [f"{method} /cut HTTP/1.1"]


def test_an_answer_of_the_model_that_is_no_http_is_502(served: Served):
    assert code_of(served.ask("raw/no-code")) == (502, "BadGateway")


def test_a_request_that_ran_out_of_time_is_not_sent_again(served: Served, models: dict[str, Model]):
    before = models["blue"].hits
    assert code_of(served.ask("quick/sleep/0.6")) == (408, "RequestTimeout")
    assert models["blue"].hits == before + 1


def test_an_upgrade_to_anything_but_websocket_is_403(served: Served):
    found = served.ask("chat/score", headers={"connection": "upgrade", "upgrade": "other"})
    assert code_of(found) == (403, "Forbidden")


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        pytest.param(raw_get("/endpoints/chat/a%2fb"), "HTTP/1.1 400", id="encoded slash"),
        pytest.param("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400", id="no host"),
        pytest.param(raw_get("/endpoints/chat/x", method="FOO"), "HTTP/1.1 400", id="method"),
        pytest.param(raw_get("/", f"a: {'b' * 70000}"), "HTTP/1.1 431", id="long header"),
        pytest.param("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 426", id="HTTP 1.0"),
    ],
)
def test_what_is_refused_unread_is_refused_in_json_with_a_request_id(
    served: Served, request_text: str, expected: str
):
    head, _, body = served.raw(request_text).partition("\r\n\r\n")
    assert head.startswith(expected)
    assert "\r\nx-request-id: " in head
    assert "\r\nx-azml-error: router\r\n" in head
    assert json.loads(body)["error"]["message"] != ""


def test_over_twice_the_concurrency_is_429_with_retry_after(served: Served):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: served.ask("narrow/sleep/0.8"), range(8)))
    assert collections.Counter(one.status_code for one in found) == {200: 2, 429: 6}
    refused = next(one for one in found if one.status_code == 429)
    assert (refused.headers["retry-after"], code_of(refused)[1]) == ("1", "TooManyRequests")


@pytest.mark.parametrize("path", [*ANSWERED, "chat/status/404", "chat/%2f..%2f"])
def test_every_answer_carries_a_request_id(served: Served, path: str):
    assert served.ask(path).headers["x-request-id"]


@pytest.mark.parametrize("path", ANSWERED)
def test_a_request_id_of_the_caller_is_kept(served: Served, path: str):
    assert served.ask(path, headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"


def test_the_model_is_told_the_request_id(served: Served):
    found = served.ask("chat/score")
    assert found.json()["headers"]["x-request-id"] == found.headers["x-request-id"]
    asked = {"x-request-id": "mine-1", "x-ms-client-request-id": "theirs"}
    told = served.ask("chat/score", headers=asked).json()["headers"]
    assert {name: told[name] for name in asked} == asked
