"""Which status a caller gets, and whose fault it says it is."""

import collections
import concurrent.futures

import pytest

from tests.local.server.routing import Served, code_of

pytestmark = pytest.mark.envoy


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


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503, 504])
def test_an_error_of_the_model_is_424_with_its_status(served: Served, status: int):
    found = served.ask(f"chat/status/{status}")
    assert found.status_code == 424
    assert found.headers["ms-azureml-model-error-statuscode"] == str(status)
    assert found.headers["ms-azureml-model-error-reason"]
    assert found.headers["azureml-model-deployment"] == "blue"
    assert found.json()["model"] == "blue"


@pytest.mark.parametrize("status", [201, 204, 302, 307])
def test_what_is_no_error_of_the_model_passes(served: Served, status: int):
    assert served.ask(f"chat/status/{status}").status_code == status


def test_over_twice_the_concurrency_is_429_with_retry_after(served: Served):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: served.ask("narrow/sleep/0.8"), range(8)))
    assert collections.Counter(one.status_code for one in found) == {200: 2, 429: 6}
    refused = next(one for one in found if one.status_code == 429)
    assert (refused.headers["retry-after"], code_of(refused)[1]) == ("1", "TooManyRequests")


@pytest.mark.parametrize(
    "path",
    ["chat/score", "chat/status/500", "nobody/score", "idle/score", "bare/score", "chat/%2f..%2f",
     "quick/sleep/1"],
)  # fmt: skip
def test_every_answer_carries_a_request_id(served: Served, path: str):
    assert served.ask(path).headers["x-request-id"]


def test_a_request_id_of_the_caller_is_kept(served: Served):
    found = served.ask("chat/score", headers={"x-request-id": "mine-1"})
    assert found.headers["x-request-id"] == "mine-1"
    assert found.json()["headers"]["x-request-id"] == "mine-1"
