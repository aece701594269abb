"""First `up` of 20 deployments with servers, against the same 20 servers started by hand.

By hand: the very processes that `up` started, stopped, then started all at once with the same
command lines and environments, until the last one is ready. So the difference is what `up` adds:
records, router, supervisor, and how much it does side by side.
"""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml
from measure import Table
from scale import Checkout, checkouts, deployment, environment, stack, stacks

COUNT, LIMIT_S = 20, 300
PLAIN = '''\
"""A server of the standard library: starts in some 0.1 s."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''
SCORING = "def init():\n    pass\n\n\ndef run(data):\n    return data\n"
MARK = "INFERENCE_INSTANCE"
"""In the environment of each process that a supervisord of ours starts."""


class Server(NamedTuple):
    """How one server was started, and where it says that it is ready."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    path: str

    @property
    def socket(self) -> str:
        """The Unix socket it listens on; empty where that is a port."""
        return self.argv[self.argv.index("--socket") + 1] if "--socket" in self.argv else ""

    def is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", timeout=5)
            if self.socket:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(self.socket)
            else:
                place = ("127.0.0.1", int(self.environment["PORT"]))
                connection.sock = socket.create_connection(place)
            connection.request("GET", self.path)
            return connection.getresponse().status < 400
        return False


def measure(against: Path | None = None) -> list[Table]:
    sides = checkouts(against)
    rows = [
        _row("`http.server`", _plain(), sides, PLAIN, "/health"),
        _row("the default server", _default(), sides, SCORING, "/"),
    ]
    by = [f"{name} s" for name in sides]
    note = (
        f"{COUNT} endpoints, each with a deployment of one instance; once. The workspace and the"
        " environment were there already. By hand: the same command lines, all started at once,"
        " until the last is ready."
    )
    header = ("server", "by hand s", *by, "of by hand")
    return [Table(f"First `up` of {COUNT} deployments with servers", header, rows, (note,))]


def _row(
    what: str, document: dict[str, Any], sides: Mapping[str, Checkout], code: str, path: str
) -> list[str]:
    first = {**document, "endpoints": [], "deployments": []}
    spent = {}
    servers: list[Server] = []
    with stacks(first, sides, code) as folders:
        for name, side in sides.items():
            side.inferctl(folders[name], "up", "-y")
            (folders[name] / "stack.yaml").write_text(yaml.safe_dump(document))
            spent[name] = side.inferctl(folders[name], "up", "-y")
            if name == "now":
                servers = list(_servers(folders[name], path))
            side.inferctl(folders[name], "stop", "-w", "bench")
        by_hand_s = _by_hand(servers)
    each = [f"{spent[name]:.1f}" for name in sides]
    return [what, f"{by_hand_s:.1f}", *each, f"{spent['now'] / by_hand_s:.2f}"]


def _plain() -> dict[str, Any]:
    return stack(COUNT, 1)


def _default() -> dict[str, Any]:
    """Return the same stack with the server that an environment without a command gets."""
    plain = stack(COUNT)
    code = {"code": "code", "scoring_script": "serve.py"}
    names = [endpoint["name"] for endpoint in plain["endpoints"]]
    mine = [deployment(name, 1, code_configuration=code, start_timeout_s=120) for name in names]
    return {**plain, "environments": [{"name": environment()["name"]}], "deployments": mine}


def _servers(folder: Path, path: str) -> Iterator[Server]:
    """Yield how each server of a state folder runs now."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            daemon = process.parent()
            started_by = " ".join(daemon.cmdline()) if daemon else ""
            if "supervisord" not in started_by or str(folder) not in started_by:
                continue
            argv, variables = process.cmdline(), process.environ()
            if MARK in variables and "PORT" in variables:  # the router has no port of its own
                own = {name: text for name, text in variables.items() if name != MARK}
                yield Server(argv, own, process.cwd(), path)


def _by_hand(servers: Sequence[Server]) -> float:
    """Return the seconds until all are ready; they are ended then."""
    if len(servers) != COUNT:
        raise RuntimeError(f"{len(servers)} servers were found, {COUNT} were declared")
    for server in servers:
        if server.socket:
            Path(server.socket).unlink(missing_ok=True)
    start_s = time.perf_counter()
    with _started(servers):
        waiting = list(servers)
        while waiting:
            if time.perf_counter() - start_s > LIMIT_S:
                raise TimeoutError(f"{len(waiting)} servers by hand were not ready in {LIMIT_S} s")
            time.sleep(0.02)
            waiting = [server for server in waiting if not server.is_ready()]
        return time.perf_counter() - start_s


@contextmanager
def _started(servers: Sequence[Server]) -> Iterator[None]:
    processes = [
        subprocess.Popen(
            server.argv,
            cwd=server.folder,
            env=dict(server.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        for server in servers
    ]
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
        for process in processes:
            process.wait(20)
