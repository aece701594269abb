"""Clients that speak to this machine: nothing of the environment bends or breaks them."""

import ast
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from inference_provider.targets.loopback import loopback_client

ROOT = Path(__file__).parents[2]
FACTORY = ROOT / "provider" / "inference_provider" / "targets" / "loopback.py"
CLUSTER = ROOT / "provider" / "inference_provider" / "targets" / "kubernetes" / "connection.py"
"""Asks a cluster; it takes the proxy of the environment, as kubectl does, and nothing else."""
NETWORK = CLUSTER.with_name("network.py")
"""What the requests of that go through."""
REGISTRIES = ROOT / "provider" / "inference_provider" / "targets" / "manifests.py"
"""Asks registries, which may be anywhere; takes a proxy as that does."""
VAULT = ROOT / "provider" / "inference_provider" / "secret_stores" / "vault.py"
"""Asks a Vault, which may be anywhere."""
KEYS = ROOT / "provider" / "inference_provider" / "targets" / "envoy" / "key_fetch.py"
"""Asks an identity provider, which may be anywhere; takes no proxy, and follows no redirect."""
WEBHOOK = ROOT / "provider" / "inference_provider" / "service" / "webhook.py"
"""Tells webhooks, which may be anywhere; takes a proxy but to this machine, and no redirect."""
COLLECTOR = WEBHOOK.with_name("collector_post.py")
"""Tells OpenTelemetry collectors, alike."""
OPENERS = FACTORY, CLUSTER, NETWORK, REGISTRIES, VAULT, KEYS, WEBHOOK, COLLECTOR
PACKAGES = [ROOT / "provider", ROOT / "sdk", ROOT / "components"]
OPENING = {
    *("httpx.Client", "httpx.AsyncClient", "httpx.HTTPTransport", "httpx.AsyncHTTPTransport"),
    *("httpx.get", "httpx.post", "httpx.put", "httpx.delete", "httpx.request", "httpx.stream"),
    *("httpx.head", "httpx.options", "httpx.patch"),
    *("urllib.request.urlopen", "urlopen"),
    *("http.client.HTTPConnection", "HTTPConnection"),
}


def opened_in(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a file that opens a client."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in OPENING:
            yield ast.unparse(node.func), node


def modules(folders: list[Path]) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*.py")]


def test_no_module_of_the_packages_opens_a_client_but_through_the_factory():
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno} {name}"
        for path in modules(PACKAGES)
        if path not in OPENERS
        for name, call in opened_in(path)
    ]
    assert found == []


@pytest.mark.parametrize(
    "path",
    [*OPENERS, *modules([ROOT / "examples"])],
    ids=lambda p: p.name,
)
def test_every_client_says_that_it_trusts_no_environment(path):
    said = [
        any(word.arg == "trust_env" and ast.unparse(word.value) == "False" for word in c.keywords)
        for name, c in opened_in(path)
        if not name.endswith("HTTPConnection")  # it asks nothing of the environment
    ]
    assert all(said)


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Hello) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("all_proxy", "http://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_DIR", "/nowhere"),
    ],
)
def test_a_variable_of_proxies_or_certificates_stops_no_request(monkeypatch, server, name, value):
    monkeypatch.setenv(name, value)
    with loopback_client(timeout_s=5) as client:
        assert client.get(server).status_code == 204
