"""Rules that a container keeps on a real Docker Engine, with a real router and real load."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from inference_provider.targets.docker import names
from inference_provider.targets.docker.locks import HostLocks
from tests.conformance.labs import wait_until
from tests.docker.stack import stack_of
from tests.docker_host import SOCKET, run_in

pytestmark = pytest.mark.docker


@pytest.fixture
def stack(tmp_path, host):
    with stack_of(host, tmp_path, engine_socket=SOCKET) as made:
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
                "metrics": [
                    {
                        "metric": "RequestLatency",
                        "operator": "greater_than",
                        "threshold": 100_000,
                        "change": 1,
                    },
                    {
                        "metric": "RequestsQueued",
                        "operator": "greater_than",
                        "threshold": 100_000,
                        "change": 1,
                    },
                ],
            }
        ]
        yield made


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
        wait_until(lambda: "3 of 3 instances ready" in stack.status(), 60)
        assert count() == 3
        assert stack.said("up", "-y")[1].startswith("no changes")
    assert set(load.answers) == {200}
    wait_until(lambda: count() == 1, 60)
    wait_until(lambda: stack.said("drift")[0] == 0, 60)
    code, said = stack.said("autoscale", "explain", "iris/blue", "--last", "9")
    assert code == 0, said
    assert "decided again: the same" in said
    assert "CpuMemoryUtilizationPercentage" in said
    [last] = json.loads(stack.said("autoscale", "explain", "iris/blue", "--json")[1])
    timed = last["sample"]["timed"]
    assert timed["total_ms"] / timed["requests"] >= 290  # each takes 300
    assert last["sample"]["values"]["RequestsQueued"] == 0
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


def test_requests_wait_for_the_first_instance_and_outlive_the_autoscaler(stack, host):
    stack.document["autoscale_rules"][0] |= {
        "min_instances": 0,
        "targets": [{"metric": "RequestsInFlight", "target": 50}],
        "scale_in": {"stabilization_s": 2},
    }
    code, said = stack.said("up", "-y")
    assert code == 0, said
    own = names.autoscaler(stack.workspace)
    selecting = names.selecting(stack.workspace, names.INSTANCE)

    def sleeps() -> bool:
        return not host.containers(selecting)

    wait_until(sleeps, 60)
    assert "no instance, until a request comes" in stack.said("status")[1]
    assert stack.said("drift")[0] == 0
    outputs = json.loads(stack.said("outputs", "--json", "--show-secrets")[1])
    [endpoint] = [found for found in outputs.values() if "scoring_uri" in found]
    key = {"authorization": f"Bearer {endpoint['primary_key']}"}

    def ask(_number: int = 0) -> int:
        return httpx.post(endpoint["scoring_uri"], headers=key, timeout=90).status_code

    with ThreadPoolExecutor(40) as pool:
        assert Counter(pool.map(ask, range(40))) == {200: 40}
        wait_until(sleeps, 60)
        host.api.pause(own)
        answers = [pool.submit(ask) for _ in range(10)]
        time.sleep(1)
        host.api.unpause(own)
        run_in(host, own, "sh", "-c", "kill -9 -1")
        assert Counter(answer.result() for answer in answers) == {200: 10}
        wait_until(sleeps, 60)
