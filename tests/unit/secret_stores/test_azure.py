"""An Azure Key Vault, against servers that answer as its REST API and a managed identity do.

Azure's libraries send a token by TLS alone, so the first has a certificate.
"""

import datetime
import ipaddress
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inference_provider.errors import SecretNotRead
from inference_provider.secret_stores.azure import AzureSecrets

SECRET, TOKEN = "a-hidden-value-4711", "a-token-of-entra"
VERSION = "4387e9f3d6e14c459867679a90fd0f79"
CHALLENGE = (
    'Bearer authorization="https://login.microsoftonline.com/a-tenant",'
    ' resource="https://vault.azure.net"'
)


class Server(ThreadingHTTPServer):
    """A Key Vault, and beside it what gives a machine's identity its tokens."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked, self.status, self.challenges = [], 0, True
        self.moves = False
        self.secrets = {"openai-key": SECRET, f"openai-key/{VERSION}": "an-earlier-value"}


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        parts = urlsplit(self.path)
        self.server.asked.append(parts.path)
        if parts.path == "/identity":
            self._identity(parse_qs(parts.query))
        elif self.server.challenges and self.headers["authorization"] != f"Bearer {TOKEN}":
            fault = {"error": {"code": "Unauthorized", "message": "AKV10000"}}
            self._send(401, fault, {"www-authenticate": CHALLENGE})
        elif self.server.moves and "/openai-key" not in parts.path:
            self._send(302, {}, {"location": "/secrets/openai-key?api-version=7.4"})
        elif self.server.status:
            fault = {"error": {"code": "Forbidden", "message": f"about {SECRET}"}}
            self._send(self.server.status, fault)
        else:
            self._secret(parts.path.removeprefix("/secrets/").strip("/"))

    def _identity(self, asked):
        assert asked["resource"] == ["https://vault.azure.net"]
        assert self.headers["x-identity-header"] == "a-header"
        ends = str(int(time.time()) + 3600)
        answer = {"access_token": TOKEN, "expires_on": ends, "token_type": "Bearer"}
        self._send(200, {**answer, "resource": "https://vault.azure.net"})

    def _secret(self, name):
        value = self.server.secrets.get(name)
        if value is None:
            fault = {"error": {"code": "SecretNotFound", "message": f"{name} was not found"}}
            self._send(404, fault)
            return
        url = f"https://127.0.0.1/secrets/{name}"
        self._send(200, {"value": value, "id": url, "attributes": {"enabled": True}})

    def _send(self, status, body, headers=()):
        payload = json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    own = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(own + built.public_bytes(encoding))
    return file


def running(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def vault(certificate):
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield from running(server)


@pytest.fixture
def identity(monkeypatch):
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for server in running(Server()):
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_port}/identity")
        monkeypatch.setenv("IDENTITY_HEADER", "a-header")
        yield server


@pytest.fixture
def store(vault, identity, certificate):
    url = f"https://127.0.0.1:{vault.server_port}"
    return opened(url, certificate)


def opened(url, certificate):
    # an address is below no domain, as the challenge of a real vault asks
    trusted = {"connection_verify": str(certificate), "verify_challenge_resource": False}
    return AzureSecrets({"kind": "azure_key_vault", "url": url}, **trusted)


def refused(store, place="openai-key"):
    with pytest.raises(SecretNotRead) as found:
        store.values({"key": place})
    assert SECRET not in str(found.value)
    assert TOKEN not in str(found.value)
    return str(found.value), found.value.silent


def test_a_secret_is_read_as_the_identity_that_the_challenge_asks_for(store, vault, identity):
    assert store.values({"key": "openai-key"}) == {"key": SECRET}
    assert identity.asked == ["/identity"]
    assert store.values({"key": "openai-key"}) == {"key": SECRET}
    assert identity.asked == ["/identity"]  # a token is used again
    assert vault.asked == ["/secrets/openai-key/"] * 3


def test_a_vault_that_does_not_challenge_is_read_too(store, vault):
    vault.challenges = False
    assert store.values({"key": "openai-key"}) == {"key": SECRET}


def test_a_version_stays_what_it_is_and_the_newest_does_not(store, vault):
    pinned = {"key": f"openai-key/{VERSION}"}
    assert store.values(pinned) == {"key": "an-earlier-value"}
    vault.secrets["openai-key"] = "another"
    assert store.values({"key": "openai-key"}) == {"key": "another"}
    assert store.values(pinned) == {"key": "an-earlier-value"}


def test_a_secret_that_is_not_there_is_named_and_no_outage(store):
    told, silent = refused(store, "other")
    assert told == ("the Key Vault has no secret 'other'; set it there, or correct its name")
    assert not silent


def test_an_identity_that_may_not_read_it_is_told_which_role(store, vault):
    vault.status = 403
    told, silent = refused(store)
    assert told.startswith("the Key Vault denies secret 'openai-key'; give whoever runs this the")
    assert silent


def test_another_answer_is_told_by_its_number(store, vault):
    vault.status = 409
    assert refused(store)[0].startswith("secret 'openai-key': the Key Vault answered 409")


def test_a_redirect_is_not_followed(store, vault):
    vault.moves = True
    told, silent = refused(store, "other")
    assert told == (
        "secret 'other': the Key Vault redirects elsewhere (302); name the vault's own URL"
    )
    assert silent
    assert set(vault.asked) == {"/secrets/other/"}


def test_a_vault_that_is_not_there_is_named(identity, certificate):
    told, silent = refused(opened("https://127.0.0.1:1", certificate))
    assert told.startswith("the Key Vault at https://127.0.0.1:1 does not answer: ")
    assert silent
