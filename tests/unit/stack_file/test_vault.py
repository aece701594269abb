"""`${vault:MOUNT/PATH#KEY}`, against a server that answers as Vault's API of KV version 2 does."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.stack_files import faults, load

SECRET, TOKEN = "a-hidden-value-4711", "hvs.a-token-of-vault"
APPROLE = {"role_id": "ci", "secret_id": "of-ci"}
ASKED = "${vault:secret/team/openai#key}"


class Server(ThreadingHTTPServer):
    """A Vault that remembers what it was asked, and may have another status."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked, self.status = [], 200


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["X-Vault-Namespace"]))
        self._send(*self._answer())

    def _send(self, status, body):
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def do_POST(self):
        self.server.asked.append((self.path, self.headers["X-Vault-Namespace"]))
        proof = json.loads(self.rfile.read(int(self.headers["content-length"])))
        known = (self.path, proof) == ("/v1/auth/approle/login", APPROLE)
        self._send(*((200, {"auth": {"client_token": TOKEN}}) if known else (400, {})))

    def _answer(self):
        if self.server.status != 200:
            return self.server.status, {"errors": [f"a message with {SECRET}"]}
        if self.headers["X-Vault-Token"] != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if self.path == "/v1/old/data/openai":  # version 1 has no `data` in `data`
            return 200, {"data": {"key": SECRET}}
        if self.path != "/v1/secret/data/team/openai":
            return 404, {"errors": []}
        metadata = {"created_time": "2026-11-26T22:00:00Z", "destroyed": False, "version": 3}
        data = {"data": {"key": SECRET, "port": 1}, "metadata": metadata}
        return 200, {"request_id": "a", "lease_id": "", "renewable": False, "data": data}

    def log_message(self, *args):
        pass


@pytest.fixture
def vault(monkeypatch):
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "VAULT_CACERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def hub(asked=ASKED):
    return f"name: demo\nconnections: [{{name: hub, credentials: {{a: {json.dumps(asked)}}}}}]\n"


def fault(folder, asked=ASKED):
    [found] = faults(folder, hub(asked))
    assert SECRET not in found
    assert TOKEN not in found
    return found.partition("credentials.a: ")[2]


def test_a_secret_is_read_once_and_hidden(tmp_path, vault, monkeypatch):
    monkeypatch.setenv("VAULT_NAMESPACE", "team")
    more = f', b: "{ASKED}", c: "${{vault:secret/team/openai#port}}"}}}}]'
    found = load(tmp_path, hub().replace("}}]", more))
    credentials = found.connections[0].credentials
    clear = {name: value.get_secret_value() for name, value in credentials.items()}
    assert clear == {"a": SECRET, "b": SECRET, "c": "1"}
    assert vault.asked == [("/v1/secret/data/team/openai", "team")]
    assert SECRET not in repr(found)


def test_a_token_may_lie_in_the_file_that_vault_login_writes(tmp_path, vault, monkeypatch):
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".vault-token").write_text(f"{TOKEN}\n")
    found = load(tmp_path, hub())
    assert found.connections[0].credentials["a"].get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "${vault:secret/team/openai#pat}",
            "Vault's secret/team/openai has no key 'pat'; it has 'key', 'port'; write it there, or"
            " correct the key",
        ),
        (
            "${vault:secret/other#key}",
            "Vault's secret/other is not there; write the secret there, or correct the mount and"
            " the path",
        ),
        (
            "${vault:old/openai#key}",
            "Vault's old/openai is in no key-value engine of version 2; name the mount of one",
        ),
        ("${vault:secret#key}", "not a place in Vault; write ${vault:MOUNT/PATH#KEY}"),
        ("${vault:secret/openai}", "not a place in Vault; write ${vault:MOUNT/PATH#KEY}"),
        ("${vault:secret/../x/y#key}", "not a place in Vault; write ${vault:MOUNT/PATH#KEY}"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, vault, asked, said):
    assert fault(tmp_path, asked) == said


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (503, "Vault is sealed; unseal it"),
        (
            403,
            "Vault's secret/team/openai: Vault denies the token; use one whose policy may read it",
        ),
        (500, "Vault's secret/team/openai: Vault answered 500; look at its audit log"),
    ],
)
def test_an_answer_without_a_secret_is_told_and_never_quoted(tmp_path, vault, status, said):
    vault.status = status
    assert fault(tmp_path) == said


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        (("VAULT_ADDR", ""), "VAULT_ADDR is not set; set it to the URL of Vault"),
        (
            ("VAULT_ADDR", "http://127.0.0.1:1"),
            "Vault at VAULT_ADDR does not answer: ConnectError;"
            " check VAULT_ADDR, VAULT_CACERT and the network",
        ),
        (
            ("VAULT_CACERT", "/nowhere.pem"),
            "VAULT_CACERT: no such file; set it to the file of who signed Vault's certificate",
        ),
        (
            ("VAULT_ADDR", "vault:8200"),
            "VAULT_ADDR is not a URL; write it like https://vault.example.org:8200",
        ),
    ],
)
def test_a_vault_that_cannot_be_asked_is_a_fault(tmp_path, vault, monkeypatch, variable, said):
    monkeypatch.setenv(*variable)
    assert fault(tmp_path) == said


def test_no_token_is_a_fault(tmp_path, vault, monkeypatch):
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    said = "there is no token for Vault; set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID, or"
    assert fault(tmp_path).startswith(said)


def test_who_has_no_token_logs_in_by_an_approle(tmp_path, vault, monkeypatch):
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("VAULT_ROLE_ID", "ci")
    monkeypatch.setenv("VAULT_SECRET_ID", "of-ci")
    found = load(tmp_path, hub())
    assert found.connections[0].credentials["a"].get_secret_value() == SECRET
    assert [path for path, _ in vault.asked] == [
        "/v1/auth/approle/login",
        "/v1/secret/data/team/openai",
    ]
