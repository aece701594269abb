"""The first process of a router's container: Envoy's parent, and what answers clients about it.

Goes in: one JSON request a connection, over a Unix socket in the router's folder. Comes out: its
answer, or the error that it raised (`agent_errors.py`). Clients reach the socket through the
container's engine (`relay.py`), so nothing of this listens on a network.

It starts Envoy when a client first says what to serve, and from the files of before when its
container is started again. It ends when Envoy ends: whoever runs the container starts it again.
"""

import os
import signal
import socketserver
import sys
import threading
import time
import traceback
from pathlib import Path

from inference_provider.errors import InferenceError, NotReady
from inference_provider.router.table import RouterTable
from inference_provider.targets.envoy import process, questions
from inference_provider.targets.envoy.child import EnvoyChild
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.edge import SUFFIX, WAITING
from inference_provider.targets.envoy.key_server import KeyServer
from inference_provider.targets.envoy.questions import Answers, Request
from inference_provider.targets.envoy.room_news import RoomNews
from inference_provider.targets.envoy.serving import Endpoints, Serving
from inference_provider.targets.envoy.spans import with_authorities
from inference_provider.targets.envoy.waiting_room import WaitingRoom
from inference_provider.targets.listening import address_fault, first_free
from inference_provider.targets.loopback import answers

SOCKET = "agent.sock"
_POLL_S = 0.05
_AGAIN_S = 5.0
_LONGEST_WAIT_S = 10.0


class Agent:
    """One router: its process, and the answers about it."""

    def __init__(self, folder: Path, workers: int, again_s: float = _AGAIN_S) -> None:
        self._again_s = again_s
        self._delivery = Delivery(folder, workers)
        self._folder = folder
        self._listens: RouterTable | None = None
        self.envoy = EnvoyChild(self._delivery)
        self._serving = Serving(self._delivery, self._where, self.envoy.runs)
        self._starting = threading.Lock()
        self._publishing = threading.Lock()
        self._asked: Endpoints = ()
        """What clients want served, without what holds requests; after this process was started
        again what was served, with former patience, until a client publishes."""
        self._news, self._woken = RoomNews(), threading.Event()
        self._room = WaitingRoom(
            folder, self._delivery.admin, self._woken.set, begun=self._news.tell
        )
        self._answers: Answers = {
            **questions.about(self._serving),
            "start": self._start,
            "publish": self._publish,
            f"start{SUFFIX}": self._start,
            f"publish{SUFFIX}": self._publish,
            f"start{WAITING}": self._start,
            f"publish{WAITING}": self._publish,
            "waits": self._waits,
            "is_ready": lambda _asked: self.envoy.is_ready(),
            "answers": self._instance_answers,
            "disk_used": lambda _asked: self._disk_used(),
            "free_port": self._free_port,
            "address_fault": self._address_fault,
        }

    def answer(self, text: bytes) -> bytes:
        """Answer one request; an error of ours goes back to the client, as itself."""
        return questions.answer(self._answers, text)

    def _where(self) -> RouterTable:
        known = self._listens or self._delivery.in_force()
        if known is None:
            raise NotReady("ask", "the router", "nobody has said where it listens", "start it")
        return known.model_copy(update={"endpoints": (), "draining": ()})

    # -- requests that wait --------------------------------------------------------------------

    def open(self) -> None:
        """Let requests wait from now on, also those for what was served before this process."""
        if table := self._delivery.in_force():
            self._asked = self._room.with_held(table.endpoints)
        self._room.start()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        """Let requests go straight on to deployments that take them again."""
        while self._woken.wait():
            self._woken.clear()
            try:
                self._publish_again()
            except Exception as fault:  # noqa: BLE001 - until then they ask first, and go on
                told = f"{fault}\n" if isinstance(fault, InferenceError) else None
                sys.stderr.write(told or traceback.format_exc())
                time.sleep(self._again_s)
                self._woken.set()

    def _publish_again(self) -> None:
        with self._publishing:
            if self.envoy.runs():
                held = self._room.with_held(self._asked)
                self._serving.publish(held, must_be_healthy=False)

    # -- questions -----------------------------------------------------------------------------

    def _start(self, asked: Request) -> None:
        table = self._table(asked)
        with self._starting:
            self._listens = table
            if not self.envoy.runs():
                with self._publishing:
                    self._serving.write(self._room.with_held(table.endpoints))
                    self._asked = table.endpoints
                self.envoy.start()
            else:
                self._serving.mend_bootstrap()
        self.envoy.wait_ready()

    def _table(self, asked: Request) -> RouterTable:
        # a setting that this release does not know would be left out, silently
        table = RouterTable.model_validate(asked["table"], extra="forbid")
        return with_authorities(table.model_copy(update={"folder": str(self._folder)}))

    def _publish(self, asked: Request) -> None:
        table = self._table(asked)
        with self._publishing:
            self._listens = table
            try:
                self._serving.publish(self._room.with_held(table.endpoints))
            except BaseException:
                self._room.with_held(self._asked)
                raise
            self._asked = table.endpoints

    def _waits(self, asked: Request) -> object:
        wait_s = min(float(asked["wait_s"]), _LONGEST_WAIT_S)
        return self._news.said(self._room, int(asked["after"]), wait_s).model_dump(mode="json")

    @staticmethod
    def _instance_answers(asked: Request) -> bool:
        """Whether a route answers 200 to 399, asked until it does or the time is over."""
        [backend] = questions.backends(asked)
        until = time.monotonic() + asked["limit_s"]
        while True:
            if answers((backend.host, backend.port), asked["path"], asked["timeout_s"]):
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)

    def _disk_used(self) -> float:
        """Return how full the disk of the router's volume is, in percent, as `df` tells it."""
        found = os.statvfs(self._folder)
        used = found.f_blocks - found.f_bfree
        return 100 * used / max(used + found.f_bavail, 1)

    @staticmethod
    def _free_port(asked: Request) -> int | None:
        return first_free(asked["host"], asked["ports"])

    @staticmethod
    def _address_fault(asked: Request) -> str:
        return address_fault(asked["host"], asked["port"], "the host")


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
    process.raise_open_files()
    agent = Agent(folder, workers=int(os.environ.get("INFERENCE_ROUTER_WORKERS", "2")))

    def stop(*_given: object) -> None:
        agent.envoy.end()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    KeyServer(folder).start()
    agent.open()
    with _Server(agent, folder / SOCKET) as server:
        agent.envoy.start_again()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.exit(agent.envoy.wait())


if __name__ == "__main__":
    main()
