"""What is measured of a real workspace."""

import json
import os
import signal
import socket

import httpx
import pytest

from inference_provider.drift import drift
from inference_provider.targets.local.service_process import SERVICE
from tests.local.conftest import Lab, Load
from tests.local.server.model import until
from tests.ports import own_port

pytestmark = pytest.mark.local


def measured(lab: Lab, *args: str) -> dict[tuple[str, ...], float]:
    code, said = lab.said("metrics", *args, "--json")
    assert code == 0, said
    found = json.loads(said)["workspaces"]["lab"]
    return {(one["metric"], *one["dimensions"].values()): one["value"] for one in found}


def test_the_metrics_of_a_workspace_follow_its_load_with_no_service_of_it(lab: Lab):
    lab.up()
    with Load(lab, sleep_s=0.05) as load:
        load.wait_for(50)
        found = measured(lab)
    assert load.failed == {}
    assert found["RequestsPerMinute", "iris", "blue", "200", "2xx", ""] > 60
    assert found["RequestLatency_P50", "iris", "blue"] >= 50
    assert found["ConnectionsActive",] >= 8
    assert found["DeploymentCapacity", "iris", "blue", "Healthy"] == 1
    assert found["DeploymentCapacity", "iris", "blue", "Unhealthy"] == 0
    (instance,) = (one.name for one in lab.instances()["iris/blue"])
    assert found["CpuMemoryUtilizationPercentage", "iris", "blue", instance] > 0
    assert not [name for name in found if name[0].startswith("Gpu")]
    assert {name[1:3] for name in measured(lab, "iris/green", "--over", "1")} == {("iris", "green")}


def test_a_prometheus_finds_the_metrics_of_a_workspace_that_declares_a_port(lab: Lab):
    port = own_port()
    lab.document["workspaces"][0]["metrics"] = {"port": port}

    def page() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/metrics").text
        except httpx.TransportError:
            return ""

    def status() -> str:
        return " ".join(lab.said("status")[1].split())

    def clean() -> bool:
        found = drift(lab.resources(), lab.target.observe(["lab"]), "lab").resources
        return {str(one.verdict) for one in found} == {"clean"}

    with socket.create_server(("127.0.0.1", port)):
        lab.up()
        assert f"no metrics are served: port {port} is taken by another process" in status()
        assert clean()
    with Load(lab, sleep_s=0.05) as load:
        until(lambda: 'inference_RequestLatency_P95{deployment="blue"' in page(), 30)
        before = lab.supervisor.processes()[SERVICE].pid
        os.kill(before, signal.SIGKILL)
        until(lambda: lab.supervisor.processes()[SERVICE].pid not in (0, before), 30)
        until(lambda: 'inference_RequestLatency_P95{deployment="blue"' in page(), 30)
    assert load.failed == {}
    assert f"router ready; metrics on 127.0.0.1:{port}" in status()
    assert lab.up() == []
    del lab.document["workspaces"][0]["metrics"]
    assert lab.up() == ["update Workspace 'lab'"]
    assert page() == ""
    assert not [line for line in lab.processes() if "inference_provider.service" in line]
    assert clean()
