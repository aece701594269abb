"""What leads into a network of an instance's own: nothing of what passes is lost or changed."""

import ctypes
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from inference_provider.targets.local import launch
from inference_provider.targets.local.leftovers import lives
from tests.local.server.model import until

pytestmark = pytest.mark.local
PORT = 21000
DIGESTS = """
import hashlib, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = hashlib.sha256(body).hexdigest().encode() + body
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *args):
        pass
ThreadingHTTPServer.request_queue_size = 100
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ENDS_AT_ONCE = """
import os, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    taken, _ = server.accept()
    taken.recv(100)
    taken.sendall(b"x" * 1_000_000)
    taken.close()
    os.kill(os.getpid(), 9)
"""
FINISHES = """
import signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: None)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    taken, _ = server.accept()
    taken.sendall(b"first ")
    while taken.recv(100) != b"go on":
        pass
    taken.sendall(b"last")
"""
Started = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="inf-") as made:  # a socket's path is short
        yield Path(made)


@pytest.fixture
def started(folder: Path) -> Iterator[Started]:
    """Start a server that knows a port alone, as supervisord does, closed."""
    running = []

    def start(text: str) -> subprocess.Popen[bytes]:
        (folder / "serve.py").write_text(text)
        order = {
            "argv": [sys.executable, "serve.py", str(PORT)],
            "environment": {"PATH": os.environ["PATH"]},
            "directory": str(folder),
            "network": [PORT, str(folder / "door"), ""],
            "pid_file": str(folder / "pid"),
        }
        (folder / "order.json").write_text(json.dumps(order))
        command = [sys.executable, launch.__file__, str(folder / "order.json")]
        running.append(subprocess.Popen(command, start_new_session=True))
        return running[-1]

    yield start
    for one in running:
        one.kill()
        one.wait(10)


def connected(folder: Path) -> socket.socket:
    """Connect to the server as soon as it listens."""
    found = socket.socket(socket.AF_UNIX)
    found.settimeout(20)
    until(lambda: found.connect_ex(str(folder / "door")) == 0)
    return found


def asked(folder: Path, body: bytes) -> bool:
    """Whether a body comes back whole, with its digest before it."""
    connection = http.client.HTTPConnection("any")
    connection.sock = connected(folder)
    connection.request("POST", "/", body)
    answer = connection.getresponse().read()
    connection.close()
    return answer == hashlib.sha256(body).hexdigest().encode() + body


def test_large_bodies_and_many_connections_pass_unchanged(folder: Path, started: Started):
    started(DIGESTS)
    assert asked(folder, os.urandom(30_000_000))
    with ThreadPoolExecutor(50) as pool:
        bodies = [os.urandom(100_000) for _ in range(300)]
        assert all(pool.map(lambda body: asked(folder, body), bodies))


def test_the_last_words_of_a_server_that_is_killed_arrive(folder: Path, started: Started):
    started(ENDS_AT_ONCE)
    with connected(folder) as opened:
        opened.sendall(b"go on")
        said = b"".join(iter(lambda: opened.recv(1 << 16), b""))
    assert said == b"x" * 1_000_000


def test_a_signal_to_its_group_ends_no_request_that_the_server_finishes(
    folder: Path, started: Started
):
    leader = started(FINISHES)
    with connected(folder) as opened:
        assert opened.recv(100) == b"first "
        os.killpg(leader.pid, signal.SIGTERM)
        opened.sendall(b"go on")
        assert opened.recv(100) == b"last"
        assert opened.recv(100) == b""


def test_nobody_is_let_in_before_the_server_listens_or_after_it_has_ended(
    folder: Path, started: Started
):
    leader = started("import time\ntime.sleep(60)")
    until(lambda: "serve.py" in psutil.Process(leader.pid).cmdline())
    [beside] = psutil.Process(leader.pid).children()
    assert not (folder / "door").exists()
    leader.kill()
    leader.wait(10)
    until(lambda: not lives(beside.pid))

    started(FINISHES)
    connected(folder).close()
    with socket.socket(socket.AF_UNIX) as later:
        until(lambda: later.connect_ex(str(folder / "door")) != 0)


ASKS_FOR_A_NAME = """
import os, socket, sys
os.mkdir("/run/nscd")
service = socket.socket(socket.AF_UNIX)
service.bind("/run/nscd/socket")
service.listen()
def answer():
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex("/run/nscd/socket")
from inference_provider.targets.local import own_network
print(answer(), os.path.isdir("/run"))
own_network.enter()
print(answer(), os.listdir("/run/nscd"), sorted(os.listdir("/run")))
"""


def test_no_service_of_the_machine_asks_for_names_for_it():
    script = 'mount -t tmpfs none /run && exec "$@"'
    command = ["unshare", "-Urm", "sh", "-c", script, "sh", sys.executable, "-c", ASKS_FOR_A_NAME]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines() == ["0 True", "2 [] ['nscd']"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_who_is_not_root_is_closed_in_too(folder: Path):
    """As whoever runs most machines: a user without any right to namespaces of its own."""
    folder.chmod(0o777)
    pid = os.fork()
    if not pid:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: as after the start of a program
            launch.enclose((PORT, str(folder / "door"), ""))
            server = socket.create_server(("127.0.0.1", PORT))
            taken, _ = server.accept()
            with socket.socket() as out:
                found = [os.getuid(), out.connect_ex(("1.1.1.1", 443)), socket.if_nameindex()]
            taken.sendall(json.dumps(found).encode())
        finally:
            os._exit(0)
    with connected(folder) as opened:
        assert json.loads(opened.recv(1000)) == [65534, 101, [[1, "lo"]]]
    os.waitpid(pid, 0)


def test_a_relay_that_cannot_listen_ends_its_server_so_that_both_start_again(
    folder: Path, started: Started
):
    (folder / "door" / "taken").mkdir(parents=True)
    leader = started(DIGESTS)
    assert leader.wait(20) == -signal.SIGTERM


def test_a_relay_goes_with_a_server_that_ends_before_it_listens(folder: Path, started: Started):
    leader = started("import time; time.sleep(0.5)")
    assert leader.wait(20) == 0

    def left() -> bool:
        order = str(folder / "order.json")
        return any(order in (one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"]))

    until(lambda: not left())
