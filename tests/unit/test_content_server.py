"""The server that keeps a workspace's content in a cluster."""

import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection

import pytest

from inference_provider.targets.kubernetes.content_passes import environment_pass
from inference_provider.targets.kubernetes.content_server import Server

BYTES = bytes(range(256)) * 12_000
DIGEST = "4b946083e4726eb822210f4318d02261e43fd44f2f4f90149926986a9cdaa46f"
NAME = f"{'e' * 64}.{'1' * 16}"


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path, "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def ask(server):
    host, port = server.server_address
    connection = HTTPConnection(host, port, timeout=10)

    def send(method, path, body=None, headers=None):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())

    yield send
    connection.close()


def files(tmp_path):
    return sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.is_file())


@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_put_is_there_under_its_hash(ask, tmp_path, chunked):
    body = iter([BYTES[:1000], BYTES[1000:]]) if chunked else BYTES
    assert ask("HEAD", f"/assets/{DIGEST}")[0] == 404
    assert ask("PUT", f"/assets/{DIGEST}", body)[0] == 201
    status, _, headers = ask("HEAD", f"/assets/{DIGEST}")
    assert (status, headers["Content-Length"]) == (200, "3072000")
    assert ask("GET", f"/assets/{DIGEST}")[:2] == (200, BYTES)
    assert files(tmp_path) == [f"assets/{DIGEST}"]
    assert ask("PUT", f"/assets/{DIGEST}", BYTES)[0] == 201


def test_what_has_another_hash_is_refused_and_leaves_nothing(ask, tmp_path):
    status, text, _ = ask("PUT", f"/assets/{DIGEST}", BYTES[1:])
    assert status == 422
    assert text.startswith(b"what arrived has the hash ")
    assert files(tmp_path) == []
    assert ask("GET", "/healthz")[:2] == (200, b"ok\n")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"Content-Length: 2000\r\n\r\n" + b"x" * 1999, id="length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n10\r\nshort", id="in mid-chunk"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", id="without last chunk"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", id="two lengths"),
        pytest.param(b"Content-Length: -1\r\n\r\nab", id="negative"),
        pytest.param(b"Content-Length: two\r\n\r\nab", id="no number"),
    ],
)
def test_a_short_body_is_refused_and_leaves_nothing(server, tmp_path, sent):
    with socket.create_connection(server.server_address) as client:
        client.sendall(f"PUT /assets/{hashlib.sha256(b'ab').hexdigest()} HTTP/1.1\r\n".encode())
        client.sendall(b"Host: content\r\n" + sent)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("asked", "status", "body", "described"),
    [
        ("bytes=0-3", 206, BYTES[:4], "bytes 0-3/3072000"),
        ("bytes=3071999-", 206, BYTES[-1:], "bytes 3071999-3071999/3072000"),
        ("bytes=-2", 206, BYTES[-2:], "bytes 3071998-3071999/3072000"),
        ("bytes=3071000-9999999", 206, BYTES[3071000:], "bytes 3071000-3071999/3072000"),
        ("bytes=3072000-", 416, b"", "bytes */3072000"),
        ("bytes=0-1,5-6", 200, BYTES, None),
        ("lines=1-2", 200, BYTES, None),
        ("bytes=-", 200, BYTES, None),
    ],
)
def test_a_range_of_an_archive(ask, asked, status, body, described):
    ask("PUT", f"/assets/{DIGEST}", BYTES)
    answer = ask("GET", f"/assets/{DIGEST}", headers={"Range": asked})
    assert answer[:2] == (status, body)
    assert answer[2].get("Content-Range") == described


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/", "/assets/..", "/assets/" + "A" * 64, f"/assets/{'a' * 64}/x", "/environments/a"]
)
def test_what_is_no_name_of_content_is_nowhere(ask, tmp_path, method, path):
    assert ask(method, path, b"x" if method == "PUT" else None)[0] == 404
    assert files(tmp_path) == []


def test_an_archive_that_is_used_stays_and_goes_when_asked(ask):
    ask("PUT", f"/assets/{DIGEST}", BYTES)
    status, text, _ = ask("DELETE", f"/assets/{DIGEST}?unused_s=60")
    assert (status, text) == (409, b"it was used 0 s ago\n")
    assert ask("DELETE", f"/assets/{DIGEST}")[0] == 200
    assert ask("DELETE", f"/assets/{DIGEST}")[0] == 404


def test_asking_for_an_archive_counts_as_its_use_and_listing_does_not(ask, tmp_path):
    ask("PUT", f"/assets/{DIGEST}", BYTES)
    os.utime(tmp_path / "assets" / DIGEST, (1.0, time.time() - 5000))
    [found] = json.loads(ask("GET", "/assets")[1])["assets"]
    assert (found["digest"], found["size"]) == (DIGEST, 3072000)
    assert 5000 <= found["idle_s"] < 5060
    ask("HEAD", f"/assets/{DIGEST}")
    [found] = json.loads(ask("GET", "/assets")[1])["assets"]
    assert found["idle_s"] < 60


def test_the_first_environment_of_a_name_stays_as_long_as_its_archive(ask):
    other = hashlib.sha256(b"other").hexdigest()
    ask("PUT", f"/assets/{DIGEST}", BYTES)
    ask("PUT", f"/assets/{other}", b"other")
    assert ask("GET", f"/environments/{NAME}")[0] == 404
    assert ask("PUT", f"/environments/{NAME}", DIGEST)[0] == 201
    assert ask("PUT", f"/environments/{NAME}", other)[0] == 409
    assert ask("GET", f"/environments/{NAME}")[:2] == (200, f"{DIGEST}\n".encode())
    assert json.loads(ask("GET", "/assets")[1])["environments"] == {NAME: DIGEST}
    ask("DELETE", f"/assets/{DIGEST}")
    assert ask("GET", f"/environments/{NAME}")[0] == 404
    assert ask("PUT", f"/environments/{NAME}", other)[0] == 201
    assert ask("DELETE", f"/environments/{NAME}")[0] == 200


def test_a_name_is_given_to_a_hash_only(ask, tmp_path):
    assert ask("PUT", f"/environments/{NAME}", "../../etc/passwd")[0] == 400
    assert files(tmp_path) == []


def test_a_full_volume_is_said_after_the_whole_body_was_read(ask, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        status, text, _ = ask("PUT", f"/assets/{DIGEST}", BYTES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 507
    assert text.startswith(b"the content volume has ")
    assert files(tmp_path) == []
    assert ask("PUT", f"/assets/{DIGEST}", BYTES)[0] == 201


def test_a_volume_that_cannot_be_written_is_said(ask, tmp_path):
    (tmp_path / "arriving").rmdir()
    status, text, _ = ask("PUT", f"/assets/{DIGEST}", BYTES)
    assert status == 500
    assert text == b"the content volume cannot be written: No such file or directory\n"


def test_what_certainly_does_not_fit_is_refused_before_it_is_written(server, tmp_path):
    size = 2**60
    with socket.create_connection(server.server_address) as client:
        client.sendall(f"PUT /assets/{DIGEST} HTTP/1.1\r\nContent-Length: {size}\r\n\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 507 ")
    assert files(tmp_path) == []


def test_a_small_answer_takes_no_forty_milliseconds(ask):
    path = f"/assets/{hashlib.sha256(b'small').hexdigest()}"
    ask("PUT", path, b"small")
    took_s: list[float] = []
    for _ in range(20):
        began_s = time.monotonic()
        ask("GET", path)
        took_s.append(time.monotonic() - began_s)
    assert sorted(took_s)[10] < 0.04


OTHER = f"{'f' * 64}.{'1' * 16}"


@pytest.mark.parametrize(
    ("shown", "allowed"),
    [
        ("", {"GET asset", "GET environment"}),
        ("wrong", {"GET asset", "GET environment"}),
        ("é", {"GET asset", "GET environment"}),
        (f"{'e' * 64}.{'0' * 64}", {"GET asset", "GET environment"}),
        ("pass", {"GET asset", "GET environment", "PUT asset", "PUT environment"}),
        (
            "token",
            {
                *("GET asset", "GET environment", "PUT asset", "PUT environment", "PUT other"),
                *("GET list", "DELETE environment", "DELETE asset"),
            },
        ),
    ],
)
def test_who_shows_no_token_reads_what_he_knows_and_a_pod_puts_its_environment(
    server, ask, shown, allowed
):
    server.token = "token"
    server.folder.receive(DIGEST, [BYTES])
    server.folder.name(NAME, DIGEST)
    value = environment_pass("token", "e" * 64) if shown == "pass" else shown
    asked = {
        "GET asset": ("GET", f"/assets/{DIGEST}", None),
        "GET environment": ("GET", f"/environments/{NAME}", None),
        "GET list": ("GET", "/assets", None),
        "PUT asset": ("PUT", f"/assets/{DIGEST}", BYTES),
        "PUT environment": ("PUT", f"/environments/{NAME}", DIGEST),
        "PUT other": ("PUT", f"/environments/{OTHER}", DIGEST),
        "DELETE environment": ("DELETE", f"/environments/{NAME}", None),
        "DELETE asset": ("DELETE", f"/assets/{DIGEST}", None),
    }
    headers = {"X-Inference-Pass": value.encode()}
    found = {name: ask(*one, headers)[0] for name, one in asked.items()}
    assert {name for name, status in found.items() if status != 403} == allowed
    assert all(found[name] in (200, 201) for name in allowed)


STARTED = """
import sys, threading
from pathlib import Path
from inference_provider.targets.kubernetes import content_server, names
names.CONTENT_PORT = int(sys.argv.pop())
content_server.main()
"""


@pytest.fixture
def start(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    started = []

    def run():
        command = [sys.executable, "-c", STARTED, str(tmp_path), str(port)]
        variables = {**os.environ, "INFERENCE_CONTENT_PASS": ""}
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, env=variables))
        for _ in range(200):
            try:
                return started[-1], socket.create_connection(("127.0.0.1", port))
            except ConnectionRefusedError:
                time.sleep(0.05)
        raise AssertionError("it does not listen")

    yield run
    for process in started:
        process.kill()
        process.wait()


def put(client, body, sent):
    head = f"PUT /assets/{hashlib.sha256(body).hexdigest()} HTTP/1.1\r\n"
    client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:sent])


def begun(tmp_path):
    """Wait until some of a body is in the folder."""
    for _ in range(500):
        if files(tmp_path):
            return
        time.sleep(0.02)
    raise AssertionError("nothing was written")


@pytest.mark.local
def test_what_a_killed_server_had_begun_is_gone_when_it_starts_again(start, tmp_path):
    process, client = start()
    with client:
        put(client, BYTES, 2_000_000)
        begun(tmp_path)
        process.kill()
        process.wait()
    assert len(files(tmp_path)) == 1
    _, client = start()
    with client:
        assert files(tmp_path) == []
        put(client, BYTES, len(BYTES))
        assert client.recv(100).startswith(b"HTTP/1.1 201 ")


@pytest.mark.local
def test_a_server_that_is_ended_finishes_what_it_has_begun(start, tmp_path):
    process, client = start()
    with client:
        put(client, BYTES, 1_500_000)
        begun(tmp_path)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        client.sendall(BYTES[1_500_000:])
        assert client.recv(100).startswith(b"HTTP/1.1 201 ")
    assert process.wait(5) == 0
    assert files(tmp_path) == [f"assets/{DIGEST}"]
