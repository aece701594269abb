"""What the pods of a router have counted, added up for rollouts, across pods that come and go."""

import json

import httpx
import pytest
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.canary import Counts
from inference_provider.targets.kubernetes.pod_counts import PodCounts, Sum
from inference_provider.targets.kubernetes.releases import HEADER, this_release

PODS = "/api/v1/namespaces/lab/pods"
ANSWERS = "azml.requests.endpoint.iris.deployment.green.code"
LATENCY = "azml.latency.endpoint.iris.deployment.green"
GREEN = "iris/green"


class Router:
    """A router whose pods answer what a test says."""

    def __init__(self) -> None:
        self.api = ClusterApi()
        self.api.refuse = self._answered
        self.answers: dict[str, tuple[int, int] | None] = {}
        """By pod: how many requests went well, and how many did not; None where it is silent."""
        self.counts = PodCounts(client_of(self.api), "demo", "lab")

    def _answered(self, asked: httpx.Request) -> httpx.Response | None:
        path = asked.url.path
        if "/proxy/" not in path:
            return None
        assert path.endswith(":8081/proxy/ask")
        assert json.loads(asked.content)["ask"] == "counted"
        found = self.answers[path.split("/")[6].partition(":")[0]]
        if found is None:
            return failure(503, "error trying to reach service: connection refused")
        good, bad = found
        counters = {f"{ANSWERS}.200": good, f"{ANSWERS}.503": bad}
        said = {"answer": [counters, {LATENCY: [[5.0, good], [10.0, good + bad]]}]}
        return httpx.Response(200, json=said, headers={HEADER: this_release()})

    def has(self, name, *told, ready=True, restarts=0):
        labels = {"pulumi-inference/workspace": "demo", "pulumi-inference/role": "router"}
        container = {"name": "router", "restartCount": restarts, "state": {"running": {}}}
        status = {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [container],
        }
        about = {"name": name, "namespace": "lab", "labels": labels}
        self.api.put(
            f"{PODS}/{name}",
            {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": {}, "status": status},
        )
        self.answers[name] = told or None

    def green(self):
        found = self.counts([GREEN])
        return found and (found[GREEN].requests, found[GREEN].failed)


@pytest.fixture
def router():
    return Router()


def test_requests_are_those_of_all_pods_since_the_first_look(router):
    router.has("a", 1000, 100)
    router.has("b", 500, 0)
    assert router.green() == (0, 0)
    router.has("a", 1010, 101)
    router.has("b", 520, 0)
    assert router.green() == (31, 1)
    assert router.counts([GREEN])[GREEN].within == ((5.0, 30), (10.0, 31))


def test_what_a_pod_has_counted_stays_when_it_goes_and_all_of_a_new_one_is_added(router):
    router.has("a", 1000, 100)
    router.green()
    router.has("a", 1010, 100)
    assert router.green() == (10, 0)
    router.api.drop(f"{PODS}/a")
    router.has("c", 5, 2)
    assert router.green() == (17, 2)


def test_a_container_that_was_started_again_counts_from_0(router):
    router.has("a", 1000, 100)
    router.green()
    router.has("a", 3, 1, restarts=1)
    assert router.green() == (4, 1)


def test_nothing_is_known_while_a_pod_that_takes_requests_is_silent_and_all_afterwards(router):
    router.has("a", 1000, 0)
    router.has("b", 500, 0)
    router.green()
    router.has("b")
    assert router.green() is None
    router.has("b", 540, 7)
    assert router.green() == (47, 7)


def test_of_a_pod_that_was_silent_at_the_first_look_only_what_comes_later_counts(router):
    router.has("a", 10, 0)
    router.has("b")
    assert router.green() is None
    router.has("b", 5000, 5000)
    assert router.green() == (0, 0)
    router.has("b", 5001, 5000)
    assert router.green() == (1, 0)


def test_a_pod_that_ends_is_asked_and_need_not_answer(router):
    router.has("a", 10, 0)
    router.has("b", 10, 0)
    router.green()
    router.has("b", 12, 0, ready=False)
    assert router.green() == (2, 0)
    router.has("b", ready=False)
    assert router.green() == (2, 0)


def test_nothing_is_known_without_a_pod_that_takes_requests(router):
    assert router.green() is None
    router.has("a", 10, 0, ready=False)
    assert router.green() is None


def test_a_deployment_that_is_asked_for_later_begins_at_0():
    added = Sum()
    added.add({"a": {"iris/green": Counts(requests=5)}})
    added.add({"a": {"iris/green": Counts(requests=6)}, "b": None})
    added.add(
        {
            "a": {"iris/red": Counts(requests=900)},
            "b": {"iris/red": Counts(requests=90)},
        }
    )
    assert added.of(["iris/red"])["iris/red"] == Counts()
    added.add({"a": {"iris/red": Counts(requests=901)}, "b": {"iris/red": Counts(requests=92)}})
    assert added.of(["iris/red"])["iris/red"].requests == 3


def test_what_a_process_has_forgotten_is_not_counted_again():
    added = Sum()
    added.add({"a": {GREEN: Counts(requests=1000, failed=10)}})
    added.add({"a": {GREEN: Counts(requests=990, failed=0)}})
    added.add({"a": {GREEN: Counts(requests=995, failed=1)}})
    assert added.of([GREEN])[GREEN] == Counts(requests=5, failed=1)
