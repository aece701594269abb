"""What is measured of a workspace on a real Docker Engine."""

import json

import pytest

from inference_provider.targets.docker import names
from tests.docker.stack import Stack

pytestmark = pytest.mark.docker


@pytest.fixture
def stack(tmp_path):
    made = Stack(tmp_path)
    yield made
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
