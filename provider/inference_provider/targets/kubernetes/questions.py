"""Questions to a router pod over HTTP, all read-only. Whoever reaches the port may ask by GET.

GET  /ready                          200 once a revision is in force, else 503 with the reason
GET  /live                           200 while the namespace is followed
GET  /revision?wait=N&timeout_s=S    {"revision": N, "error": null}, of the last publication
GET  /in-flight                      {"requests": {"iris/blue": 3}}, of this pod's router
GET  /in-flight/iris/blue            {"requests": 5}, of all pods of the router together
POST /ask                            {"ask": "status"} -> {"answer": …} or {"error": …}; else 403
                                     to who shows no pass (`question_pass.py`)
"""

import json
import socket
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from inference_provider.errors import TargetError
from inference_provider.targets.envoy.questions import Answers, answer
from inference_provider.targets.kubernetes.bounded_server import BoundedServer
from inference_provider.targets.kubernetes.question_pass import HEADER as PASS
from inference_provider.targets.kubernetes.releases import HEADER, this_release

LONGEST_WAIT_S = 60.0
_LONGEST_BYTES = 1_000_000
_SILENCE_S = 10.0


class Pod(NamedTuple):
    """What answers."""

    fault: Callable[[], str]
    """Says why the router is not ready; empty when it is."""
    lives: Callable[[], bool]
    outcome: Callable[[int, float], dict[str, Any]]
    """Waits for a revision, some seconds; returns what `/revision` answers."""
    may_ask: Callable[[str], bool]
    """Says whether who shows something may ask by POST."""
    answers: Answers
    in_flight: Callable[[], Mapping[str, int]]
    """Returns the requests of its own router, by cluster."""
    in_flight_on: Callable[[str], int]
    """Returns the requests of all pods on a deployment. Both raise TargetError."""


class Server(BoundedServer):
    """Answers side by side; an answer may take a minute."""

    def __init__(self, pod: Pod, host: str, port: int) -> None:
        self.pod = pod
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _SILENCE_S
    wbufsize = 65536  # else headers and body are sent apart, which costs 40 ms

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        pod = self.server.pod
        if asked.path == "/ready":
            fault = pod.fault()
            self._send(503 if fault else 200, {"fault": fault})
        elif asked.path == "/live":
            self._send(200 if pod.lives() else 503, {})
        elif asked.path == "/revision":
            self._revision(parse_qs(asked.query))
        elif asked.path == "/in-flight":
            self._requests(pod.in_flight)
        elif asked.path.startswith("/in-flight/"):
            self._requests(lambda: pod.in_flight_on(asked.path.removeprefix("/in-flight/")))
        else:
            self._send(404, {"fault": "no such path"})

    def _requests(self, count: Callable[[], object]) -> None:
        try:
            self._send(200, {"requests": count()})
        except TargetError as fault:
            self._send(503, {"fault": str(fault)})

    def _revision(self, asked: dict[str, list[str]]) -> None:
        try:
            revision = int(asked.get("wait", ["0"])[0])
            timeout_s = float(asked.get("timeout_s", ["0"])[0])
        except ValueError:
            self._send(400, {"fault": "wait and timeout_s are numbers"})
            return
        timeout_s = min(max(timeout_s, 0.0), LONGEST_WAIT_S)
        self._send(200, self.server.pod.outcome(revision, timeout_s))

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if urlsplit(self.path).path != "/ask":
            self._send(404, {"fault": "no such path"})
        elif not length.isdigit() or int(length) > _LONGEST_BYTES:
            self._send(413, {"fault": "the body is too large, or its length is not said"})
        else:
            text = self.rfile.read(int(length))  # first: what is left unread breaks a connection
            if not self.server.pod.may_ask(self.headers.get(PASS, "")):
                self._send(403, {"fault": "refused"})
                return
            try:
                found = answer(self.server.pod.answers, text)
            except (ValueError, LookupError, TypeError):
                self._send(400, {"fault": "no such question"})
            else:
                self._send(200, json.loads(found))

    def _send(self, status: int, found: dict[str, Any]) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header(HEADER, this_release())
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: Any) -> None:
        """Say nothing: probes ask every second."""
