"""A pod of the router keeps requests to a deployment that a rule has left no instance."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from tests.local.router_pod.cluster import KEY, SLICES, Cluster, RouterPod, deployment, record
from tests.local.server.model import Model, until

from inference_provider.observed import Kind

pytestmark = pytest.mark.local
TO_ZERO = {"enabled": True, "min_instances": 0, "max_instances": 3}


def rule(**fields):
    about = {"endpoint": "iris", "deployment": "blue", "targets": [], "schedules": []}
    return record(Kind.AUTOSCALE_RULE, "iris/blue", **{**about, **TO_ZERO, **fields})


def scale(cluster: Cluster, model: Model | None) -> None:
    """Say that `blue` has one pod, where a model listens, or none."""
    for name in [name for name in cluster.api.objects if "/blue-" in name and SLICES in name]:
        cluster.api.drop(name)
    if model:
        cluster.serve("blue", model)


def counted(pod: RouterPod, what: str = "in-flight/iris/blue"):
    return pod.client.get(f"/{what}").json()["requests"]


def scored(pod: RouterPod, pool: ThreadPoolExecutor, count: int) -> list[Future]:
    url = f"http://127.0.0.1:{pod.table.port}/endpoints/iris/score"

    def ask() -> int:
        return httpx.post(url, headers=KEY, timeout=60, trust_env=False).status_code

    return [pool.submit(ask) for _ in range(count)]


def waited_for(model: Model, more: int) -> None:
    enough = model.hits + more
    until(lambda: model.hits >= enough)


def test_requests_to_none_wait_are_counted_and_get_the_first_instance(
    pod: RouterPod, cluster: Cluster, models: dict[str, Model]
):
    assert pod.outcome(cluster.edit(rule()))["error"] is None
    assert pod.score() == (200, "blue")
    scale(cluster, None)
    until(lambda: pod.ask("status")["healthy"]["iris/blue"] == 0)
    with ThreadPoolExecutor(20) as pool:
        answers = scored(pod, pool, 20)
        until(lambda: counted(pod, "in-flight") == {"iris/blue": 20})
        scale(cluster, models["blue"])
        assert {answer.result(60) for answer in answers} == {200}
    until(lambda: counted(pod, "in-flight").get("iris/blue", 0) == 0)


def test_no_request_fails_while_the_count_goes_to_zero_and_back(
    pod: RouterPod, cluster: Cluster, models: dict[str, Model]
):
    pod.outcome(cluster.edit(rule()))
    found, over = set[int](), threading.Event()

    def ask() -> None:
        url = f"http://127.0.0.1:{pod.table.port}/endpoints/iris/score"
        with httpx.Client(timeout=60, trust_env=False) as client:
            while not over.is_set():
                found.add(client.post(url, headers=KEY).status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        scale(cluster, None)
        until(lambda: counted(pod, "in-flight").get("iris/blue", 0) == 4)
        scale(cluster, models["blue"])
        waited_for(models["blue"], 20)
    over.set()
    for thread in threads:
        thread.join()
    assert found == {200}


def test_a_container_that_is_started_again_keeps_requests_while_nobody_tells_it(
    pod: RouterPod, cluster: Cluster, models: dict[str, Model], folder
):
    pod.outcome(cluster.edit(rule()))
    scale(cluster, None)
    until(lambda: pod.ask("status")["healthy"]["iris/blue"] == 0)
    pod.end()
    again = RouterPod(folder, cluster)
    again.start()
    try:
        until(again.is_ready)
        with ThreadPoolExecutor(1) as pool:
            answers = scored(again, pool, 1)
            until(lambda: counted(again, "in-flight") == {"iris/blue": 1})
            scale(cluster, models["blue"])
            assert answers[0].result(60) == 200
    finally:
        again.end()


def test_a_new_generation_that_has_none_yet_is_in_force(
    pod: RouterPod, cluster: Cluster, models: dict[str, Model]
):
    pod.outcome(cluster.edit(rule()))
    assert pod.outcome(cluster.edit(deployment("blue", "g2")))["error"] is None
    with ThreadPoolExecutor(3) as pool:
        answers = scored(pod, pool, 3)
        until(lambda: counted(pod, "in-flight") == {"iris/blue": 3})
        cluster.serve("blue", models["shadow"], "g2")
        assert {answer.result(60) for answer in answers} == {200}


def test_requests_wait_on_while_a_rule_that_ends_has_an_instance_started(
    pod: RouterPod, cluster: Cluster, models: dict[str, Model]
):
    pod.outcome(cluster.edit(rule()))
    scale(cluster, None)
    until(lambda: pod.ask("status")["healthy"]["iris/blue"] == 0)
    with ThreadPoolExecutor(6) as pool:
        early = scored(pod, pool, 3)
        until(lambda: counted(pod, "in-flight") == {"iris/blue": 3})
        assert pod.outcome(cluster.edit(rule(min_instances=1)))["error"] is None
        late = scored(pod, pool, 3)
        until(lambda: counted(pod, "in-flight") == {"iris/blue": 6})
        scale(cluster, models["blue"])
        assert {answer.result(60) for answer in (*early, *late)} == {200}
    until(lambda: "/hold/" not in pod.sync.serving.delivery._files.read("rds/rds.json"))
    assert pod.score() == (200, "blue")
    scale(cluster, None)
    until(lambda: pod.score()[0] == 503)
