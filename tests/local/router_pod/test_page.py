"""The page of metrics of a router pod, with a real Envoy: what the cluster's Prometheus reads."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.local.router_pod.cluster import RouterPod
from tests.local.server.model import until
from tests.ports import own_port

from inference_provider.targets.kubernetes import router_page

pytestmark = pytest.mark.local


def series(port: int) -> dict[tuple[str, ...], float]:
    # by the name of a Service, as well as by an address
    answer = httpx.get(
        f"http://127.0.0.1:{port}/metrics", headers={"host": "router-metrics.lab.svc"}
    )
    answer.raise_for_status()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()) if value)): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_pod_serves_what_its_own_router_has_counted_and_says_where(
    pod: RouterPod, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(router_page, "PERIOD_S", 0.2)
    port = own_port()
    assert pod.ask("status")["metrics_port"] is None
    pod.sync.serve_metrics("0.0.0.0", port)
    status = pod.ask("status")
    assert (status["metrics_port"], status["fault"]) == (port, "")
    answered = "inference_RequestsPerMinute", "blue", "iris", "200", "2xx"

    def counts() -> bool:
        assert pod.score() == (200, "blue")
        return series(port).get(answered, 0) > 0

    until(counts)
    assert series(port)["inference_DeploymentCapacity", "Healthy", "blue", "iris"] == 1


def test_a_port_that_is_taken_is_told_and_the_router_serves(pod: RouterPod):
    pod.sync.serve_metrics("127.0.0.1", pod.table.port)
    status = pod.ask("status")
    assert status["fault"].startswith(f"no metrics are served on port {pod.table.port}: ")
    assert pod.is_ready()
    assert pod.score() == (200, "blue")
