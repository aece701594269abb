"""A Docker host that cannot be used is told in one sentence that says what to do."""

import contextlib
import json
import os
import socket
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from docker.errors import APIError
from tests.users import nobody

from inference_provider.errors import InferenceError, TargetUnreachable
from inference_provider.spec.target import DockerPlace, Home
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.target import DockerTarget


@contextlib.contextmanager
def answering(status, body):
    """A server that answers everything alike; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def told_by(url):
    host = DockerHost(DockerPlace(kind="docker", host=url))
    try:
        with pytest.raises(InferenceError) as caught:
            host.containers({})
    finally:
        host.close()
    return str(caught.value)


def test_podman_is_refused_by_name():
    known = {"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}
    with answering(200, json.dumps(known).encode()) as url:
        assert told_by(url) == (
            f"use Docker host {url}: it is Podman, whose API lacks what this needs; name a host"
            " with a Docker Engine"
        )


def test_an_engine_is_known_by_its_own_id():
    known = {"ApiVersion": "1.41", "ID": "DW34:9F2C", "NCPU": 4}
    with answering(200, json.dumps(known).encode()) as url:
        target = DockerTarget(DockerPlace(kind="docker", host=url))
        assert target.home() == Home({"engine": "DW34:9F2C"}, f"Docker host {url}")
        target.docker.host.close()


@pytest.mark.parametrize(
    ("version", "told"),
    [("1.39", "is 1.39"), ("1.12", "is older than the library knows")],
)
def test_an_engine_that_is_too_old_is_told(version, told):
    with answering(200, json.dumps({"ApiVersion": version}).encode()) as url:
        assert told_by(url) == (
            f"use Docker host {url}: its API {told}; this needs 1.40 or newer;"
            " update the Docker Engine"
        )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, b"<html>welcome</html>", id="a page"),
        pytest.param(200, b"[]", id="other JSON"),
        pytest.param(404, b"not found", id="nothing there"),
    ],
)
def test_what_is_no_engine_is_told_as_such(status, body):
    with answering(status, body) as url:
        assert told_by(url) == (
            f"open Docker host {url}: what answers there is no Docker Engine;"
            " start the Engine, or name the right host or context in `target`"
        )


def test_an_engine_that_is_not_started_is_told(tmp_path):
    url = f"unix://{tmp_path}/docker.sock"
    assert told_by(url) == (
        f"open Docker host {url}: No such file or directory;"
        " start the Engine, or name the right host or context in `target`"
    )


def test_what_fails_while_an_earlier_failure_is_handled_has_its_own_cause():
    host: Any = DockerHost("docker")
    host._api = SimpleNamespace()
    with pytest.raises(TargetUnreachable, match=": Connection refused; start the Engine"):
        try:
            raise TargetUnreachable("build", "x", "it ended") from ValueError("Response ended")
        finally:
            with host.asked("clean up after", "x"):
                raise ConnectionRefusedError(111, "Connection refused")


class Refusing:
    """An Engine that refuses to remove a container."""

    def __init__(self, status, said):
        self.refusal = APIError("refused", requests.Response(), said)
        self.refusal.response.status_code = status

    def remove_container(self, *given, **more):
        raise self.refusal


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "No such container: c"), (409, "removal of container c is already in progress")],
)
def test_a_container_that_another_client_removes_needs_no_removal(status, said):
    host: Any = DockerHost(DockerPlace(kind="docker", host="unix:///none.sock"))
    host._api = Refusing(status, said)
    host.remove("c")


def test_a_container_that_cannot_be_removed_is_told():
    host: Any = DockerHost(DockerPlace(kind="docker", host="unix:///none.sock"))
    host._api = Refusing(500, "driver failed")
    with pytest.raises(InferenceError) as caught:
        host.remove("c")
    assert str(caught.value) == (
        "remove container c on Docker host unix:///none.sock: driver failed"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "No such container: c"),
        (404, "No such exec instance: 5f"),  # its container ended in the middle of a question
        (409, "Container c is not running"),
        (409, "Container c is paused, unpause the container before exec"),
        (409, "Container c is restarting, wait until the container is running"),
    ],
)
def test_a_container_that_cannot_be_asked_now_may_be_asked_later(status, said):
    host: Any = DockerHost(DockerPlace(kind="docker", host="unix:///none.sock"))
    host._api = Refusing(status, said)
    with pytest.raises(TargetUnreachable) as caught, host.asked("ask", "container c") as api:
        api.remove_container("c")
    assert str(caught.value) == f"ask container c: {said}; run this again"


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_a_socket_that_this_user_may_not_use_is_told(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening, tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        listening.bind(f"{folder}/docker.sock")
        Path(folder, "docker.sock").chmod(0o660)
        listening.listen()
        url = f"unix://{folder}/docker.sock"
        with nobody():
            told = told_by(url)
    assert told == (
        f"open Docker host {url}: permission denied on its socket;"
        " add this user to the group 'docker', or name another host"
    )


@pytest.mark.parametrize(
    "ended", [lambda host: host.remove("one"), lambda host: host.stop("one", 5)]
)
def test_a_container_goes_with_the_unnamed_volumes_that_its_image_made(ended):
    host: Any = DockerHost(DockerPlace(kind="docker"))
    removed = []
    host._api = SimpleNamespace(
        stop=lambda _container, timeout: None,
        remove_container=lambda container, **how: removed.append((container, how)),
    )
    ended(host)
    assert removed == [("one", {"force": True, "v": True})]
