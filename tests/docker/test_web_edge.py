"""The workspace service of a Docker host at its edge: certificates, keys of others, strangers.

The tests share one workspace, whose egress is closed, and one container.
"""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from inference_provider.targets.docker import names
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.router import ADDRESS
from inference_provider.workspace.kept_tls import KeptTls
from inference_provider.workspace.state import ROUTER, TLS
from tests.conformance.labs import wait_until
from tests.docker.stack import Stack, stack_of
from tests.docker.test_web import GIVES_TOKENS
from tests.docker_host import SOCKET, run_in
from tests.local.server.certificates import generated, shown, trusting
from tests.oidc_server import provider
from tests.ports import own_port

pytestmark = pytest.mark.docker


class Served:
    """A workspace with its service, a caller of it, and its identity provider."""

    def __init__(self, stack: Stack, login, port: int) -> None:
        self.stack, self.login, self.port = stack, login, port
        [self.space] = stack.document["workspaces"]
        self.own = generated()
        self.context = trusting(self.own)

    def declare(self, kept: KeptTls) -> str:
        """Apply a certificate; return what was said."""
        folder = self.stack.folder
        (folder / "server.pem").write_text(kept.tls.certificate)
        (folder / "server.key").write_text(kept.tls.private_key.get_secret_value())
        self.space["tls"] = {
            "certificate": "${file:server.pem}",
            "private_key": "${file:server.key}",
        }
        return self.stack.up()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def ask(self, token: str, endpoint: str = "iris") -> int:
        path, head = f"{self.url}/endpoints/{endpoint}/token", {"authorization": f"Bearer {token}"}
        with httpx.Client(verify=self.context, trust_env=False, timeout=10) as client:
            try:
                return client.post(path, headers=head).status_code
            except httpx.TransportError:
                return 0

    def token(self) -> str:
        code, said = self.stack.said("access", "token", "user:ben")
        assert code == 0, said
        return said.strip()

    def serial(self) -> int:
        return shown(("127.0.0.1", self.port), self.context)

    def raw(self, sent: bytes) -> bytes:
        """Send bytes and return what comes, until the other side closes or nothing comes."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain,
            self.context.wrap_socket(plain, server_hostname="127.0.0.1") as asker,
        ):
            got = b""
            try:
                asker.sendall(sent)
                while piece := asker.recv(65536):
                    got += piece
            except (TimeoutError, OSError):
                pass
            return got


@pytest.fixture(scope="module")
def served(tmp_path_factory, host):
    port, roles = own_port(), {"Caller": {"actions": [GIVES_TOKENS]}}
    with provider(own_port()) as login:
        more = {
            "engine_socket": SOCKET,
            "egress": "disabled",
            "roles": roles,
            "service": {"port": port, "console": True},
            "identity_provider": {
                "issuer": login.issuer,
                "audience": "lab",
                "jwks_uri": login.jwks_uri,
                "jwks_refresh_s": 1,
            },
        }
        with stack_of(host, tmp_path_factory.mktemp("edge"), **more) as stack:
            stack.document["endpoints"][0]["auth_mode"] = "aml_token"
            for section in ("deployments", "traffic", "environments"):
                stack.document[section] = []
            stack.document["role_assignments"] = [
                {
                    "workspace": stack.workspace,
                    "name": "ben-calls",
                    "principal": "ben",
                    "principal_type": "user",
                    "role": "Caller",
                    "scope": "endpoints/iris",
                }
            ]
            found = Served(stack, login, port)
            said = found.declare(found.own)
            assert "does not run" not in said
            yield found


@contextmanager
def polled(served: Served) -> Iterator[list[object]]:
    """Ask again and again, over a kept connection and new ones; yield what went wrong."""
    wrong: list[object] = []
    over, url = threading.Event(), f"{served.url}/health"

    def run(client: httpx.Client | None) -> None:
        while not over.wait(0.02):
            try:
                if client:
                    code: object = client.get(url, timeout=10).status_code
                else:
                    code = httpx.get(
                        url, timeout=10, verify=served.context, trust_env=False
                    ).status_code
            except httpx.HTTPError as fault:
                code = repr(fault)
            wrong.extend([code] if code != 200 else [])

    with httpx.Client(verify=served.context, trust_env=False) as kept:
        threads = [threading.Thread(target=run, args=[one]) for one in (kept, None)]
        for one in threads:
            one.start()
        try:
            yield wrong
        finally:
            over.set()
            for one in threads:
                one.join()


def test_a_certificate_of_other_names_is_shown_without_a_failed_request(served, host):
    with polled(served) as wrong:
        first, before = served.serial(), host.container(names.web(served.stack.workspace))
        served.declare(generated(served.own, names=["b.example.org"]))
        wait_until(lambda: served.serial() != first, 5)
        named = {"host": f"b.example.org:{served.port}"}
        door = httpx.get(
            f"{served.url}/login", headers=named, verify=served.context, trust_env=False
        )
        assert door.status_code == 200
    assert wrong == []
    assert host.container(names.web(served.stack.workspace))["Id"] == before["Id"]


def test_a_certificate_that_cannot_be_shown_leaves_the_one_before_and_the_status_tells(
    served, host
):
    first, records = served.serial(), HostRecords(host, served.stack.workspace)
    good = records.read(TLS, ROUTER)
    kept = KeptTls.model_validate_json(good)
    broken = kept.tls.model_copy(update={"certificate": generated().tls.certificate})
    told = "the certificate of the workspace cannot be shown, and the one before stays: "
    for bad in (kept.model_copy(update={"tls": broken}).document, "{"):
        try:
            with polled(served) as wrong:
                records.put(TLS, ROUTER, bad)
                wait_until(lambda: told in served.stack.status(), 30)
            assert (wrong, served.serial()) == ([], first)
        finally:
            records.put(TLS, ROUTER, good.decode())
        wait_until(lambda: told not in served.stack.status(), 30)


def test_keys_of_a_provider_that_is_away_stay_also_after_a_restart_and_the_status_tells(
    served, host
):
    login = served.login
    ben = login.token("ben", audience="lab")
    wait_until(lambda: served.ask(ben) == 200, 20)
    assert served.ask(login.token("eve", audience="lab")) == 403
    assert served.ask(login.token("ben", audience="other")) == 401
    login.stop()
    fault = f", keys cannot be fetched from {login.jwks_uri}: "
    wait_until(lambda: fault in served.stack.status(), 30)
    host.api.restart(names.web(served.stack.workspace), timeout=0)
    wait_until(lambda: served.ask(ben) == 200, 30)
    status = served.stack.status()
    assert fault in status
    assert "UTC stay in force" in status.partition(fault)[2]
    login.start()  # with other keys
    fresh = login.token("ben", audience="lab")
    wait_until(lambda: served.ask(fresh) == 200, 30)
    assert served.ask(ben) == 401
    wait_until(lambda: fault not in served.stack.status(), 10)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def test_what_strangers_send_is_refused_and_says_nothing_of_what_there_is(served, host):
    mine = served.token()
    line = b"POST /endpoints/iris/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    auth, none = f"Authorization: Bearer {mine}\r\n".encode(), b"Content-Length: 0\r\n\r\n"
    wrong = b"Authorization: Bearer nonsense\r\n"

    def asked(path: bytes, method: bytes = b"POST", by: bytes = auth) -> bytes:
        first = line.replace(b"POST /endpoints/iris/token", method + b" " + path)
        return served.raw(first + by + none)

    assert status(asked(b"/endpoints/iris/token")) == 200
    refused = {
        "two tokens": line + auth + auth + none,
        "a wrong and a right one": line + wrong + auth + none,
        "a long one": line + b"Authorization: Bearer " + b"a" * 20_000 + b"\r\n" + none,
        "another scheme": line + auth.replace(b"Bearer", b"Basic") + none,
        "two hosts": line + b"Host: y\r\n" + auth + none,
        "no host": line.replace(b"Host: x\r\n", b"") + auth + none,
        "huge headers": line + auth + b"X: " + b"a" * 200_000 + b"\r\n" + none,
        "a long body": line + auth + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000,
        "deep JSON": line + auth + b"Content-Length: 4000\r\n\r\n" + b"[" * 4000,
        "a length and chunks": line + auth + b"Content-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "no HTTP": b"\x16\x03\x01" + b"\0" * 200,
    }
    answered = {why: status(served.raw(sent)) for why, sent in refused.items()}
    assert all(400 <= code < 500 for code in answered.values()), answered
    for path in (
        b"/endpoints/iris%2Ftoken",
        b"/endpoints/x/../iris/token",
        b"/endpoints/%2e%2e/token",
        b"//endpoints/iris/token",
        b"/static/..%2f..%2fetc/passwd",
        b"http://iris/token",
    ):
        assert 400 <= status(asked(path)) < 500, path
    for method in (b"GET", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT"):
        assert 400 <= status(asked(b"/endpoints/iris/token", method)) < 500, method
    eve = served.stack.said("access", "token", "user:eve")[1].strip()
    hers = f"Authorization: Bearer {eve}\r\n".encode()
    of_nobody = {asked(b"/endpoints/%s/token" % one, by=b"") for one in (b"iris", b"none")}
    of_eve = {asked(b"/endpoints/%s/token" % one, by=hers) for one in (b"iris", b"none")}
    assert (len(of_nobody), len(of_eve)) == (1, 1)
    silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(30)]
    late = [served.context.wrap_socket(one, server_hostname="127.0.0.1") for one in silent[:10]]
    for one in late:
        one.sendall(line + auth + b"Content-Length: 10\r\n\r\n")
    try:
        assert served.ask(mine) == 200  # a body that never comes holds up nobody
    finally:
        for one in (*late, *silent):
            one.close()
    own = names.web(served.stack.workspace)
    given = served.raw(line + auth + none).partition(b"\r\n\r\n")[2]
    key = (served.stack.folder / "server.key").read_text().splitlines()[1]
    secrets = (mine, json.loads(given)["accessToken"], key)
    processes = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    )
    environment = run_in(host, own, "sh", "-c", "tr '\\0' '\\n' </proc/1/environ")[1]
    seen = json.dumps(host.container(own)) + host.api.logs(own).decode()
    for text in (seen, processes.stdout, environment):
        assert [one for one in secrets if one in text] == []
    assert "Traceback" not in seen


def test_a_taken_port_is_told_and_taken_once_it_is_free_and_another_stacks_is_refused(
    served, host, tmp_path
):
    other = Stack(tmp_path, engine_socket=SOCKET, service={"port": served.port})
    code, said = other.said("plan")
    assert code == 1
    assert (
        f"service.port: {served.port} is the service.port of workspace '{served.stack.workspace}'"
        " too; use another, or delete that workspace first"
    ) in " ".join(said.split())
    records = HostRecords(host, served.stack.workspace)
    router = json.loads(records.read(ADDRESS, ROUTER))["port"]
    before = served.port
    served.space["service"]["port"] = router
    code, said = served.stack.said("plan")
    assert (code, f"service.port: {router} is the router_port of" in said) == (1, True)
    taken, mine = own_port(), served.token()
    with socket.create_server(("127.0.0.1", taken)):
        served.space["service"]["port"] = taken
        fault = (
            f"the service on 127.0.0.1:{taken} does not run: the port is taken by another process;"
            " end that, or use another service.port"
        )
        assert fault in served.stack.up()
        assert fault in served.stack.status()
        assert served.ask(mine) == 0
    served.port = taken
    wait_until(lambda: served.ask(mine) == 200, 20)
    assert "no changes" in served.stack.up()
    assert fault not in served.stack.status()
    served.port = served.space["service"]["port"] = before
    served.stack.up()
    assert served.ask(mine) == 200
