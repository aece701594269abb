"""Envoy as the child of a router's first process: started, looked after, ended."""

import subprocess
import time
from contextlib import suppress

from inference_provider.errors import NotReady, TargetUnreachable
from inference_provider.targets.aging import Rounds, end_calls, limit_s
from inference_provider.targets.envoy import log_bound
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.files import BOOTSTRAP
from inference_provider.targets.envoy.refused import ACCESS_LOG

START_LIMIT_S = 20.0
IDLE_LIMIT_S = 10.0
"""Longest wait at the end for callers to close connections on which no request is."""
_LOG_CHECK_S = 5.0
_POLL_S = 0.05
_END_WAIT_S = 15.0
_REQUESTS, _CONNECTIONS = "http.ingress.downstream_rq_active", "http.ingress.downstream_cx_active"


class EnvoyChild:
    """Envoy in the folder of a delivery, as a child of this process."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._process: subprocess.Popen[bytes] | None = None
        self._rounds = Rounds()

    def runs(self) -> bool:
        """Whether Envoy runs."""
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether Envoy runs, and has all its configuration."""
        return self.runs() and self._delivery.is_ready()

    def start(self) -> None:
        """Start Envoy from the files that are there."""
        self._process = subprocess.Popen(self._delivery.command(), cwd=self._delivery.folder)

    def start_again(self) -> bool:
        """Start Envoy from the files of before, if there are any; return whether there are."""
        there = (self._delivery.folder / BOOTSTRAP).exists()
        if there:
            self.start()
        return there

    def wait_ready(self) -> None:
        """Wait until it is ready. Raises NotReady when it ends or takes too long."""
        until = time.monotonic() + START_LIMIT_S
        while not self._delivery.is_ready():
            if not self.runs() or time.monotonic() > until:
                limit = f"not ready within {START_LIMIT_S:.0f} s"
                raise NotReady("start", "the router", limit, "look at its container's log")
            time.sleep(_POLL_S)

    def wait(self) -> int:
        """Wait until Envoy ends; return its exit status. Meanwhile its access log stays small."""
        log = self._delivery.folder / ACCESS_LOG
        while True:
            if self._process is None:
                time.sleep(_POLL_S)
                continue
            try:
                return self._process.wait(_LOG_CHECK_S)
            except subprocess.TimeoutExpired:
                with suppress(OSError):
                    self.end_old_calls()
                with suppress(OSError):
                    log_bound.bound_log(log, log_bound.ACCESS_LOG_BYTES)

    def end_old_calls(self) -> None:
        """End calls that are older than the table says, once in a while. Raises OSError."""
        days = self._delivery.calls_days
        if days and (now_s := self._rounds.due_s()) is not None:
            end_calls(log_bound.parts(self._delivery.folder / ACCESS_LOG), limit_s(now_s, days))

    def drain(self, limit_s: float) -> None:
        """Let the requests in flight end, and callers leave: each is told to close its connection.

        A request that arrives meanwhile is answered.

        Args:
            limit_s: Longest wait for the last request.
        """
        began_s = time.monotonic()
        with suppress(TargetUnreachable):  # it has ended
            self._delivery.admin.post("/healthcheck/fail")
            while (waited_s := time.monotonic() - began_s) < limit_s:
                names = f"^({_REQUESTS}|{_CONNECTIONS})$"
                found = self._delivery.admin.stats(names, "Gauges")
                idle = found.get(_CONNECTIONS) and waited_s < IDLE_LIMIT_S
                if not found.get(_REQUESTS) and not idle:
                    return
                time.sleep(_POLL_S)

    def end(self) -> None:
        """End Envoy; it is killed when it does not end in time."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_WAIT_S)
            self._process.kill()
