"""Keys of an identity provider for the workspace service: fetched beside all requests."""

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from inference_provider.router.table import ProviderCheck
from inference_provider.web.provider_keys import ProviderKeys

POINT = {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}
KEYS = json.dumps({"keys": [POINT]})


class Login(http.server.ThreadingHTTPServer):
    """Answers keys, and remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str] = []
        self.status = 200

    def check(self, path: str = "/keys", refresh_s: int = 60) -> ProviderCheck:
        uri = f"http://127.0.0.1:{self.server_port}{path}"
        return ProviderCheck(issuer="i", audiences=("a",), jwks_uri=uri, refresh_s=refresh_s)


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Login)
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(KEYS)))
        self.end_headers()
        self.wfile.write(KEYS.encode())

    def log_message(self, *_said: object) -> None:
        pass


@pytest.fixture
def login() -> Iterator[Login]:
    with Login() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def test_keys_are_fetched_once_until_they_are_too_old_or_others_count(login, tmp_path):
    counts: list[ProviderCheck | None] = [login.check()]
    keys = ProviderKeys(tmp_path, lambda: counts[-1])
    first = login.check().jwks_uri
    assert keys.text(first) == ""
    for _ in range(5):
        keys.look()
    assert login.asked == ["/keys"]
    assert keys.text(first) == KEYS
    assert ProviderKeys(tmp_path, lambda: None).text(first) == KEYS  # after a restart too
    counts.append(login.check("/others"))
    for _ in range(5):
        keys.look()
    assert login.asked == ["/keys", "/others"]
    assert keys.text(first) == ""
    counts.append(None)
    keys.look()
    assert keys.text(login.check("/others").jwks_uri) == ""


def test_a_provider_that_fails_is_not_asked_again_at_once_and_what_was_known_counts(
    login, tmp_path
):
    ProviderKeys(tmp_path, login.check).look()
    login.status = 500
    keys = ProviderKeys(tmp_path, login.check)
    for _ in range(5):
        keys.look()
    assert login.asked == ["/keys", "/keys"]
    assert keys.text(login.check().jwks_uri) == KEYS
