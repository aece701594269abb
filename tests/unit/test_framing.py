"""Requests that a proxy may have read otherwise, or that are too large, over sockets."""

import pytest
from tests.browser import Browser
from tests.unit.test_web_connection import said, serving
from tests.unit.web.asking import Asking

from inference_provider.targets.memory import MemoryTarget

HOST = b"Host: 127.0.0.1:18090\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.fixture(params=["service", "console"])
def port(request):
    app = Asking().app if request.param == "service" else Browser(MemoryTarget()).app
    with serving(app) as found:
        yield found


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(
            b"POST /x HTTP/1.1\r\n"
            + HOST
            + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"400",
            id="a length and chunks",
        ),
        pytest.param(b"GET /x HTTP/2.0\r\n" + HOST + b"\r\n", b"505", id="another version"),
        pytest.param(
            b"GET /x HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 66000 + b"\r\n\r\n",
            b"431",
            id="a long header",
        ),
        pytest.param(
            b"POST /endpoints/iris%2FlistKeys HTTP/1.1\r\n" + HOST + b"\r\n",
            b"400",
            id="an encoded slash",
        ),
        pytest.param(
            b"GET /" + b"x" * 66000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", b"431", id="a long path"
        ),
    ],
)
def test_such_a_request_is_refused_and_nothing_behind_it_is_read(port, sent, status):
    got = said(port, sent + NEXT)
    assert got.startswith(b"HTTP/1.1 " + status)
    assert got.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in got.lower()
