"""The first process of a router pod: Envoy's parent, which makes it serve what the namespace says.

Follows Secrets and EndpointSlices by itself (`watched.py`, `publication.py`), so who edits writes
records and no more. It needs only to list and watch them. While the API server does not answer,
Envoy serves on; a container that is started again meanwhile serves the files of before.

It ends when Envoy ends: Kubernetes starts the container again.
"""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from inference_provider.errors import InferenceError, TargetError, TargetUnreachable
from inference_provider.router.table import Proxy, RouterTable
from inference_provider.serving.image import ROUTER_FOLDER
from inference_provider.targets.envoy import process
from inference_provider.targets.envoy import questions as of_envoy
from inference_provider.targets.envoy.child import EnvoyChild
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.key_server import KeyServer
from inference_provider.targets.envoy.serving import Serving
from inference_provider.targets.envoy.spans import with_authorities
from inference_provider.targets.envoy.waiting_room import WaitingRoom
from inference_provider.targets.kubernetes import names, questions
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.in_flight import InFlight
from inference_provider.targets.kubernetes.kubeconfig import access
from inference_provider.targets.kubernetes.last_calls import LastCalls
from inference_provider.targets.kubernetes.objects import SECRET, SLICE, Kind, selector
from inference_provider.targets.kubernetes.publication import Publication
from inference_provider.targets.kubernetes.question_pass import KnownPass
from inference_provider.targets.kubernetes.router_manifests import (
    DRAIN_S,
    LAST_CALLS_S,
    METRICS_PORT,
    POD_IP,
    WORKERS,
    WORKSPACE,
)
from inference_provider.targets.kubernetes.router_page import RouterPage
from inference_provider.targets.kubernetes.watched import Watched
from inference_provider.targets.meter import of_one

FOLDER = Path(ROUTER_FOLDER, "envoy")
"""Made by this process: that of the volume is another user's."""
UNTOLD_S = 10.0
"""Time after which a container that is started again serves what it served before, whatever has
changed since: the API server does not answer. Until then its keys and weights may be old."""


class Sync:
    """One router pod.

    Args:
        client: The API of its cluster.
        namespace: That of its workspace.
        workspace: Its name.
        table: Where the router listens, without endpoints.
        workers: Number of Envoy's worker threads.
        say: Told what a person who reads the pod's log should know.
    """

    def __init__(  # noqa: PLR0917 - each is one fact of the pod
        self,
        client: Client,
        namespace: str,
        workspace: str,
        table: RouterTable,
        workers: int,
        say: Callable[[str], None],
    ) -> None:
        delivery = Delivery(Path(table.folder), workers)
        self.envoy = EnvoyChild(delivery)
        self.serving = Serving(
            delivery,
            lambda: with_authorities(table.model_copy(update=self.publication.edge())),
            self.envoy.runs,
        )
        self._in_flight = InFlight(client, namespace, self._own, os.environ.get(POD_IP, ""))
        self.calls = LastCalls(of_envoy.about(self.serving))
        self._say = say
        self._said = ""
        self._resumed = False
        self._started_s = 0.0
        self._page: RouterPage | None = None
        news = threading.Event()
        self._room = WaitingRoom(delivery.folder, delivery.admin, news.set)

        def watched(kind: Kind, role: str, changed: Callable[[], None] = news.set) -> Watched:
            chosen = selector(names.selecting(workspace, role))
            return Watched(client, kind, namespace, chosen, changed=changed, failed=self._failed)

        secrets, slices = watched(SECRET, names.RECORD), watched(SLICE, names.INSTANCE)
        self._pass = KnownPass(delivery.folder / "question-pass")
        passes = watched(SECRET, names.ROUTER, lambda: self._pass.learn(passes.objects()))
        self._watched = secrets, slices, passes
        self.publication = Publication(
            self.serving,
            self.envoy,
            workspace,
            room=self._room,
            secrets=secrets,
            slices=slices,
            news=news,
            say=say,
        )
        loops = (passes.run, secrets.run, slices.run, self.publication.run)
        self._threads = [threading.Thread(target=loop, daemon=True) for loop in loops]

    def _failed(self, fault: TargetError) -> None:
        """Say once that the API server does not tell."""
        if str(fault) != self._said:
            self._said = str(fault)
            self._say(self._said)

    def start(self) -> None:
        """Serve what was served before, if anything was, and follow the namespace from now on."""
        self._started_s = time.monotonic()
        self._room.start()
        KeyServer(self.serving.delivery.folder).start()
        if table := self.serving.delivery.in_force():  # nobody else may tell for a while
            self._room.with_held(table.endpoints)
        self._resumed = self.envoy.start_again()
        for thread in self._threads:
            thread.start()

    def serve_metrics(self, host: str, port: int) -> None:
        """Have a page of what its router counts from now on."""
        admin = self.serving.delivery.admin
        self._page = RouterPage(host, port, lambda: of_one(admin.stats, admin.histograms))

    def fault(self) -> str:
        """Say why it is not ready; empty when it is."""
        refused = self.publication.outcome(0, 0).fault
        if not (self.publication.begun or self._serves_as_before(refused is not None)):
            return self._unheard() or str(refused or "its records are not read yet")
        return "" if self.envoy.is_ready() else "Envoy does not answer, or ends"

    def _serves_as_before(self, refused: bool) -> bool:
        """Whether what was served before is the best there is: as other pods, or nobody tells."""
        waited_s = time.monotonic() - self._started_s
        return self._resumed and (refused or waited_s >= UNTOLD_S)

    def _unheard(self) -> str:
        """Say why the API server does not tell; empty when it does."""
        return next((str(one.fault) for one in self._watched if one.fault is not None), "")

    def lives(self) -> bool:
        """Whether it follows the namespace."""
        return all(thread.is_alive() for thread in self._threads) and self._room.lives()

    def _own(self) -> Mapping[str, int]:
        """Return the requests of this pod by cluster, those too that wait for an instance."""
        return Counter(self.serving.in_flight()) + Counter(self._room.waiting())

    def pod(self) -> questions.Pod:
        """Return what may be asked of it."""

        def outcome(revision: int, timeout_s: float) -> dict[str, object]:
            found = self.publication.outcome(revision, timeout_s).report
            return {**found, "fault": self.fault() or self._unheard()}

        def status(_asked: object) -> object:
            """Say too that what the API server refuses to tell is not served."""
            refused = [f for f in (one.fault for one in self._watched) if f and _is_refused(f)]
            fault = ""
            if refused:
                again = "the next `up` gives it its rights again"
                fault = f"it learns of no change: {refused[0].reason}; {again}"
            found, page = self.serving.status(), self._page
            faults = "; ".join(filter(None, (fault, found.fault, page.fault if page else "")))
            about: dict[str, object] = {
                "fault": faults,
                "beside": self.publication.said_of_reports(),
                "metrics_port": page.port if page else None,
            }
            return found.model_copy(update=about).model_dump(mode="json")

        answers = {**of_envoy.about(self.serving), **self.calls.answers(), "status": status}
        asked = self._own, self._in_flight.on
        return questions.Pod(self.fault, self.lives, outcome, self._pass.is_shown, answers, *asked)


def _is_refused(fault: TargetError) -> bool:
    """Whether the API server answers, and does not tell."""
    return not isinstance(fault, TargetUnreachable)


def main() -> None:
    """Run one router pod until Envoy ends, or Kubernetes ends the pod."""
    os.umask(0o077)
    process.raise_open_files()
    entered = access(None)
    everywhere = "::" if ":" in os.environ.get(POD_IP, "") else "0.0.0.0"
    table = RouterTable(
        folder=str(FOLDER),
        host=everywhere,
        port=names.ROUTER_PORT,
        metrics_host=everywhere,
        metrics_port=names.METRICS_PORT,
        # policies say which pods reach it
        proxy=Proxy(host=everywhere, port=names.EGRESS_PORT),
    )
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    workspace, workers = os.environ[WORKSPACE], int(os.environ.get(WORKERS, "2"))
    client = Client(entered, attempts=1)
    sync = Sync(client, entered.namespace, workspace, table, workers, _say)

    def stop(*_given: object) -> None:
        sync.envoy.drain(DRAIN_S)
        sync.envoy.end()
        sync.calls.wait(LAST_CALLS_S)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    with questions.Server(sync.pod(), everywhere, names.SYNC_PORT) as server:
        sync.start()
        if port := os.environ.get(METRICS_PORT):
            sync.serve_metrics(everywhere, int(port))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.exit(sync.envoy.wait())


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main()
    except InferenceError as fault:
        _say(str(fault))
        sys.exit(1)
