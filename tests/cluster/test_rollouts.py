"""Requests while a workspace of a real cluster changes: none fails."""

import time

import pytest

from inference_provider.observed import Kind
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import POD, name_of, selector
from tests.cluster.loaded import MANY, loaded
from tests.conformance.labs import ANN
from tests.docker.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def served():
    """A workspace with one endpoint of two deployments, shared by the tests of this module."""
    with loaded("roll", "green") as lab:
        yield lab


def test_blue_to_green_and_back_fails_no_request(served):
    with Load(served, 10_000, limit_s=200) as load:
        for blue in (90, 50, 0, 50, 100):
            served.apply(served.traffic(blue=blue, green=100 - blue))
            time.sleep(1)
        served.apply(
            served.deployment(
                environment_variables={"ANSWER": "2"},
                request_settings=MANY,
                instance_count=2,
            )
        )
    assert {*load.answers} == {200}
    assert load.answers.total() >= 10_000


def test_a_router_pod_that_is_deleted_fails_no_request(served):
    client = served.platform.client
    chosen = selector(names.selecting(served.workspace, names.ROUTER))
    with Load(served, 4_000, limit_s=120) as load:
        for pod in client.items(POD, served.workspace, chosen):
            client.delete(POD, served.workspace, name_of(pod))
            time.sleep(12)
    assert {*load.answers} == {200}


def test_an_instance_that_is_deleted_fails_no_request(served):
    served.apply(served.deployment(request_settings=MANY, instance_count=2))
    with Load(served, 2_000, limit_s=120) as load:
        [first, *_] = served.instances()
        served.end(first)
        time.sleep(10)
    assert {*load.answers} == {200}


def test_a_node_that_is_emptied_fails_no_request(served, api):
    served.apply(served.deployment(request_settings=MANY, instance_count=2))
    with Load(served, 4_000, limit_s=150) as load:
        evicted, refused = emptied(api, served.workspace)
    assert {*load.answers} == {200}
    assert len(evicted) == 5  # two instances of blue, one of green, two routers
    assert refused  # a budget let them go one after the other


def emptied(api, namespace) -> tuple[list[str], int]:
    """Evict all pods that serve, again and again where a budget refuses, as `kubectl drain` does.

    Returns:
        Those that were evicted, and how often it was refused.
    """
    pods, refused = f"/api/v1/namespaces/{namespace}/pods", 0
    roles = f"{names.ROLE} in ({names.INSTANCE},{names.ROUTER})"
    left = [name_of(one) for one in api.items(pods, labelSelector=roles)]
    evicted, until_s = [], time.monotonic() + 120
    while left:
        assert time.monotonic() < until_s, f"not evicted: {left}"
        for name in tuple(left):
            about = {"name": name, "namespace": namespace}
            asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": about}
            answer = api.http.post(f"{pods}/{name}/eviction", json=asked)
            assert answer.status_code in (201, 429), answer.text
            if answer.status_code == 201:
                left.remove(name)
                evicted.append(name)
            refused += answer.status_code == 429
        time.sleep(0.5)
    return evicted, refused


def test_the_key_that_stays_is_valid_through_a_rotation(served):
    with Load(served, 1_000, limit_s=60) as load:
        served.target.rotate_key(served.id(Kind.ENDPOINT, "iris"), "secondary", ANN)
    assert {*load.answers} == {200}


def test_nothing_drifts_after_all_of_it(served):
    found = served.target.observe([served.workspace]).resources.values()
    assert {one.id.kind: one.degraded for one in found if one.degraded} == {}
