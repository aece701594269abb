"""What is measured of a workspace in a real cluster, of which the router is two pods."""

import os

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from inference_provider.metrics.catalogue import CAPACITY, CPU, MEMORY, PERCENTILES, REQUESTS
from inference_provider.metrics.series import series
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.kubernetes.names import ROUTER, selecting
from inference_provider.targets.kubernetes.objects import POD, annotations_of, name_of, selector
from inference_provider.targets.kubernetes.pods import address_of, is_ending, is_ready
from inference_provider.targets.kubernetes.target import KubernetesTarget
from tests.cluster.loaded import MANY
from tests.conformance.labs import KubernetesLab, wait_until
from tests.docker.load import Load

pytestmark = pytest.mark.cluster

BLUE = "iris", "blue"
PORT = 9464
MEASURED_S = 60.0
"""metrics-server asks every 10 s, and needs two answers of an instance."""


@pytest.fixture(scope="module")
def measured(metrics, tmp_path_factory):
    """A workspace, and what measures it, shared by this module."""
    del metrics
    tmp_path = tmp_path_factory.mktemp("lab")
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"measured{os.getpid()}")
    target = KubernetesTarget("kubernetes")
    asks = {"requests": {"cpu": "100m", "memory": "256Mi"}}
    blue = lab.blue(resources=asks, request_settings=MANY)
    try:
        lab.apply(*lab.desired[:-2], blue, lab.desired[-1])
        yield lab, target.meter(lab.workspace)
    finally:
        lab.close()
        lab.platform.close()
        target.kubernetes.close()


def send(lab, count: int) -> None:
    """Send requests, each by a connection of its own: so that every pod gets some."""
    url, key = f"{lab.router_url}/endpoints/iris/score", lab.keys()[0]
    headers = {"authorization": f"Bearer {key}"}
    for _ in range(count):
        assert httpx.post(url, headers=headers, timeout=20, trust_env=False).status_code == 200


def values(before, now):
    return {(one.metric, *one.labels): one.value for one in series(before, now)}


def answered(before, now) -> float:
    """Return how many requests were counted between two looks, by the rate that is told."""
    found = values(before, now)
    return found[REQUESTS, *BLUE, "200", "2xx", ""] * (now.at_s - before.at_s) / 60


def routers(lab):
    chosen = selector(selecting(lab.workspace, ROUTER))
    return lab.platform.client.items(POD, lab.workspace, chosen)


def test_every_request_to_any_pod_of_the_router_is_counted_once_and_instances_are_measured(
    measured,
):
    lab, meter = measured
    wait_until(lambda: meter().instances, MEASURED_S)
    before = meter()
    send(lab, 60)
    after = meter()
    assert after.notes == ()
    assert answered(before, after) == pytest.approx(60)
    grown = {p: sum(c.requests.values()) for p, c in after.router.items()}
    assert len(grown) == 2
    assert all(count > sum(before.router[p].requests.values()) for p, count in grown.items())
    found = values(before, after)
    assert found[CAPACITY, *BLUE, "Healthy"] == 1
    [use] = after.instances
    assert found[CPU, *BLUE, use.name] >= 0
    assert 0 < found[MEMORY, *BLUE, use.name] < 100

    gone = name_of(routers(lab)[0])
    lab.end(gone)
    wait_until(lambda: [is_ready(pod) for pod in routers(lab) if not is_ending(pod)] == [True] * 2)
    send(lab, 30)
    last = meter()
    assert answered(after, last) == pytest.approx(30)
    # Envoy adds durations up every 5 s
    wait_until(lambda: (PERCENTILES[50], *BLUE) in values(before, meter()))


def page(host: str) -> dict[tuple[str, ...], float]:
    """Return what a Prometheus reads at a pod's address, or at the name of what leads to pods."""
    answer = httpx.get(f"http://{host}:{PORT}/metrics", trust_env=False)
    answer.raise_for_status()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()) if value)): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_declared_port_is_served_by_every_router_pod_and_comes_without_a_failed_request(
    measured,
):
    lab, _ = measured
    space = lab.desired[0]
    declared = space.model_copy(
        update={"spec": space.spec.model_copy(update={"metrics": MetricsSettings(port=PORT)})}
    )
    with Load(lab, 500) as load:
        lab.apply(declared)
        pods = [pod for pod in routers(lab) if not is_ending(pod)]
        assert len(pods) == 2
        answered = "inference_RequestsPerMinute", "blue", "iris", "200", "2xx"
        wait_until(lambda: all(page(address_of(pod)).get(answered) for pod in pods), 40)
    assert load.failed == {}
    for pod in pods:
        named = {f"prometheus.io/{name}" for name in ("scrape", "port", "path", "scheme")}
        assert named <= set(annotations_of(pod))
        assert annotations_of(pod)["prometheus.io/port"] == str(PORT)
    assert lab.router.status().beside == "metrics on port 9464 of each router pod"
