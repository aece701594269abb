"""How a message reaches a webhook, or why not; against real servers of this machine."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr
from tests.ports import own_port

from inference_provider.service.webhook import send


@contextmanager
def server(status: int, headers: dict[str, str] | None = None, tls: ssl.SSLContext | None = None):
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    port = own_port()
    found = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if tls:
        found.socket = tls.wrap_socket(found.socket, server_side=True)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/T0KEN?a=b", got
    finally:
        found.shutdown()
        found.server_close()


@contextmanager
def listening(answer: list[bytes]):
    """A socket that says pieces of an answer, one each 0.2 s, and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as found:

        def serve() -> None:
            taken, _ = found.accept()
            with taken:
                for piece in answer:
                    time.sleep(0.2)
                    try:
                        taken.sendall(piece)
                    except OSError:
                        return
                time.sleep(30)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{found.getsockname()[1]}/T0KEN"


def sent(url: str, **given: float) -> str:
    return send(SecretStr(url), {"a": 1}, **given)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_an_answer_of_success_is_an_arrival(status):
    with server(status) as (url, got):
        assert sent(url) == ""
    assert got == [("/T0KEN?a=b", b'{"a":1}')]


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_another_answer_is_told_by_its_status(status):
    with server(status) as (url, _):
        assert sent(url) == f"it answered {status}"


def test_a_redirect_is_not_followed():
    with server(200) as (other, got), server(307, {"location": other}) as (url, _):
        assert sent(url) == "it answered 307; redirects are not followed"
    assert got == []


def test_nobody_who_listens_is_told():
    port = own_port()
    assert sent(f"http://127.0.0.1:{port}/T0KEN") == "it is not reached: nothing listens there"


def test_one_that_says_nothing_is_given_up():
    with listening([]) as url:
        assert sent(url, limit_s=0.5) == "it did not answer within 0.5 s"


def test_one_that_answers_for_ever_is_given_up_as_a_whole():
    pieces = [b"HTTP/1.1 200 OK\r\n", *([b"x-a: b\r\n"] * 200)]
    with listening(pieces) as url:
        assert sent(url, limit_s=1) == "it did not answer within 1 s"


def test_a_body_that_never_ends_is_not_waited_for():
    with listening([b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", b"a"]) as url:
        assert sent(url) == ""


def test_no_http_is_told_without_a_word_of_it():
    with listening([b"T0KEN is no answer\r\n\r\n"]) as url:
        assert sent(url) == "it is not reached: RemoteProtocolError"


def test_one_that_speaks_no_tls_is_told():
    with listening([b"HTTP/1.1 200 OK\r\n\r\n"]) as url:
        said = sent(url.replace("http://", "https://"))
    assert said == "it is not reached: its certificate is not trusted, or it speaks no TLS"


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with server(200) as (url, _):
        assert sent(url) == ""


def test_a_name_that_is_looked_up_for_long_is_not_waited_for(monkeypatch):
    answer, found = threading.Event(), list[str]()

    def slow(host: str, *_: object, **__: object) -> object:
        answer.wait(20)
        found.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert sent("http://hooks.example.org/T0KEN", limit_s=0.5) == ("it did not answer within 0.5 s")
    assert found == []
    answer.set()
    assert sent("http://hooks.example.org/T0KEN") == "it is not reached: try again"


def test_a_proxy_of_the_environment_leads_to_others(monkeypatch):
    with server(200) as (url, got):
        monkeypatch.setenv("http_proxy", url.partition("/T0KEN")[0])
        monkeypatch.setenv("no_proxy", "")
        assert sent("http://hooks.example.org/T0KEN") == ""
    assert [place for place, _ in got] == ["http://hooks.example.org/T0KEN"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself, and its key in the same file."""
    made = tmp_path_factory.mktemp("tls") / "server.pem"
    asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    asked += ["-subj", "/CN=company", "-addext", "subjectAltName=IP:127.0.0.1"]
    asked += ["-out", str(made), "-keyout", str(made.with_name("key"))]
    subprocess.run(asked, check=True, capture_output=True)
    made.write_text(made.read_text() + made.with_name("key").read_text())
    return made


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"])
def test_an_authority_of_the_environment_vouches(variable, authority, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    bundle = shutil.copy(authority, tmp_path / "own")
    subprocess.run(["openssl", "rehash", str(tmp_path / "own")], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    with server(200, tls=context) as (url, _):
        assert "its certificate is not trusted" in sent(url)
        monkeypatch.setenv(variable, str(tmp_path / "own") if "DIR" in variable else str(bundle))
        assert sent(url) == ""
        monkeypatch.delenv(variable)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        assert sent(url) == "it is not reached: No such file or directory"
