"""The first process of a router's container: Envoy's parent, and what answers clients about it.

Goes in: one JSON request a connection, over a Unix socket in the router's folder. Comes out: its
answer, or the error that it raised (`agent_errors.py`). Clients reach the socket through the
container's engine (`relay.py`), so nothing of this listens on a network.

It starts Envoy when a client first says what to serve, and from the files of before when its
container is started again. It ends when Envoy ends: whoever runs the container starts it again.
"""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inference_provider.errors import InferenceError, NotReady, TargetError
from inference_provider.router.table import Backend, RouterTable
from inference_provider.targets.envoy import log_bound
from inference_provider.targets.envoy.agent_errors import written
from inference_provider.targets.envoy.delivery import BOOTSTRAP, Delivery
from inference_provider.targets.envoy.serving import Serving
from inference_provider.targets.listening import address_fault, first_free
from inference_provider.targets.loopback import answers

SOCKET = "agent.sock"
START_LIMIT_S = 20.0
_LOG_CHECK_S = 5.0
_POLL_S = 0.05
_END_WAIT_S = 15.0

Request = Mapping[str, Any]


class Agent:
    """One router: its process, and the answers about it."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._delivery = Delivery(folder, workers)
        self._folder = folder
        self._listens: RouterTable | None = None
        self._serving = Serving(self._delivery, self._where, self.runs)
        self._envoy: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._publishing = threading.Lock()
        self._answers: Mapping[str, Callable[[Request], Any]] = {
            "start": self._start,
            "publish": self._publish,
            "in_force": lambda _asked: self._serving.in_force(),
            "is_ready": lambda _asked: self.runs() and self._delivery.is_ready(),
            "is_drained": lambda asked: self._serving.is_drained(asked["deployment"]),
            "is_connected": lambda asked: self._serving.is_connected(_backends(asked)),
            "wait_healthy": self._wait_healthy,
            "status": lambda _asked: self._serving.status().model_dump(mode="json"),
            "answers": self._instance_answers,
            "free_port": self._free_port,
            "address_fault": self._address_fault,
        }

    def answer(self, text: bytes) -> bytes:
        """Answer one request; an error of ours goes back to the client, as itself."""
        try:
            asked = json.loads(text)
            found: dict[str, Any] = {"answer": self._answers[asked["ask"]](asked)}
        except InferenceError as fault:
            found = {"error": written(fault)}
        except (KeyError, ValidationError):  # a question or a table that this release does not know
            found = {"error": written(_of_another_release())}
        return json.dumps(found).encode()

    # -- the process ---------------------------------------------------------------------------

    def _where(self) -> RouterTable:
        known = self._listens or self._delivery.in_force()
        if known is None:
            raise NotReady("ask", "the router", "nobody has said where it listens", "start it")
        return known.model_copy(update={"endpoints": (), "draining": ()})

    def runs(self) -> bool:
        """Whether Envoy runs."""
        return self._envoy is not None and self._envoy.poll() is None

    def start_again(self) -> None:
        """Start Envoy from the files of before, if there are any."""
        if (self._folder / BOOTSTRAP).exists():
            self._launch()

    def _start(self, asked: Request) -> None:
        table = self._table(asked)
        with self._starting:
            self._listens = table
            if not self.runs():
                self._serving.write(table.endpoints)
                self._launch()
            else:
                self._serving.mend_bootstrap()
        until = time.monotonic() + START_LIMIT_S
        while not self._delivery.is_ready():
            if not self.runs() or time.monotonic() > until:
                limit = f"not ready within {START_LIMIT_S:.0f} s"
                raise NotReady("start", "the router", limit, "look at its container's log")
            time.sleep(_POLL_S)

    def _launch(self) -> None:
        self._envoy = subprocess.Popen(self._delivery.command(), cwd=self._folder)

    def wait(self) -> int:
        """Wait until Envoy ends; return its exit status. Meanwhile its access log stays small."""
        log = self._folder / "access.log"
        while True:
            if self._envoy is None:
                time.sleep(_POLL_S)
                continue
            try:
                return self._envoy.wait(_LOG_CHECK_S)
            except subprocess.TimeoutExpired:
                with suppress(OSError):
                    log_bound.bound_log(log, log_bound.ACCESS_LOG_BYTES)

    def end(self) -> None:
        """End Envoy; it is killed when it does not end in time."""
        if self._envoy is not None:
            self._envoy.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._envoy.wait(_END_WAIT_S)
            self._envoy.kill()

    # -- questions -----------------------------------------------------------------------------

    def _table(self, asked: Request) -> RouterTable:
        table = RouterTable.model_validate(asked["table"])
        return table.model_copy(update={"folder": str(self._folder)})

    def _publish(self, asked: Request) -> None:
        table = self._table(asked)
        with self._publishing:
            self._listens = table
            self._serving.publish(table.endpoints)

    def _wait_healthy(self, asked: Request) -> None:
        self._serving.wait_healthy(asked["deployment"], asked["count"])

    @staticmethod
    def _instance_answers(asked: Request) -> bool:
        """Whether a route answers 200 to 399, asked until it does or the time is over."""
        [backend] = _backends(asked)
        until = time.monotonic() + asked["limit_s"]
        while True:
            if answers((backend.host, backend.port), asked["path"], asked["timeout_s"]):
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)

    @staticmethod
    def _free_port(asked: Request) -> int | None:
        return first_free(asked["host"], asked["ports"])

    @staticmethod
    def _address_fault(asked: Request) -> str:
        return address_fault(asked["host"], asked["port"], "the host")


def _of_another_release() -> TargetError:
    reason = "its image is of another release, which does not know what is asked"
    return TargetError("ask", "the router", reason, "apply the workspace, which replaces it")


def _backends(asked: Request) -> list[Backend]:
    return [Backend.model_validate(found) for found in asked["backends"]]


class _Handler(socketserver.StreamRequestHandler):
    """Reads one request to its end, and writes the answer."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        self.wfile.write(server.agent.answer(self.rfile.read()))


class _Server(socketserver.ThreadingUnixStreamServer):
    """Answers clients side by side; a publication may take seconds."""

    daemon_threads = True

    def __init__(self, agent: Agent, path: Path) -> None:
        self.agent = agent
        path.unlink(missing_ok=True)  # of a container that was killed
        super().__init__(str(path), _Handler)
        path.chmod(0o600)


def main() -> None:
    """Run one router in the folder that the first argument names, until Envoy ends."""
    folder = Path(sys.argv[1])
    os.umask(0o077)
    agent = Agent(folder, workers=int(os.environ.get("INFERENCE_ROUTER_WORKERS", "2")))

    def stop(*_given: object) -> None:
        agent.end()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    with _Server(agent, folder / SOCKET) as server:
        agent.start_again()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.exit(agent.wait())


if __name__ == "__main__":
    main()
