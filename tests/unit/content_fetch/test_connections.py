"""Fetching goes on after a lost connection, and says in the end what failed."""

import hashlib
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.unit.content_fetch.archives import ABSENT, archive, entry

from inference_provider.targets.kubernetes import (
    archives,
)
from inference_provider.targets.kubernetes.archives import Failed, Service
from inference_provider.targets.kubernetes.fetch import bring


def test_a_service_that_does_not_answer_is_waited_for_and_then_named(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.01)
    with pytest.raises(Failed) as silent:
        bring(Service("http://127.0.0.1:1", limit_s=0.1), "model", ABSENT, tmp_path)
    assert str(silent.value) == (
        "the content service does not answer: [Errno 111] Connection refused (tried for 0 s);"
        " look at the pods of deployment inference-content"
    )


@contextmanager
def serving(handler):
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Flaky(BaseHTTPRequestHandler):
    """Answers 503 first, then cuts every connection after some bytes."""

    content = b""
    asked: list[str | None] = []

    def do_GET(self):
        self.asked.append(self.headers.get("Range"))
        if len(self.asked) == 1:
            self.send_error(503)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        left = self.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(left)))
        self.end_headers()
        self.wfile.write(left[:1_000_000])

    def log_message(self, format, *args):
        pass


def test_a_lost_connection_is_taken_up_where_it_broke(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.01)
    content = archive(entry("a"), content=bytes(range(250)) * 10_000)
    monkeypatch.setattr(Flaky, "content", content)
    monkeypatch.setattr(Flaky, "asked", [])
    with serving(Flaky) as url:
        service = Service(url, limit_s=1)
        bring(service, "model", hashlib.sha256(content).hexdigest(), tmp_path)
    assert (tmp_path / "model/a").read_bytes() == bytes(range(250)) * 10_000
    assert Flaky.asked == [None, None, "bytes=1000000-", "bytes=2000000-"]


class Fetches(BaseHTTPRequestHandler):
    """Says that it fetches an archive, and how far it is, for longer than anybody waits."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        far = min(type(self).asked, 20)
        body = b"ab" if far == 20 else f"it is fetched from the bucket: {far} of 20 bytes".encode()
        self.send_response(200 if far == 20 else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def test_what_is_still_fetched_from_a_bucket_is_waited_for_as_long_as_it_goes_on(monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.05)
    monkeypatch.setattr(Fetches, "asked", 0)
    with serving(Fetches) as url:
        assert Service(url, limit_s=0.5).text("/assets") == "ab"
    assert Fetches.asked == 20


class Short(BaseHTTPRequestHandler):
    """Promises more than it sends, each time."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(100 - start))
        self.end_headers()
        if not start:
            self.wfile.write(b"x" * 40)

    def log_message(self, format, *args):
        pass


def test_a_connection_that_breaks_again_and_again_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.05)
    with serving(Short) as url, pytest.raises(archives.Failed) as failed:
        archives.fetch(Service(url, limit_s=0.5), "0" * 64, tmp_path)
    assert str(failed.value) == (
        "the content service ends 60 bytes early, again and again; look at the pods of deployment"
        " inference-content"
    )
    assert Short.asked < 20


def test_the_last_line_says_what_failed(server, tmp_path):
    program = [sys.executable, "-m", "inference_provider.targets.kubernetes.fetch"]
    place = ["--into", str(tmp_path), "--service", f"http://127.0.0.1:{server.server_port}"]
    ran = subprocess.run(
        [*program, *place, f"model={ABSENT}"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "error: fetch model 000000000000: the content service does not have it: run `inferctl up`,"
        " which copies it again"
    )
