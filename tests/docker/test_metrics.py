"""What is measured of a workspace on a real Docker Engine."""

import json
import socket
from contextlib import suppress

import httpx
import psutil
import pytest

from inference_provider.targets.docker import names
from tests.conformance.labs import wait_until
from tests.docker.stack import Stack
from tests.docker_host import SOCKET, run_in
from tests.ports import own_port

pytestmark = pytest.mark.docker


@pytest.fixture
def stack(tmp_path):
    made = Stack(tmp_path)
    try:
        yield made
    finally:
        made.end()


def measured(stack: Stack, *args: str) -> dict[tuple[str, ...], float]:
    code, said = stack.said("metrics", *args, "--json")
    assert code == 0, said
    found = json.loads(said)["workspaces"][stack.workspace]
    return {(one["metric"], *one["dimensions"].values()): one["value"] for one in found}


def test_the_metrics_of_a_workspace_follow_its_load_with_no_service_of_it(stack, host):
    stack.up()
    with stack.load() as load:
        found = measured(stack)
    assert set(load.answers) == {200}
    assert found["RequestsPerMinute", "iris", "blue", "200", "2xx", ""] > 60
    assert found["RequestLatency_P50", "iris", "blue"] >= 290
    assert found["ConnectionsActive",] >= 6
    assert found["DeploymentCapacity", "iris", "blue", "Healthy"] == 1
    [listed] = host.containers(names.selecting(stack.workspace, names.INSTANCE))
    instance = "iris", "blue", names.of(listed)
    assert 0 < found["CpuUtilizationPercentage", *instance] < 200
    assert 0 < found["CpuMemoryUtilizationPercentage", *instance] < 100
    assert 0 < found["DiskUtilization", *instance, host.folder] <= 100
    assert not [name for name in found if name[0].startswith("Gpu")]


def test_a_prometheus_finds_the_metrics_of_a_workspace_on_the_loopback_of_its_host(stack, host):
    port, own = own_port(), names.autoscaler(stack.workspace)
    [space] = stack.document["workspaces"]
    space |= {"engine_socket": "/run/nowhere.sock", "metrics": {"port": port}}
    code, said = stack.said("up", "-y")
    assert code == 1
    assert "bind source path does not exist: /run/nowhere.sock; set the workspace's engine" in said
    assert host.containers({"label": f"{names.WORKSPACE}={stack.workspace}"}) == []
    space["engine_socket"] = SOCKET

    def page() -> str:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        return ""

    with socket.create_server(("127.0.0.1", port)):
        stack.up()
        refused = f"metrics do not go to {port}: [Errno 98] Address already in use"
        wait_until(lambda: refused in stack.status(), 60)
        assert stack.said("drift")[0] == 0
    with stack.load():
        wait_until(lambda: 'inference_RequestLatency_P95{deployment="blue"' in page(), 60)
        assert f"router ready; metrics on 127.0.0.1:{port}" in stack.status()
        run_in(host, own, "sh", "-c", "kill -9 -1")  # the Engine starts it again
        wait_until(lambda: host.container(own)["RestartCount"] == 1, 60)
        wait_until(lambda: 'inference_CpuUtilizationPercentage{deployment="blue"' in page(), 60)
    assert stack.up().startswith("no changes")
    there = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    assert [ip for ip, at in (tuple(one.laddr) for one in there) if at == port] == ["127.0.0.1"]
    del space["metrics"]
    stack.up()
    assert host.container(own) is None
    assert page() == ""
