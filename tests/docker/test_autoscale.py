"""Rules that a container keeps on a real Docker Engine, with a real router and real load."""

from typing import Any

import pytest

from inference_provider.targets.docker import names
from inference_provider.targets.docker.locks import HostLocks
from tests.conformance.labs import wait_until
from tests.docker.stack import SOCKET, Stack
from tests.docker_host import run_in

pytestmark = pytest.mark.docker


@pytest.fixture
def stack(tmp_path, host):
    made = Stack(tmp_path, engine_socket=SOCKET)
    made.document["autoscale_rules"] = [
        {
            "endpoint": "iris",
            "deployment": "blue",
            "max_instances": 3,
            "targets": [
                {"metric": "RequestsInFlight", "target": 2},
                {"metric": "CpuMemoryUtilizationPercentage", "target": 90},
            ],
            "scale_in": {"stabilization_s": 5},
        }
    ]
    yield made
    made.end()
    label = {"label": f"{names.WORKSPACE}={made.workspace}"}
    assert (host.containers(label), host.volumes(label)) == ([], [])


def runs(state: dict[str, Any]) -> bool:
    """Whether a container runs; one that waits to be started again says so as well."""
    return bool(state["Running"] and not state["Restarting"])


def test_load_brings_instances_and_its_end_takes_them_and_a_killed_autoscaler_comes_back(
    stack, host, monkeypatch
):
    stack.up()
    own = names.autoscaler(stack.workspace)
    selecting = names.selecting(stack.workspace, names.INSTANCE)

    def count() -> int:
        return len(host.containers(selecting))

    assert "router ready; autoscaler runs" in stack.said("status")[1]
    with stack.load() as load:
        wait_until(lambda: count() == 3, 60)
        assert stack.said("up", "-y")[1].startswith("no changes")
    assert set(load.answers) == {200}
    wait_until(lambda: count() == 1, 60)
    wait_until(lambda: stack.said("drift")[0] == 0, 60)
    code, said = stack.said("autoscale", "explain", "iris/blue", "--last", "9")
    assert code == 0, said
    assert "decided again: the same" in said
    assert "CpuMemoryUtilizationPercentage" in said
    run_in(host, own, "sh", "-c", "kill -9 -1")  # all but the first process
    wait_until(lambda: host.container(own)["RestartCount"] == 1, 60)
    wait_until(lambda: runs(host.container(own)["State"]), 60)
    monkeypatch.setenv(names.ROLE_VARIABLE, names.AUTOSCALER)
    lock = names.lock(stack.workspace, "deployment.iris.blue")  # as in the middle of a change
    assert HostLocks(host, stack.workspace)._made(lock, {})
    monkeypatch.delenv(names.ROLE_VARIABLE)
    host.api.kill(own)
    said = stack.said("status")[1]
    assert "the autoscaler does not run: counts stay as they are" in " ".join(said.split())
    assert stack.said("drift")[0] == 2
    assert stack.said("up", "-y")[0] == 0
    assert stack.said("drift")[0] == 0
    assert host.container(own)["State"]["Running"]
    stack.document["autoscale_rules"][0]["enabled"] = False
    assert stack.said("up", "-y")[0] == 0
    assert host.container(own) is None
    assert host.container(lock) is None
