"""What `ssh` is asked for a Docker host; the connections themselves are in tests/docker."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.ssh import Tunnel, ssh_command
from inference_provider.targets.docker.target import DockerTarget

OPTIONS = (
    "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=10 -o ServerAliveCountMax=3"
    " -o ExitOnForwardFailure=yes -o ControlMaster=no -o ControlPath=none -o RemoteCommand=none"
    " -o RequestTTY=no"
)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ssh://GPU-1", "-L /t/s:/var/run/docker.sock -- GPU-1 cat"),
        ("ssh://ana@gpu-1:2222", "-L /t/s:/var/run/docker.sock -l ana -p 2222 -- gpu-1 cat"),
        (
            "ssh://gpu-1/run/user/1000/docker.sock",
            "-L /t/s:/run/user/1000/docker.sock -- gpu-1 cat",
        ),
        ("ssh://ana@[fe80::1]:22/", "-L /t/s:/var/run/docker.sock -l ana -p 22 -- fe80::1 cat"),
        ("ssh://-oProxyCommand=x", "-L /t/s:/var/run/docker.sock -- -oProxyCommand=x cat"),
    ],
)
def test_ssh_forwards_the_engines_socket_and_takes_no_host_for_an_option(url, said):
    assert " ".join(ssh_command(url, Path("/t/s"))) == f"{OPTIONS} {said}"


def test_ssh_forwards_an_address_as_the_host_sees_it():
    command = ssh_command("ssh://gpu-1/run/docker.sock", Path("/t/s"), "[::1]:18080")
    assert " ".join(command) == f"{OPTIONS} -L /t/s:[::1]:18080 -- gpu-1 cat"


ENGINE = """\
import json, os, socketserver, sys, threading
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"ApiVersion": "1.44"} if "version" in self.path else []).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "-"

    def log_message(self, *given):
        pass

class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

with open(os.environ["STARTS"], "a") as starts:
    starts.write(f"{os.getpid()}\\n")
path = sys.argv[sys.argv.index("-L") + 1].partition(":")[0]
with Server(path, Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("connected", file=sys.stderr, flush=True)
    for line in sys.stdin:
        print(line, end="", flush=True)
    print("closed", file=sys.stderr, flush=True)
"""


@pytest.fixture
def starts(tmp_path, monkeypatch):
    """Put an `ssh` on PATH behind which an Engine answers; return the file of its process ids."""
    program = tmp_path / "ssh"
    program.write_text(f"#!{sys.executable} -IS\n{ENGINE}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))
    return tmp_path / "starts"


@pytest.fixture
def host(starts):
    host = DockerHost(DockerPlace(kind="docker", host="ssh://gpu-1"))
    yield host
    host.close()


def test_a_host_is_connected_to_again_when_ssh_has_ended(host, starts):
    assert host.containers({}) == []
    os.kill(int(starts.read_text()), signal.SIGKILL)
    until_s = time.monotonic() + 5
    while host._tunnel.runs():
        assert time.monotonic() < until_s
        time.sleep(0.01)
    assert host.containers({}) == []
    assert len(starts.read_text().splitlines()) == 2


@pytest.mark.parametrize("host", ["ssh://gpu-1", "ssh://localhost"])
def test_a_router_on_the_loopback_of_a_host_is_reached_by_ssh_and_the_way_is_closed(starts, host):
    target = DockerTarget(DockerPlace(kind="docker", host=host))
    with target.way_to("demo", "http://127.0.0.1:18807/endpoints/iris/score") as way:
        assert Path(way.socket).is_socket()
        assert Path(way.socket).parent.stat().st_mode & 0o77 == 0
        assert way.cause() == "connected"
    assert not Path(way.socket).parent.exists()
    assert len(starts.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("ssh://gpu-1", "http://gpu-1:18807/endpoints/iris/score"),
        ("tcp://gpu-1:2376", "http://10.0.0.7:18807/endpoints/iris/score"),
        ("tcp://127.0.0.1:2376", "http://127.0.0.1:18807/endpoints/iris/score"),
        ("unix:///run/docker.sock", "http://127.0.0.1:18807/endpoints/iris/score"),
    ],
)
def test_a_router_that_this_machine_reaches_is_reached_by_its_url(host, url):
    with DockerTarget(DockerPlace(kind="docker", host=host)).way_to("demo", url) as way:
        assert way.socket == ""


def test_a_host_that_was_closed_is_connected_to_again(host, starts):
    assert host.containers({}) == []
    host.close()
    assert host.containers({}) == []
    assert len(starts.read_text().splitlines()) == 2


def test_first_callers_at_once_share_one_connection(host, starts):
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _number: host.containers({}), range(8))) == [[]] * 8
    assert len(starts.read_text().splitlines()) == 1


def test_what_ssh_says_is_read_while_it_says_more(starts):
    tunnel = Tunnel("ssh://gpu-1")
    said = tunnel._folder / "said"
    assert tunnel.cause() == "connected"
    with said.open("ab") as full:
        full.write(b"x" * 100 + b"\n")
    tunnel.cause()
    assert tunnel._ssh.stdin is not None
    tunnel._ssh.stdin.close()
    tunnel._ssh.wait(5)
    assert said.read_text().splitlines() == ["connected", "x" * 100, "closed"]
    assert tunnel.cause() == "closed"
    tunnel.close()
    assert tunnel.cause() == ""
