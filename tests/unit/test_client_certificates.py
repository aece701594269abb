"""Client certificates that are replaced in the middle of a run."""

import http.server
import json
import shutil
import ssl
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from inference_provider.errors import TargetError
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kubeconfig import access
from inference_provider.targets.kubernetes.objects import POD

CERTIFICATES = Path(__file__).parents[1] / "fixtures" / "certificates"
EMPTY = {"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": []}
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable}
_UNDATED = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: the certificates here are of one day."""


class ApiServer:
    """Takes any certificate that it trusts when connected to, and then only the accepted ones."""

    def __init__(self) -> None:
        self.accepted = {"one", "two"}
        self.answers: Counter[tuple[str, int]] = Counter()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                name = dict(one[0] for one in self.connection.getpeercert()["subject"])
                code = 200 if name["commonName"] in api.accepted else 401
                api.answers[name["commonName"], code] += 1
                body = json.dumps(EMPTY if code == 200 else {"kind": "Status"}).encode()
                self.send_response(code)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_said: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secured.load_cert_chain(CERTIFICATES / "one.pem")
        secured.verify_mode = ssl.CERT_REQUIRED
        secured.verify_flags |= _UNDATED
        for name in ("one", "two"):
            secured.load_verify_locations(CERTIFICATES / f"{name}.pem")
        self._server.socket = secured.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> "ApiServer":
        self._thread.start()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server():
    with ApiServer() as started:
        yield started


@pytest.fixture
def client(server, tmp_path, monkeypatch):
    """Return what makes a client of a user."""
    made = []

    def of(**user) -> Client:
        cluster = {"server": server.url, "insecure-skip-tls-verify": True}
        config = {
            "current-context": "prod",
            "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        }
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(path))
        made.append(Client(access(None)))
        return made[-1]

    yield of
    for one in made:
        one.close()


@pytest.fixture
def program(tmp_path):
    """Return what makes a program that gives one certificate, then another; it notes each run."""

    def of(*names: str, ends: str = "") -> dict:
        given = [pem(name) | ({"expirationTimestamp": ends} if ends else {}) for name in names]
        script = tmp_path / "login.py"
        script.write_text(
            f"import json, pathlib\nruns = pathlib.Path({str(tmp_path / 'runs')!r})\n"
            "before = runs.read_text() if runs.exists() else ''\nruns.write_text(before + 'x')\n"
            f"given = json.loads({json.dumps(given)!r})\n"
            "print(json.dumps({'status': given[min(len(before), len(given) - 1)]}))\n"
        )
        return {**EXEC, "args": [str(script)]}

    return of


def pem(name: str) -> dict[str, str]:
    certificate, mark, key = (
        (CERTIFICATES / f"{name}.pem").read_text().partition("-----BEGIN PRIVATE KEY-----")
    )
    return {"clientCertificateData": certificate, "clientKeyData": mark + key}


def test_a_certificate_that_is_refused_is_fetched_again_once_for_all(server, client, program):
    made = client(exec=program("one", "two"))
    assert made.items(POD, "lab") == []
    server.accepted = {"two"}
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _n: made.items(POD, "lab"), range(24))] == [[]] * 24
    assert server.answers["two", 401] == 0
    assert server.answers["two", 200] == 24


def test_a_program_is_asked_once_however_many_are_refused(client, server, program, tmp_path):
    made = client(exec=program("one", "two"))
    server.accepted = {"two"}
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _n: made.items(POD, "lab"), range(24))] == [[]] * 24
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_certificate_is_fetched_again_before_it_ends(client, server, program, monkeypatch):
    end = datetime.now(UTC) + timedelta(hours=1)
    ends = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    made = client(exec=program("one", "two", ends=ends))
    assert made.items(POD, "lab") == []
    monkeypatch.setattr("time.time", lambda: end.timestamp() - 10)
    assert made.items(POD, "lab") == []
    assert server.answers == {("one", 200): 1, ("two", 200): 1}


def test_a_certificate_in_files_that_somebody_replaced_is_read_again(client, server, tmp_path):
    file = tmp_path / "client.pem"
    shutil.copy(CERTIFICATES / "one.pem", file)
    made = client(**{"client-certificate": str(file), "client-key": str(file)})
    assert made.items(POD, "lab") == []
    server.accepted = {"two"}
    shutil.copy(CERTIFICATES / "two.pem", file)
    assert made.items(POD, "lab") == []
    assert server.answers == {("one", 200): 1, ("one", 401): 1, ("two", 200): 1}


def test_a_certificate_that_cannot_be_renewed_is_told(client, server, program):
    made = client(exec=program("one"))
    server.accepted = {"two"}
    with pytest.raises(TargetError, match="not accepted, or have expired; log in again"):
        made.items(POD, "lab")


def test_a_watch_goes_on_with_another_certificate(client, server, program):
    made = client(exec=program("one", "two"))
    assert made.items(POD, "lab") == []
    server.accepted = {"two"}
    assert [json.loads(line) for line in made.lines("watch", "pods", "/x", {}, 5)] == [EMPTY]
