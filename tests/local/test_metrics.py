"""What is measured of a real workspace."""

import json

import pytest

from tests.local.conftest import Lab, Load

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
    (instance,) = (one.name for one in lab.instances()["iris/blue"])
    assert found["CpuMemoryUtilizationPercentage", "iris", "blue", instance] > 0
    assert not [name for name in found if name[0].startswith("Gpu")]
    assert {name[1:3] for name in measured(lab, "iris/green", "--over", "1")} == {("iris", "green")}
