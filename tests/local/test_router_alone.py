"""A router whose parent holds nothing but a folder and an address, as in a container."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from inference_provider.router import RouterTable
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.serving import Serving
from tests.local.server.model import Model, until
from tests.local.server.routing import KEY, deployment, endpoint
from tests.ports import own_port

pytestmark = pytest.mark.envoy


class Parent:
    """Has Envoy as its child, and lets it listen on all addresses."""

    def __init__(self, folder: Path) -> None:
        self.listens = RouterTable(
            folder=str(folder),
            host="0.0.0.0",
            port=own_port(),
            metrics_host="0.0.0.0",
            metrics_port=own_port(),
        )
        delivery = Delivery(folder)
        self.serving = Serving(delivery, lambda: self.listens, self.runs)
        self.serving.write(())
        with (folder / "log").open("w") as log:
            self.child = subprocess.Popen(delivery.command(), stdout=log, stderr=log)

    def runs(self) -> bool:
        return self.child.poll() is None

    def end(self) -> None:
        self.child.kill()
        self.child.wait(10)


@pytest.fixture
def parent() -> Iterator[Parent]:
    with tempfile.TemporaryDirectory(prefix="router-test-") as folder:  # a short path
        found = Parent(Path(folder))
        until(found.serving.delivery.is_ready)
        yield found
        found.end()


def test_a_parent_publishes_and_is_told_what_is_in_force(parent: Parent, models: dict[str, Model]):
    blue, backend = deployment("blue", models["blue"]), models["blue"].backend
    parent.serving.publish((endpoint("chat", {"blue": 100}, blue),))
    parent.serving.wait_healthy({"chat/blue": 1})
    status = parent.serving.status()
    assert (status.fault, status.weights, status.healthy) == (
        "", {"chat": {"blue": 100}}, {"chat/blue": 1},
    )  # fmt: skip
    url = f"http://127.0.0.2:{parent.listens.port}/endpoints/chat/score"
    assert httpx.get(url, headers=KEY, trust_env=False).status_code == 200
    assert parent.serving.is_connected([backend])
    assert not parent.serving.is_drained("chat/blue")

    for _ in range(2):  # the first one stops the requests, the next one drops the cluster
        parent.serving.publish(())
        until(lambda: parent.serving.is_drained("chat/blue"))
    until(lambda: not parent.serving.is_connected([backend]))


def test_metrics_and_readiness_are_on_the_address_that_the_parent_says(parent: Parent):
    base = f"http://127.0.0.2:{parent.listens.metrics_port}"
    assert httpx.get(f"{base}/ready", trust_env=False).text == "LIVE\n"
    assert "envoy_server_uptime{}" in httpx.get(f"{base}/metrics", trust_env=False).text


def test_a_child_that_has_ended_has_nothing_in_flight_and_does_not_answer(parent: Parent):
    parent.end()
    assert parent.serving.status().fault == "the router does not answer"
    assert parent.serving.is_drained("chat/blue")
