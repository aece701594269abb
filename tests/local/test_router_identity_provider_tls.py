"""Keys of an identity provider that are fetched by https: from whom they are taken."""

import base64
import http.server
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from inference_provider.router.table import EndpointEntry, ProviderCheck, Scorers, TokenCheck
from inference_provider.workspace.signing import SigningKeys
from inference_provider.workspace.tokens import issue, new_signing_key
from tests.local.server.model import Model, until
from tests.local.server.routing import Served, deployment, endpoint, serving

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl"),
]
KEYS = SigningKeys(newer=new_signing_key())
SECRET = b"shared-secret-of-32-bytes-or-more"


def encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


class Keys(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        shared = {"kty": "oct", "kid": "shared", "alg": "HS256", "k": encoded(SECRET)}
        text = json.dumps({"keys": [*json.loads(KEYS.jwks)["keys"], shared]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_told: object) -> None:
        pass


@pytest.fixture(name="certificate")
def a_certificate(tmp_path: Path) -> Path:
    made = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=login"
    named = ["-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", *made.split(), *named]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "cert.pem"


@pytest.fixture(name="port")
def a_provider(certificate: Path) -> Iterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def provided(models: dict[str, Model], uri: str) -> EndpointEntry:
    return endpoint(
        "chat",
        {"blue": 100},
        deployment("blue", models["blue"]),
        keys=(),
        auth_mode="aad_token",
        provider=ProviderCheck(
            issuer="https://a.test", audiences=("chat",), jwks_uri=uri, refresh_s=1
        ),
        scorers=Scorers(principals=("ann",)),
    )


def ask(served: Served, text: str = "") -> int:
    check = TokenCheck(issuer="https://a.test", audience="chat", jwks="")
    life = timedelta(minutes=30)
    text = text or issue(check, KEYS, "ann", datetime.now(UTC), life).value.get_secret_value()
    headers = {"authorization": f"Bearer {text}"}
    return served.ask("chat/score", headers=headers).status_code


def test_keys_are_taken_from_a_server_whose_certificate_an_authority_vouches_for(
    models: dict[str, Model], port: int, certificate: Path
):
    one = provided(models, f"https://localhost:{port}/keys")
    with serving(endpoint("rose", {}, deployment("blue", models["blue"]))) as served:
        served.trusted = str(certificate)
        served.router.publish(served.table(one))
        until(lambda: ask(served) == 200)
        told = {"iss": "https://a.test", "aud": "chat", "sub": "ann"}
        until_then = datetime.now(UTC) + timedelta(minutes=30)
        shared = jwt.encode({**told, "exp": until_then}, SECRET, headers={"kid": "shared"})
        assert ask(served, shared) == 403  # everybody can read the secret that signed it


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_keys_are_taken_from_no_server_with_another_certificate_or_name(
    models: dict[str, Model], port: int, certificate: Path, host: str
):
    uri = f"https://{host}:{port}/keys"
    with serving(endpoint("rose", {}, deployment("blue", models["blue"]))) as served:
        if host != "localhost":  # an authority vouches for it, by another name
            served.trusted = str(certificate)
        served.router.publish(served.table(provided(models, uri)))
        refused = f"keys cannot be fetched from {uri}: its certificate is not trusted: "
        until(lambda: served.router.fetch_fault().startswith(refused))
        assert ask(served) == 401
