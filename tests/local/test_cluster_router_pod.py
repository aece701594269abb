"""The first process of a router pod, with a real Envoy and an API server in memory."""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from inference_provider.errors import NotReady, RouterRejected
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.router.table import RouterTable
from inference_provider.targets.envoy.agent_errors import read
from inference_provider.targets.kept_content import SECTION, document_of
from inference_provider.targets.kubernetes import publication, questions, sync
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.sync import Sync
from inference_provider.workspace.state import State
from tests.cluster_api import ClusterApi, client_of, failure
from tests.local.server.model import Model, until
from tests.local.server.routing import free_port

pytestmark = pytest.mark.local

DIGEST = "d" * 64
SLICES = "/apis/discovery.k8s.io/v1/namespaces/lab/endpointslices"
KEY = {"authorization": "Bearer first-secret-8c1e"}
SPEC = {
    "name": "own",
    "command": ["serve", "--port", "{port}"],
    "inference_config": {
        route: {"path": "/ready" if route != "scoring_route" else "/score", "port": 1}
        for route in ("liveness_route", "readiness_route", "scoring_route")
    },
}


def record(kind: Kind, name: str, generation: str = "", /, **properties) -> Record:
    return Record(
        id=ResourceId(kind=kind, workspace="demo", name=name),
        owner="stack",
        properties=properties,
        generation=generation,
        actor=Actor(user="ann"),
        time=datetime(2026, 11, 26, tzinfo=UTC),
    )


def deployment(name: str, generation: str = "g1", **settings) -> Record:
    asked = {
        "request_timeout_ms": 5000,
        "max_concurrent_requests_per_instance": 50,
        "retry_on_503": False,
    }
    return record(
        Kind.DEPLOYMENT,
        f"iris/{name}",
        generation,
        endpoint="iris",
        name=name,
        instance_count=1,
        environment=f"own:1@sha256:{DIGEST}",
        request_settings=asked | settings,
        readiness_probe={"period": 1, "timeout": 1, "failure_threshold": 2},
    )


def traffic(**shares: int) -> Record:
    return record(Kind.TRAFFIC, "iris", traffic=shares, mirror_traffic={})


class Cluster:
    """A namespace with the records of endpoint iris, as a client writes them."""

    def __init__(self) -> None:
        self.api = ClusterApi()
        self.api.watch_s = 3600
        self.records = ClusterRecords(client_of(self.api), "lab", "demo")
        self.state = State(self.records)

    def make(self, **models: Model) -> None:
        self.records.make()
        with self.records.edit():
            name = document_of("environment", DIGEST)
            self.records.put(SECTION, name, json.dumps({"spec": SPEC, "image": "x"}))
            endpoint = record(Kind.ENDPOINT, "iris", name="iris", auth_mode="key")
            self.state.put_record(endpoint)
            keys = SecretStr("first-secret-8c1e"), SecretStr("second-secret-77d0")
            self.state.put_keys("iris", keys)
            for name in models:
                self.state.put_record(deployment(name))
            self.state.put_record(traffic(**{next(iter(models)): 100}))
        for name, model in models.items():
            self.serve(name, model)

    def edit(self, *records: Record) -> int:
        with self.records.edit():
            for one in records:
                self.state.put_record(one)
        return self.records._store.revision

    def serve(self, name: str, model: Model, generation: str = "g1", **conditions) -> None:
        """Say that a pod of a deployment is reached where a model listens."""
        labels = {
            "pulumi-inference/workspace": "demo",
            "pulumi-inference/role": "instance",
            "pulumi-inference/endpoint": "iris",
            "pulumi-inference/deployment": name,
            "pulumi-inference/generation": generation,
            "kubernetes.io/service-name": f"iris-{name}-{generation}",
        }
        called = f"{name}-{generation}-{model.port}"
        about = {"name": called, "namespace": "lab", "labels": labels}
        endpoint = {"addresses": [model.backend.host], "conditions": {"ready": True, **conditions}}
        one = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": about,
            "addressType": "IPv4",
            "ports": [{"port": model.port}],
            "endpoints": [endpoint],
        }
        self.api.put(f"{SLICES}/{called}", one)


class RouterPod:
    """The process of one router pod, as far as it is not its container's."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.refuse: Callable[[httpx.Request], httpx.Response | None] = lambda _asked: None
        self.said: list[str] = []
        self.table = RouterTable(
            folder=str(folder), host="127.0.0.1", port=free_port(), metrics_port=free_port()
        )
        entered = client_of(cluster.api).access

        def answer(asked: httpx.Request) -> httpx.Response:
            refused = self.refuse(asked)
            return refused if refused is not None else cluster.api.answer(asked)

        client = Client(entered, httpx.MockTransport(answer), attempts=1)
        self.sync = Sync(client, "lab", "demo", self.table, 1, self.said.append)
        port = free_port()
        self.server = questions.Server(self.sync.pod(), "127.0.0.1", port)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=70, trust_env=False)

    def start(self) -> "RouterPod":
        self.sync.start()
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def is_ready(self) -> bool:
        return self.client.get("/ready").status_code == 200

    def outcome(self, revision: int, timeout_s: float = 30) -> dict:
        asked = {"wait": revision, "timeout_s": timeout_s}
        return self.client.get("/revision", params=asked).json()

    def ask(self, question: str, **given):
        found = self.client.post("/ask", json={"ask": question, **given}).json()
        if "error" in found:
            raise read(found["error"])
        return found["answer"]

    @property
    def weights(self) -> dict[str, int]:
        return self.ask("status")["weights"].get("iris", {})

    def score(self, pin: str = "") -> tuple[int, str]:
        headers = KEY | ({"azureml-model-deployment": pin} if pin else {})
        url = f"http://127.0.0.1:{self.table.port}/endpoints/iris/score"
        found = httpx.post(url, headers=headers, timeout=10, trust_env=False)
        return found.status_code, found.json().get("model", "")

    def end(self) -> None:
        """End it as a container is killed: nothing is told, nothing is drained."""
        self.refuse = away
        self.sync.envoy.end()
        self.server.shutdown()
        self.server.server_close()
        self.client.close()


def away(_asked: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="router-test-") as found:  # a short path
        yield Path(found)


@pytest.fixture
def cluster(models: dict[str, Model]) -> Cluster:
    found = Cluster()
    found.make(blue=models["blue"], green=models["green"])
    return found


@pytest.fixture
def pod(folder: Path, cluster: Cluster) -> Iterator[RouterPod]:
    found = RouterPod(folder, cluster).start()
    until(found.is_ready)
    yield found
    found.end()


def test_a_pod_is_ready_once_it_serves_what_is_recorded(pod: RouterPod):
    assert pod.outcome(1) == {"revision": 1, "error": None, "fault": ""}
    assert pod.weights == {"blue": 100, "green": 0}
    assert pod.score() == (200, "blue")
    assert pod.client.get("/live").status_code == 200


def test_a_revision_is_in_force_within_a_second_of_its_event(pod: RouterPod, cluster: Cluster):
    began = time.monotonic()
    revision = cluster.edit(traffic(blue=0, green=100))
    assert pod.outcome(revision)["error"] is None
    assert time.monotonic() - began < 1
    assert pod.weights == {"blue": 0, "green": 100}
    assert pod.score() == (200, "green")


def test_many_events_are_few_publications(pod: RouterPod, cluster: Cluster):
    asked: list[tuple] = []
    publish = pod.sync.serving.publish

    def counted(*given, **more):
        asked.append(given)
        publish(*given, **more)

    pod.sync.serving.publish = counted  # type: ignore[method-assign]
    for share in range(20):
        revision = cluster.edit(traffic(blue=share, green=100 - share))
    assert pod.outcome(revision)["error"] is None
    assert pod.weights == {"blue": 19, "green": 81}
    assert len(asked) < 15


def test_a_pod_that_ends_leaves_whatever_the_others_are(
    pod: RouterPod, cluster: Cluster, models: dict[str, Model]
):
    shadow = models["shadow"]
    cluster.serve("blue", shadow)
    until(lambda: pod.ask("status")["healthy"]["iris/blue"] == 2)
    shadow.ready = 500  # the one that is left is not healthy
    try:
        cluster.serve("blue", models["blue"], serving=True, terminating=True)
        until(lambda: pod.score("blue")[0] == 503, 5)
        assert pod.ask("status")["healthy"]["iris/blue"] == 0
    finally:
        shadow.ready = 200
    until(lambda: pod.score("blue") == (200, "shadow"))


def test_a_pod_that_comes_gets_requests(pod: RouterPod, cluster: Cluster, models: dict[str, Model]):
    cluster.serve("blue", models["shadow"])
    until(lambda: {pod.score("blue")[1] for _ in range(10)} == {"blue", "shadow"})


def test_a_table_that_envoy_refuses_is_reported_and_what_served_serves_on(
    pod: RouterPod, cluster: Cluster
):
    revision = cluster.edit(deployment("blue", request_timeout_ms=-5))
    found = pod.outcome(revision)
    assert found["revision"] == revision
    assert isinstance(read(found["error"]), RouterRejected)
    assert pod.is_ready()
    assert pod.score() == (200, "blue")
    revision = cluster.edit(deployment("blue"), traffic(green=100))
    assert pod.outcome(revision) == {"revision": revision, "error": None, "fault": ""}
    assert pod.score() == (200, "green")


def test_a_record_that_cannot_be_read_is_reported_and_what_served_serves_on(
    pod: RouterPod, cluster: Cluster
):
    with cluster.records.edit():
        cluster.records.put("records", "Traffic.iris", "{")
    found = pod.outcome(2)
    assert str(read(found["error"])) == (
        "read records/Traffic.iris: file is corrupt; "
        "restore it, or move it away and apply the stack again to recreate it"
    )
    assert pod.score() == (200, "blue")


def test_a_new_generation_waits_for_its_pods_to_be_listed(
    pod: RouterPod, cluster: Cluster, models: dict[str, Model]
):
    hidden = []

    def late(asked: httpx.Request) -> httpx.Response | None:
        """Lists the slices a moment too late once."""
        if asked.url.path == SLICES and not hidden:
            hidden.append(True)
            found = cluster.api.answer(asked).json()
            cluster.serve("blue", models["shadow"], "g2")
            return httpx.Response(200, json=found)
        return None

    pod.refuse = late
    revision = cluster.edit(deployment("blue", "g2"))
    assert pod.outcome(revision)["error"] is None
    assert pod.score() == (200, "shadow")


def test_a_generation_without_any_pod_is_refused_and_the_old_one_serves_on(
    pod: RouterPod, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(publication, "SEEN_S", 0.3)
    found = pod.outcome(cluster.edit(deployment("blue", "g2")))
    fault = read(found["error"])
    assert isinstance(fault, NotReady)
    assert str(fault) == (
        "publish deployment 'iris/blue': none of its pods takes requests; read its log"
    )
    assert pod.score() == (200, "blue")


def test_while_the_api_server_is_away_the_pod_serves_on_and_then_catches_up(
    pod: RouterPod, cluster: Cluster
):
    cluster.api.watch_s = 0.05

    def break_() -> None:
        raise httpx.RemoteProtocolError("peer closed the connection")

    cluster.api.break_watch = break_
    pod.refuse = away
    revision = cluster.edit(traffic(green=100))
    assert pod.outcome(revision, 1.5)["revision"] == revision - 1
    assert (pod.is_ready(), pod.score()) == (True, (200, "blue"))
    cluster.api.break_watch = lambda: None
    pod.refuse = lambda _asked: failure(403, "forbidden")
    time.sleep(0.3)
    pod.refuse = lambda _asked: None
    assert pod.outcome(revision)["revision"] == revision
    assert pod.score() == (200, "green")


def test_a_revision_that_somebody_waits_for_needs_no_watch(pod: RouterPod, cluster: Cluster):
    silent = threading.Event()
    cluster.api.break_watch = silent.wait  # type: ignore[assignment]
    try:
        revision = cluster.edit(traffic(green=100))
        assert pod.outcome(revision, 5)["revision"] == revision
    finally:
        silent.set()


def test_a_container_that_is_started_again_is_ready_once_it_has_read_what_is_recorded(
    pod: RouterPod, cluster: Cluster, folder: Path
):
    pod.end()
    revision = cluster.edit(traffic(green=100))
    again = RouterPod(folder, cluster)
    slow = threading.Event()

    def late(asked: httpx.Request) -> None:
        if asked.url.path == SLICES:
            slow.wait(9)

    again.refuse = late
    again.start()
    try:
        until(again.sync.envoy.is_ready)
        assert again.client.get("/ready").json() == {"fault": "its records are not read yet"}
        slow.set()
        until(again.is_ready)
        assert again.weights == {"blue": 0, "green": 100}
        assert again.outcome(revision)["error"] is None
    finally:
        slow.set()
        again.end()


def test_a_container_that_is_started_again_serves_what_other_pods_serve(
    pod: RouterPod, cluster: Cluster, folder: Path
):
    bad = cluster.edit(deployment("blue", request_timeout_ms=-5))
    assert pod.outcome(bad)["error"] is not None
    pod.end()
    again = RouterPod(folder, cluster).start()
    try:
        until(again.is_ready, 5)
        assert pod.score() == (200, "blue")  # Envoy listens where it did before
    finally:
        again.end()


def test_a_container_that_is_started_again_serves_without_the_api_server(
    pod: RouterPod, cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sync, "UNTOLD_S", 1.0)
    pod.end()
    revision = cluster.edit(traffic(green=100))
    again = RouterPod(folder, cluster)
    again.refuse = away
    again.start()
    try:
        until(again.is_ready)
        assert again.weights == {"blue": 100, "green": 0}
        assert again.outcome(0)["revision"] == -1
        again.refuse = lambda _asked: None
        assert again.outcome(revision)["error"] is None
        assert again.weights == {"blue": 0, "green": 100}
    finally:
        again.end()


def test_a_new_pod_that_cannot_read_the_records_says_why_it_is_not_ready(
    folder: Path, cluster: Cluster
):
    found = RouterPod(folder, cluster)
    said = (
        'secrets is forbidden: User "router" cannot list resource "secrets" in API group "" in the'
        ' namespace "lab"'
    )
    found.refuse = lambda _asked: failure(403, said)
    found.start()
    try:
        until(lambda: len(found.said) > 1)
        told = found.client.get("/ready")
        assert told.status_code == 503
        assert "'router' may not list secrets; ask for a Role" in told.json()["fault"]
        assert found.client.get("/live").status_code == 200
        found.refuse = lambda _asked: None
        until(found.is_ready)
    finally:
        found.end()


def test_a_first_table_that_envoy_refuses_is_never_served(folder: Path, cluster: Cluster):
    bad = cluster.edit(deployment("blue", request_timeout_ms=-5))
    found = RouterPod(folder, cluster).start()
    try:
        refused = found.outcome(bad)
        assert isinstance(read(refused["error"]), RouterRejected)
        assert found.client.get("/ready").status_code == 503
        cluster.edit(deployment("blue"))
        until(found.is_ready)
    finally:
        found.end()


def test_a_namespace_without_records_is_served_as_it_is(folder: Path):
    found = RouterPod(folder, Cluster()).start()
    try:
        until(found.is_ready)
        assert found.outcome(0)["revision"] == 0
        assert found.score()[0] == 404
    finally:
        found.end()


def test_a_pod_that_ends_answers_what_is_in_flight_and_closes_connections(pod: RouterPod):
    url = f"http://127.0.0.1:{pod.table.port}/endpoints/iris"
    answers = []

    def slow() -> None:
        answers.append(httpx.post(f"{url}/sleep/1", headers=KEY, timeout=10, trust_env=False))

    with httpx.Client(trust_env=False, headers=KEY) as kept:
        kept.post(f"{url}/score")
        asking = threading.Thread(target=slow)
        asking.start()
        time.sleep(0.3)
        ending = threading.Thread(target=pod.sync.envoy.drain, args=(10,))
        ending.start()
        time.sleep(0.2)
        assert kept.post(f"{url}/score").headers["connection"] == "close"
        assert not pod.is_ready()
        asking.join()
        ending.join(3)
    assert [answer.status_code for answer in answers] == [200]
    assert not ending.is_alive()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b'{"ask": "publish"}', 200), (b"[]", 400), (b'{"ask": "is_drained"}', 200)],
)
def test_whoever_reaches_the_port_can_change_nothing(pod: RouterPod, body: bytes, status: int):
    answer = pod.client.post("/ask", content=body)
    assert answer.status_code == status
    assert status == 400 or "does not know what is asked" in str(answer.json()["error"])
    assert pod.client.put("/ask", content=body).status_code == 501
    assert pod.client.get("/revision?wait=x").status_code == 400


def test_questions_are_answered_about_what_is_served(pod: RouterPod, models: dict[str, Model]):
    pod.score()
    backends = [models["blue"].backend.model_dump()]
    assert pod.ask("is_connected", backends=backends) is True
    assert pod.ask("is_drained", deployment="iris/blue") is False
    assert pod.ask("in_force") is True
    pod.ask("wait_healthy", deployment="iris/blue", count=1)
