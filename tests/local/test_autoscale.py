"""Rules that the workspace service of this machine keeps, with a real router and real load."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inference_provider import __version__
from inference_provider.autoscale_samples import Timed
from inference_provider.drift import drift
from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.local.service_process import SERVICE
from tests.local.conftest import ACTOR, Lab, Load
from tests.local.server.model import until

pytestmark = pytest.mark.local


@pytest.fixture
def ruled(lab: Lab) -> Lab:
    """A lab whose deployment blue has one to three instances, one for two requests in flight."""
    lab.document["autoscale_rules"] = [
        {
            "endpoint": "iris",
            "deployment": "blue",
            "max_instances": 3,
            "targets": [{"metric": "RequestsInFlight", "target": 2}],
            "scale_in": {"stabilization_s": 3},
        }
    ]
    lab.up()
    return lab


def count(lab: Lab) -> int:
    return len(lab.instances().get("iris/blue", ()))


def decided(lab: Lab) -> Path:
    return lab.state / "workspaces" / "lab" / "service" / "decisions.jsonl"


def decisions(lab: Lab) -> list[dict]:
    return [json.loads(line) for line in decided(lab).read_text().splitlines()]


def drifted(lab: Lab) -> dict[str, str]:
    found = drift(lab.resources(), lab.target.observe(["lab"]), "lab").resources
    return {str(one.id): str(one.verdict) for one in found if one.verdict != "clean"}


def serves(lab: Lab) -> bool:
    process = lab.supervisor.processes().get(SERVICE)
    return process is not None and process.runs


def test_load_brings_instances_and_its_end_takes_them_and_no_request_fails(ruled: Lab):
    assert count(ruled) == 1
    until(decided(ruled).exists, 30)  # it looks by now
    with Load(ruled, sleep_s=0.2) as load:
        began = datetime.now(UTC)
        until(lambda: count(ruled) == 3, 30)
        assert ruled.up() == []
        load.wait_for(sum(load.results.values()) + 100)
    assert drifted(ruled) == {}
    assert "AutoscaleRule 'lab/iris/blue'  1 to 3 instances\n" in ruled.said("status")[1]
    with Load(ruled, sleep_s=0.001, pause_s=0.2) as few:
        until(lambda: count(ruled) == 1, 40)
    assert (load.failed, few.failed) == ({}, {})
    changes = [one for one in decisions(ruled) if "memory" in one]
    assert (changes[0]["count"], changes[-1]["wanted"]) == (1, 1)
    assert max(one["wanted"] for one in changes) == 3
    out = next(datetime.fromisoformat(one["time"]) for one in changes if one["wanted"] > 1)
    assert out - began < timedelta(seconds=5)
    code, said = ruled.said("autoscale", "explain", "iris/blue")
    assert (code, said.splitlines()[-1]) == (0, "  decided again: the same")
    assert ruled.up() == []
    assert drifted(ruled) == {}


def test_a_killed_autoscaler_comes_back_and_the_count_stays_meanwhile(ruled: Lab):
    with Load(ruled, sleep_s=0.2) as load:
        until(lambda: count(ruled) == 3, 30)
        before = ruled.supervisor.processes()[SERVICE].pid
        os.kill(before, signal.SIGKILL)
        until(
            lambda: serves(ruled) and ruled.supervisor.process(SERVICE).pid not in (0, before), 30
        )
        assert count(ruled) == 3
    assert load.failed == {}


def test_status_and_drift_tell_when_no_autoscaler_runs_and_up_starts_it_again(ruled: Lab):
    assert "router ready; autoscaler runs" in ruled.said("status")[1]
    ruled.supervisor.remove(SERVICE)
    said = " ".join(ruled.said("status")[1].split())
    assert "the autoscaler does not run: counts stay as they are" in said
    assert list(drifted(ruled)) == ["Workspace 'lab'"]
    ruled.up()
    until(lambda: serves(ruled), 30)
    assert drifted(ruled) == {}
    upgraded(ruled)


def upgraded(lab: Lab) -> None:
    """As where another release started the autoscaler: an `up` replaces it, and changes nothing."""
    order, before = lab.supervisor.order_file(SERVICE), lab.supervisor.process(SERVICE).pid
    order.write_text(order.read_text().replace(f'"{__version__}"', '"0.0.1"'))
    assert drifted(lab) == {}
    code, said = lab.said("up", "--yes")
    assert (code, said.splitlines()[0]) == (0, "no changes; 7 unchanged")
    after = lab.supervisor.process(SERVICE).pid
    assert after != before
    assert lab.said("up", "--yes")[0] == 0
    assert lab.supervisor.process(SERVICE).pid == after


@pytest.mark.parametrize("ended", ["deleted", "off"])
def test_no_autoscaler_runs_where_no_rule_is_on(ruled: Lab, ended: str):
    assert serves(ruled)
    if ended == "deleted":
        del ruled.document["autoscale_rules"]
        rule = ResourceId(kind=Kind.AUTOSCALE_RULE, workspace="lab", name="iris/blue")
        ruled.target.delete(rule, "lab", ACTOR)
    else:
        ruled.document["autoscale_rules"][0]["enabled"] = False
        ruled.up()
    assert SERVICE not in ruled.supervisor.processes()
    assert not [line for line in ruled.processes() if "inference_provider.service" in line]
    assert drifted(ruled) == {}


def test_an_autoscaler_ends_with_the_supervisor_that_started_it(ruled: Lab):
    pid = ruled.supervisor.processes()[SERVICE].pid
    os.kill(ruled.supervisor._daemon_pid(), signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{pid}"), 30)
    ruled.up()
    until(lambda: serves(ruled), 30)
    assert drifted(ruled) == {}


def test_a_processor_that_is_busy_brings_instances(lab: Lab):
    lab.document["deployments"][0]["resources"] = {"requests": {"cpu": "20m"}}
    lab.document["autoscale_rules"] = [
        {
            "endpoint": "iris",
            "deployment": "blue",
            "max_instances": 2,
            "targets": [{"metric": "CpuUtilizationPercentage", "target": 50}],
        }
    ]
    lab.up()
    with Load(lab) as load:
        until(lambda: count(lab) == 2, 30)
    assert load.failed == {}
    first = next(one for one in decisions(lab) if "memory" in one)
    assert first["sample"]["values"]["CpuUtilizationPercentage"] > 50
    assert drifted(lab) == {}


def test_the_router_tells_how_long_requests_take_for_a_step_by_latency(lab: Lab):
    step = {"metric": "RequestLatency", "operator": "greater_than", "threshold": 70, "change": 1}
    rule = {"endpoint": "iris", "deployment": "blue", "max_instances": 2, "metrics": [step]}
    lab.document["autoscale_rules"] = [rule]
    lab.up()
    samples = lab.target.local.samples("lab")

    def timed() -> Timed:
        found = samples(lab.target.ruled("lab"))["iris/blue"].timed
        return found or Timed(requests=0, total_ms=0)

    with Load(lab, sleep_s=0.2) as load:
        until(lambda: timed().requests >= 8, 30)
    assert load.failed == {}
    last = timed()
    assert 190 <= last.total_ms / last.requests < 5000
    assert drifted(lab) == {}


def test_requests_beyond_what_an_instance_works_on_at_a_time_are_its_queue(lab: Lab):
    lab.document["deployments"][0]["request_settings"] |= {
        "max_concurrent_requests_per_instance": 5
    }
    step = {"metric": "RequestsQueued", "operator": "greater_than", "threshold": 4, "change": 1}
    rule = {"endpoint": "iris", "deployment": "blue", "max_instances": 2, "metrics": [step]}
    lab.document["autoscale_rules"] = [rule]
    lab.up()
    samples = lab.target.local.samples("lab")

    def queued() -> float:
        return samples(lab.target.ruled("lab"))["iris/blue"].values.get("RequestsQueued", -1)

    until(lambda: queued() == 0, 30)
    with Load(lab, sleep_s=2) as load:  # eight at a time
        until(lambda: queued() == 3, 30)
    assert load.failed == {}
    until(lambda: queued() == 0, 30)
    assert drifted(lab) == {}
