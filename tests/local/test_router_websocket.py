"""Websockets through the router."""

import json
import time

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.local.server.model import Model
from tests.local.server.routing import KEY, PRIMARY, Served

pytestmark = pytest.mark.envoy


def test_a_websocket_passes_and_outlives_the_request_timeout(served: Served):
    address = f"ws://127.0.0.1:{served.ports[0]}/endpoints/quick/ws"
    with connect(address, additional_headers=KEY) as opened:
        opened.send("one")
        assert opened.recv(5) == "one"
        time.sleep(0.6)
        opened.send("two")
        assert opened.recv(5) == "two"


@pytest.mark.parametrize("value", ["", PRIMARY, f"Basic {PRIMARY}"])
def test_a_websocket_without_a_key_or_its_scheme_is_401(served: Served, value: str):
    asked = {"authorization": value} if value else {}
    with pytest.raises(InvalidStatus, match="401"):
        connect(f"ws://127.0.0.1:{served.ports[0]}/endpoints/chat/ws", additional_headers=asked)


def test_a_websockets_scheme_has_no_case(served: Served, models: dict[str, Model]):
    address = f"ws://127.0.0.1:{served.ports[0]}/endpoints/chat/ws"
    with connect(address, additional_headers={"authorization": f"bearer {PRIMARY}"}) as opened:
        opened.send("one")
        assert opened.recv(5) == "one"
    assert PRIMARY not in str(models["blue"].last_headers)


def test_more_than_a_bodys_limit_passes_through_one_websocket(served: Served):
    address = f"ws://127.0.0.1:{served.ports[0]}/endpoints/chat/count"
    piece = b"x" * 1024 * 1024
    with connect(address, additional_headers=KEY, compression=None) as opened:
        for _ in range(110):
            opened.send(piece)
            assert opened.recv(5) == str(len(piece))


def refused(served: Served, path: str, **headers: str) -> tuple[int, str]:
    address = f"ws://127.0.0.1:{served.ports[0]}/endpoints/{path}"
    with pytest.raises(InvalidStatus) as raised:
        connect(address, additional_headers=KEY | headers)
    answer = raised.value.response
    return answer.status_code, json.loads(answer.body or b"{}")["error"]["code"]


def test_a_websocket_to_nowhere_is_refused_as_any_other_request(served: Served):
    assert refused(served, "nobody/ws") == (404, "EndpointNotFound")
    assert refused(served, "idle/ws") == (404, "NoTraffic")
    assert refused(served, "bare/ws") == (503, "ServiceUnavailable")
    unknown = {"azureml-model-deployment": "red"}
    assert refused(served, "chat/ws", **unknown) == (404, "DeploymentNotFound")


def test_a_model_that_refuses_a_websocket_is_424(served: Served):
    with pytest.raises(InvalidStatus) as raised:
        connect(f"ws://127.0.0.1:{served.ports[0]}/endpoints/raw/403", additional_headers=KEY)
    answer = raised.value.response
    assert (answer.status_code, bytes(answer.body or b"")) == (424, b"model")
    assert answer.headers["ms-azureml-model-error-statuscode"] == "403"


def test_a_websocket_may_be_pinned_and_its_key_stays_outside(
    served: Served, models: dict[str, Model]
):
    address = f"ws://127.0.0.1:{served.ports[0]}/endpoints/chat/ws"
    pinned = {"azureml-model-deployment": "green"}
    with connect(address, additional_headers=KEY | pinned) as opened:
        assert opened.response is not None
        assert opened.response.headers["azureml-model-deployment"] == "green"
    assert "authorization" not in models["green"].last_headers
    assert models["green"].last_headers["x-azml-client"] == "primary"


def test_an_upgrade_cannot_claim_an_identity(served: Served, models: dict[str, Model]):
    address = f"ws://127.0.0.1:{served.ports[0]}/endpoints/chat/ws"
    with connect(address, additional_headers=KEY | {"x-azml-client": "somebody-else"}):
        pass
    assert models["blue"].last_headers["x-azml-client"] == "primary"
