"""A workspace's Vault, against a server that answers as Vault's API of KV version 2 does."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from inference_provider.errors import SecretNotRead
from inference_provider.secret_stores.hashicorp import VaultSecrets
from inference_provider.secret_stores.vault import Address, Vault

SECRET, TOKEN = "a-hidden-value-4711", "hvs.a-token-of-vault"
LOGINS = {
    "/v1/auth/approle/login": {"role_id": "ci", "secret_id": "of-ci"},
    "/v1/auth/kubernetes/login": {"role": "lab", "jwt": "a-token-of-a-pod"},
}


class Server(ThreadingHTTPServer):
    """A Vault that remembers what it was asked, and may have another status."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked, self.status, self.valid = [], 200, {TOKEN}
        self.other = None
        self.secrets = {"/v1/secret/data/openai": {"key": SECRET, "port": 1, "none": ""}}


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        if self.server.other:
            self.server.asked.append(self.path)
            self._send_other(*self.server.other)
            return
        self._send(*self._answer())

    def do_POST(self):
        proof = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(self.path)
        if self.server.other:
            self._send_other(*self.server.other)
            return
        if LOGINS.get(self.path) != proof:
            self._send(400, {"errors": [f"invalid role or secret {SECRET}"]})
            return
        token = f"hvs.issued-{len(self.server.asked)}"
        self.server.valid.add(token)
        self._send(200, {"auth": {"client_token": token, "lease_duration": 3600}})

    def _answer(self):
        self.server.asked.append(self.path)
        if self.server.status != 200:
            return self.server.status, {"errors": [f"a message with {SECRET}"]}
        if self.headers["X-Vault-Token"] not in self.server.valid:
            return 403, {"errors": ["permission denied"]}
        if self.path == "/v1/old/data/openai":  # version 1 has no `data` in `data`
            return 200, {"data": {"key": SECRET}}
        found = self.server.secrets.get(self.path)
        if found is None:
            return 404, {"errors": []}
        metadata = {"created_time": "2026-11-26T22:00:00Z", "destroyed": False, "version": 3}
        return 200, {"lease_id": "", "data": {"data": found, "metadata": metadata}}

    def _send_other(self, status, headers, payload):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _send(self, status, body):
        self._send_other(status, {}, json.dumps(body).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def vault():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def opened(vault, home, environment=None, **settings):
    address = {"kind": "vault", "address": f"http://127.0.0.1:{vault.server_port}/"}
    given = {"VAULT_TOKEN": TOKEN} if environment is None else environment
    return VaultSecrets({**address, **settings}, given, home, home / "pod-token")


def refused(store, place="openai#key"):
    with pytest.raises(SecretNotRead) as found:
        store.values({"key": place})
    assert SECRET not in str(found.value)
    assert TOKEN not in str(found.value)
    return str(found.value), found.value.silent


def test_each_path_is_read_once_for_all_credentials_in_it(vault, tmp_path):
    wanted = {"key": "openai#key", "port": "openai#port"}
    assert opened(vault, tmp_path).values(wanted) == {"key": SECRET, "port": "1"}
    assert vault.asked == ["/v1/secret/data/openai"]


def test_a_new_version_is_read_by_the_next_who_asks(vault, tmp_path):
    store = opened(vault, tmp_path)
    store.values({"key": "openai#key"})
    vault.secrets["/v1/secret/data/openai"] = {"key": "another"}
    assert store.values({"key": "openai#key"}) == {"key": "another"}


def test_mount_and_folder_are_part_of_the_path(vault, tmp_path):
    vault.secrets = {"/v1/team/kv/data/lab/models/openai": {"key": SECRET}}
    store = opened(vault, tmp_path, mount="team/kv", path="lab/models")
    assert store.values({"key": "openai#key"}) == {"key": SECRET}


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"VAULT_ROLE_ID": "ci", "VAULT_SECRET_ID": "of-ci"}, id="approle"),
        pytest.param({"VAULT_KUBERNETES_ROLE": "lab"}, id="a pod's service account"),
    ],
)
def test_who_has_no_token_logs_in_once_and_again_when_it_has_ended(vault, tmp_path, environment):
    (tmp_path / "pod-token").write_text("a-token-of-a-pod\n")
    store = opened(vault, tmp_path, environment)
    for _ in range(2):
        assert store.values({"key": "openai#key"}) == {"key": SECRET}
    assert sum(path.endswith("/login") for path in vault.asked) == 1
    vault.valid.clear()
    assert store.values({"key": "openai#key"}) == {"key": SECRET}
    assert sum(path.endswith("/login") for path in vault.asked) == 2


def test_a_token_of_vault_login_is_used(vault, tmp_path):
    (tmp_path / ".vault-token").write_text(TOKEN)
    assert opened(vault, tmp_path, {}).values({"key": "openai#key"}) == {"key": SECRET}


def test_a_process_s_own_variables_are_not_read_past_those_given(vault, tmp_path, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    said, silent = refused(opened(vault, tmp_path, {}))
    assert (said.partition(";")[0], silent) == ("there is no token for Vault", True)
    assert vault.asked == []


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("openai#pat", "Vault's secret/openai has no key 'pat'; it has 'key', 'none', 'port'"),
        ("openai#none", "Vault's secret/openai: key 'none' is empty"),
        ("other#key", "Vault's secret/other is not there"),
    ],
)
def test_what_vault_has_not_is_named_and_no_outage(vault, tmp_path, place, said):
    told, silent = refused(opened(vault, tmp_path), place)
    assert told.startswith(f"{said}; write")
    assert not silent


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, "Vault's secret/openai: Vault denies the token; use one whose policy may read it"),
        (503, "Vault is sealed; unseal it"),
        (500, "Vault's secret/openai: Vault answered 500; look at its audit"),
    ],
)
def test_a_vault_that_does_not_answer_that_leaves_it_unknown(vault, tmp_path, status, said):
    vault.status = status
    told, silent = refused(opened(vault, tmp_path))
    assert told.startswith(said)
    assert silent


TOKENS = [
    pytest.param(({"VAULT_TOKEN": TOKEN}, "/v1/secret/data/openai"), id="read"),
    pytest.param(
        ({"VAULT_ROLE_ID": "ci", "VAULT_SECRET_ID": "of-ci"}, "/v1/auth/approle/login"), id="login"
    ),
]


@pytest.mark.parametrize("asks", TOKENS)
@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://active.example.org:8200/v1/x?y", "active.example.org:8200"),
        ("https://[::1]:8200/v1/x", "[::1]:8200"),
        ("/ui/", "elsewhere"),
        (f"https://user:{SECRET}@active/", "elsewhere"),
    ],
)
def test_a_redirect_of_a_standby_is_an_outage_and_not_followed(
    vault, tmp_path, asks, location, named
):
    environment, path = asks
    vault.other = 307, {"location": location}, b""
    told, silent = refused(opened(vault, tmp_path, environment))
    address = f"http://127.0.0.1:{vault.server_port}"
    remedy = "set the address of secret_store to the one that is active"
    assert (told, silent) == (f"Vault at {address} redirects to {named}; {remedy}", True)
    assert vault.asked == [path]


@pytest.mark.parametrize("asks", TOKENS)
@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"[]", b""])
def test_a_page_in_place_of_an_answer_is_an_outage(vault, tmp_path, asks, body):
    environment, path = asks
    vault.other = 200, {}, body
    told, silent = refused(opened(vault, tmp_path, environment))
    address = f"http://127.0.0.1:{vault.server_port}"
    said = f"what is at {address} does not answer as Vault does; check the address of secret_store"
    assert (told, silent) == (said, True)
    assert vault.asked == [path]


def test_an_answer_whose_encoding_is_broken_is_an_outage(vault, tmp_path):
    vault.other = 200, {"content-encoding": "gzip"}, b"not gzip"
    told, silent = refused(opened(vault, tmp_path))
    assert "does not answer: DecodingError; check the address of secret_store" in told
    assert silent


def test_a_method_that_is_not_enabled_is_named_and_no_missing_secret(vault, tmp_path):
    vault.other = 404, {}, b'{"errors":["no handler for route"]}'
    store = opened(vault, tmp_path, {"VAULT_ROLE_ID": "ci", "VAULT_SECRET_ID": "of-ci"})
    address = f"http://127.0.0.1:{vault.server_port}"
    said = f"Vault at {address} takes no login by approle; enable approle there, or set VAULT_TOKEN"
    assert refused(store) == (said, True)


def test_a_token_with_a_line_end_is_used(vault, tmp_path):
    store = opened(vault, tmp_path, {"VAULT_TOKEN": f"{TOKEN}\n"})
    assert store.values({"key": "openai#key"}) == {"key": SECRET}


def test_a_vault_that_is_not_there_is_named(vault, tmp_path):
    store = opened(vault, tmp_path, address="http://127.0.0.1:1")
    told, silent = refused(store)
    assert "Vault at http://127.0.0.1:1 does not answer: ConnectError; check the addr" in told
    assert silent


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), ("", "no certificate can be read from it")],
)
def test_a_file_of_certificates_that_is_none_is_named(vault, tmp_path, content, said):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    store = opened(vault, tmp_path, {"VAULT_TOKEN": TOKEN, "VAULT_CACERT": str(file)})
    remedy = "set it to the file of who signed Vault's certificate"
    assert refused(store) == (f"VAULT_CACERT: {said}; {remedy}", True)
    assert vault.asked == []


@pytest.mark.parametrize("url", ["vault:8200", "vault", "http://", "https://vault:port"])
def test_an_address_that_is_no_url_is_named_by_where_it_is_written(tmp_path, url):
    one = Vault(Address(url, "VAULT_ADDR", "VAULT_ADDR"), {"VAULT_TOKEN": TOKEN}, home=tmp_path)
    with pytest.raises(SecretNotRead) as found:
        one.secrets("secret", ["openai"])
    assert str(found.value) == (
        "VAULT_ADDR is not a URL; write it like https://vault.example.org:8200"
    )
    assert found.value.silent


def test_a_login_that_is_refused_does_not_quote_vault(vault, tmp_path):
    store = opened(vault, tmp_path, {"VAULT_ROLE_ID": "ci", "VAULT_SECRET_ID": "wrong"})
    told = "Vault refuses the login by approle; check the role and what proves it"
    assert refused(store) == (told, True)


def test_an_engine_of_version_1_is_named(vault, tmp_path):
    told, silent = refused(opened(vault, tmp_path, mount="old"))
    assert told.startswith("Vault's old/openai is in no key-value engine of version 2")
    assert not silent
