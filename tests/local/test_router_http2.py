"""HTTP/2 in clear text, and what becomes of gRPC."""

import socket
import struct

import grpc
import pytest

from tests.local.server.http2 import answered
from tests.local.server.routing import KEY, PRIMARY, Served

pytestmark = pytest.mark.envoy
SETTINGS = struct.pack(">HBBBI", 0, 0, 4, 0, 0)
MAX_CONCURRENT_STREAMS = 3


def status(served: Served, *keys: str) -> str:
    """Ask in HTTP/2 without an upgrade."""
    asked = {":method": "GET", ":scheme": "http", ":path": "/endpoints/chat/score"}
    headers = [*asked.items(), (":authority", "router"), *(("authorization", key) for key in keys)]
    return answered(served, headers)


def test_a_connection_takes_so_many_requests_at_once_and_no_more(served: Served):
    with socket.create_connection(("127.0.0.1", served.ports[0]), 5) as opened:
        opened.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS)
        frames = opened.makefile("rb")
        high, low, kind, _, _ = struct.unpack(">HBBBI", frames.read(9))
        body = frames.read(high * 256 + low)
    assert kind == 4
    settings = dict(struct.iter_unpack(">HI", body))
    assert settings[MAX_CONCURRENT_STREAMS] == 100


def test_http2_without_an_upgrade_is_understood(served: Served):
    assert status(served, KEY["authorization"]) == "200"


@pytest.mark.parametrize(
    ("keys", "let_in"),
    [
        ([f"bearer {PRIMARY}"], True),
        ([PRIMARY], False),
        ([f"Bearer {PRIMARY}", "Bearer x"], False),
        (["Bearer x", f"Bearer {PRIMARY}"], False),
        ([f"Bearer {PRIMARY}", PRIMARY], False),
        ([f"Bearer {PRIMARY}", f"Bearer {PRIMARY}"], False),
    ],
)
def test_one_authorization_with_the_scheme_is_wanted_in_http2_too(
    served: Served, keys: list[str], let_in: bool
):
    assert status(served, *keys) == ("200" if let_in else "401")


def test_an_offer_of_http2_is_answered_in_http_1(served: Served):
    asked = {
        "connection": "upgrade, http2-settings",
        "upgrade": "h2c",
        "http2-settings": "AAMAAABk",
    }
    found = served.ask("chat/score", headers=asked)
    assert (found.status_code, found.http_version) == (200, "HTTP/1.1")


def called(served: Served, *metadata: tuple[str, str]) -> grpc.StatusCode:
    with grpc.insecure_channel(f"127.0.0.1:{served.ports[0]}") as channel:
        call = channel.unary_unary("/endpoints/chat/some.Service/Method")
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", metadata=metadata, timeout=5)
        found: grpc.StatusCode = raised.value.code()
        return found


def test_grpc_is_not_served_because_models_are_asked_in_http_1(served: Served):
    assert called(served, *KEY.items()) is grpc.StatusCode.UNKNOWN
    assert called(served) is grpc.StatusCode.UNAUTHENTICATED
