"""Websockets through the router."""

import time

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.local.server.routing import KEY, Served

pytestmark = pytest.mark.envoy


def test_a_websocket_passes_and_outlives_the_request_timeout(served: Served):
    address = f"ws://127.0.0.1:{served.ports[0]}/endpoints/quick/ws"
    with connect(address, additional_headers=KEY) as opened:
        opened.send("one")
        assert opened.recv(5) == "one"
        time.sleep(0.6)
        opened.send("two")
        assert opened.recv(5) == "two"


def test_a_websocket_without_a_key_is_401(served: Served):
    with pytest.raises(InvalidStatus, match="401"):
        connect(f"ws://127.0.0.1:{served.ports[0]}/endpoints/chat/ws")
