"""A deployment without an instance: what the first request takes, and what a crowd gets.

A real workspace of the local target. Before each first request the same server is started by hand,
so that the rest is ours: noticing the request, starting, the router's own look, going on.
"""

import http.client
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
from measure import Table, free_port, median, running, until
from scale import checkouts, stack, stacks

from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.local.target import LocalTarget

TITLE, GOAL_S = "To zero and back", 1.0
CYCLES, CROWD = 100, 500
IDLE_S, LIMIT_S = 1, 60
SERVER = '''\
"""A server of the standard library that answers POST too."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.do_GET()

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''


class Lab:
    """The workspace, and who calls its endpoint."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._target = LocalTarget.open(folder / "s")
        endpoint = ResourceId(kind=Kind.ENDPOINT, workspace="bench", name="bench-0")
        seen = self._target.observe_one(endpoint)
        self._uri = seen.outputs["scoring_uri"]
        key = seen.secret_outputs["primary_key"].get_secret_value()
        limits = httpx.Limits(max_connections=None)
        headers = {"authorization": f"Bearer {key}"}
        self._client = httpx.Client(headers=headers, timeout=LIMIT_S, limits=limits)

    def ask(self, _number: int = 0) -> str:
        """Return the status of one request, or why it has none."""
        try:
            return str(self._client.post(self._uri, json={}).status_code)
        except httpx.HTTPError as fault:
            return type(fault).__name__

    def wait_until_asleep(self) -> None:
        """Wait until no instance is there, not even its process."""
        until(lambda: not self.instances(), "no instance", LIMIT_S)

    def instances(self) -> list[int]:
        """Return the processes of instances."""
        folder, found = str(self._folder), list[int]()
        for one in psutil.process_iter(["cmdline", "cwd"]):
            command = " ".join(one.info["cmdline"] or ())
            if "serve.py" in command and folder in (one.info["cwd"] or "") + command:
                found.append(one.pid)
        return found

    def left(self) -> int:
        """Return how many processes there are of this workspace."""
        folder = str(self._folder)
        lines = (" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))
        return sum(folder in line for line in lines)


def measure() -> list[Table]:
    sides = checkouts(None)
    with stacks(_document(), sides, SERVER) as folders:
        [(name, folder)] = folders.items()
        sides[name].inferctl(folder, "up", "-y")
        lab = Lab(folder)
        firsts, by_hand, answers = _cycles(lab, folder)
        lab.wait_until_asleep()
        crowd, crowd_s = _crowd(lab)
        lab.wait_until_asleep()
        sides[name].inferctl(folder, "stop", "-w", "bench")
        left = lab.left()
    own = sorted(first - hand for first, hand in zip(firsts, by_hand, strict=True))
    rows = [
        _row("the first request, until it is answered", firsts),
        _row("of it: the server's own start, by hand", by_hand),
        _row("of it: ours", own),
        ("a crowd, until the last one is answered", f"{crowd_s:.2f}", "-", "-"),
    ]
    failed = sum(count for said, count in (answers + crowd).items() if said != "200")
    verdict = "reached" if median(own) <= GOAL_S else "missed"
    note = (
        f"{CYCLES} cycles to zero and back, and {CROWD} requests at once while there is no"
        f" instance; {failed} failed. Goal: {GOAL_S:g} s beyond the server's own start, {verdict}"
        f" at the median. {left} processes were left after `inferctl stop`."
    )
    return [Table(TITLE, ("what", "median s", "95 % s", "max s"), rows, (note,))]


def _document() -> dict[str, Any]:
    rule = {
        "endpoint": "bench-0",
        "deployment": "blue",
        "min_instances": 0,
        "max_instances": 1,
        "targets": [{"metric": "RequestsInFlight", "target": 100}],
        "scale_in": {"stabilization_s": IDLE_S},
    }
    found = stack(1, 1)
    found["deployments"][0]["request_settings"] = {"max_concurrent_requests_per_instance": 32}
    split = {"endpoint": "bench-0", "traffic": {"blue": 100}}
    return {**found, "autoscale_rules": [rule], "traffic": [split]}


def _cycles(lab: Lab, folder: Path) -> tuple[list[float], list[float], Counter[str]]:
    firsts, by_hand, answers = list[float](), list[float](), Counter[str]()
    for number in range(CYCLES):
        lab.wait_until_asleep()
        by_hand.append(_by_hand(folder))
        began_s = time.perf_counter()
        answers[lab.ask()] += 1
        firsts.append(time.perf_counter() - began_s)
        print(number, f"{firsts[-1]:.2f} {by_hand[-1]:.2f}", dict(answers), file=sys.stderr)
    return firsts, by_hand, answers


def _by_hand(folder: Path) -> float:
    """Return the seconds until the server answers that somebody starts."""
    port = free_port()
    command = (sys.executable, str(folder / "code" / "serve.py"), str(port))
    began_s = time.perf_counter()
    with running(command, folder / "by-hand.log"):
        until(lambda: _answers(port), "an answer")
        return time.perf_counter() - began_s


def _answers(port: int) -> bool:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        link.request("GET", "/health")
        return link.getresponse().status == 200
    except OSError:
        return False
    finally:
        link.close()


def _crowd(lab: Lab) -> tuple[Counter[str], float]:
    began_s = time.perf_counter()
    with ThreadPoolExecutor(CROWD) as pool:
        found = Counter(pool.map(lab.ask, range(CROWD)))
    return found, time.perf_counter() - began_s


def _row(what: str, seconds: list[float]) -> tuple[str, ...]:
    ordered = sorted(seconds)
    late = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    return what, f"{median(ordered):.2f}", f"{late:.2f}", f"{ordered[-1]:.2f}"
