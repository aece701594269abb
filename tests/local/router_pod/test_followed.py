"""A pod of the router serves what is recorded, and answers for it."""

import threading
import time

import httpx
import pytest
from tests.cluster_api import failure
from tests.local.router_pod.cluster import (
    ASKS,
    KEY,
    PASS,
    SECRET_OF_QUESTIONS,
    SLICES,
    Cluster,
    RouterPod,
    away,
    deployment,
    traffic,
)
from tests.local.server.model import Model, until

from inference_provider.errors import NotReady, RouterRejected
from inference_provider.targets.envoy.agent_errors import read
from inference_provider.targets.kubernetes import publication
from inference_provider.targets.kubernetes.followed import WATCH_S
from inference_provider.targets.kubernetes.question_pass import HEADER

pytestmark = pytest.mark.local


def test_a_pod_is_ready_once_it_serves_what_is_recorded(pod: RouterPod):
    assert pod.outcome(1) == {"revision": 1, "error": None, "fault": ""}
    assert pod.weights == {"blue": 100, "green": 0}
    assert pod.score() == (200, "blue")
    assert pod.client.get("/live").status_code == 200


def test_a_revision_is_in_force_at_its_event(pod: RouterPod, cluster: Cluster):
    began = time.monotonic()
    revision = cluster.edit(traffic(blue=0, green=100))
    assert pod.outcome(revision)["error"] is None
    assert time.monotonic() - began < WATCH_S / 2  # and not with the next list
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


def test_who_shows_no_pass_is_told_nothing_and_another_pass_is_in_force_at_once(
    cluster: Cluster, pod: RouterPod
):
    body = b'{"ask": "status"}'

    def asked(**headers: str) -> tuple[int, str]:
        found = pod.client.post("/ask", content=body, headers=headers)
        return found.status_code, found.text

    refused = 403, '{"fault": "refused"}'
    assert asked() == asked(x_inference_pass="") == asked(**{HEADER: PASS[:-1]}) == refused
    assert asked(**{HEADER: PASS})[0] == 200
    cluster.api.drop(SECRET_OF_QUESTIONS)
    time.sleep(0.2)
    assert asked(**{HEADER: PASS})[0] == 200  # a pod knows it still; nobody else can read it
    cluster.let_ask(other := "another-pass-9c0a5f7b2d4e6180c3f5")
    until(lambda: asked(**{HEADER: other})[0] == 200)
    assert asked(**{HEADER: PASS}) == refused


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b'{"ask": "publish"}', 200), (b"[]", 400), (b'{"ask": "is_drained"}', 200)],
)
def test_who_shows_the_pass_can_change_nothing(pod: RouterPod, body: bytes, status: int):
    answer = pod.client.post("/ask", content=body, headers=ASKS)
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


def test_a_pod_that_the_api_server_refuses_says_so_until_it_may_read_again(
    pod: RouterPod, cluster: Cluster
):
    def break_() -> None:
        raise httpx.RemoteProtocolError("peer closed the connection")

    cluster.api.break_watch, cluster.api.watch_s = break_, 0.05
    pod.refuse = lambda _asked: failure(401, "Unauthorized")
    cluster.edit(traffic(green=100))
    until(lambda: pod.ask("status")["fault"])
    assert pod.ask("status")["fault"] == (
        "it learns of no change: the credentials are not accepted, or have expired;"
        " the next `up` gives it its rights again"
    )
    cluster.api.break_watch, pod.refuse = lambda: None, lambda _asked: None
    until(lambda: pod.ask("status")["fault"] == "")
