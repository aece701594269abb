"""What the pod of a workspace service answers to the kubelet over HTTP.

GET  /live     200 while it looks again and again
GET  /ready    200 once a look at each thing went well; 503 while the last one at any did not
"""

import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from inference_provider.targets.kubernetes.bounded_server import BoundedServer

LONGEST_LOOK_S = 300.0
"""Beyond the longest wait for a lock and for the router's pods together."""
_SILENCE_S = 10.0


class Probes(BoundedServer):
    """Answers for a process that looks again and again, and says so.

    Args:
        host: Address that it listens on.
        port: And port.
        clock_s: Seconds that only go on.
        longest_s: Seconds that a look may take.
    """

    def __init__(
        self,
        host: str,
        port: int,
        clock_s: Callable[[], float] = time.monotonic,
        longest_s: float = LONGEST_LOOK_S,
    ) -> None:
        self._clock_s = clock_s
        self._longest_s = longest_s
        self._looked_s = {"": clock_s()}
        self._well = dict[str, bool]()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def looks(self, what: str) -> None:
        """Note that a look at something begins; the first one is awaited too."""
        self._looked_s.pop("", None)
        self._well.setdefault(what, False)
        self._looked_s[what] = self._clock_s()

    def looked(self, what: str, *, is_well: bool) -> None:
        """Note how a look at something went."""
        self._well[what] = is_well

    @property
    def is_well(self) -> bool:
        """Whether the last look at each went well."""
        return bool(self._well) and all([*self._well.values()])

    @property
    def lives(self) -> bool:
        """Whether each last look began a short while ago, as far as one may take."""
        now_s = self._clock_s()
        return all(now_s - at_s < self._longest_s for at_s in [*self._looked_s.values()])


class _Handler(BaseHTTPRequestHandler):
    server: Probes
    timeout = _SILENCE_S

    def do_GET(self) -> None:
        known = {"/live": self.server.lives, "/ready": self.server.is_well}
        well = known.get(self.path)
        self.send_response(404 if well is None else 200 if well else 503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_given: Any) -> None:
        """Say nothing: probes ask every other second."""
