"""Splits that the workspace service of this machine moves, with a real router and real requests."""

import os
import signal

import pytest

from inference_provider.drift import drift
from inference_provider.observed import Kind
from inference_provider.targets.local.service_process import SERVICE
from tests.local.conftest import Lab, Load
from tests.local.server.model import until

pytestmark = pytest.mark.local

ERRORS = {"metric": "ErrorRate", "above": 5, "window_s": 10}
SLOWNESS = {"metric": "RequestLatency", "above": 100, "window_s": 10}


@pytest.fixture
def served(lab: Lab) -> Lab:
    """A lab whose deployment blue answers all requests; green is there."""
    lab.up()
    return lab


def release(lab: Lab, answer: str, *, bake_s: float, alarm: dict) -> None:
    """Have green answer so, and move all requests there by 20 % and 60 % of the way."""
    lab.write_code("green", answer)
    lab.up()
    steps = [{"share": share, "bake_minutes": bake_s / 60} for share in (20, 60)]
    split = {"endpoint": "iris", "traffic": {"green": 100}}
    lab.document["traffic"] = [{**split, "rollout": {"steps": steps, "alarms": [alarm]}}]
    assert lab.up() == ["update Traffic 'lab/iris'"]


def shares(lab: Lab) -> dict[str, int]:
    found = lab.target.local.router("lab").status().weights["iris"]
    return {name: share for name, share in found.items() if share}


def drifted(lab: Lab) -> dict[str, str]:
    found = drift(lab.resources(), lab.target.observe(["lab"]), "lab").resources
    return {str(one.id): one.reason for one in found if one.verdict != "clean"}


def moves(lab: Lab) -> list[tuple[str, str]]:
    """Return what was done to a split by itself, and why."""
    return [(one.action, one.why) for one in lab.target.journal("lab") if one.why]


def service(lab: Lab) -> int:
    process = lab.supervisor.processes().get(SERVICE)
    return process.pid if process and process.runs else 0


def test_a_version_that_fails_goes_back_and_few_requests_fail_meanwhile(served: Lab):
    with Load(served) as load:
        release(served, "fail", bake_s=60, alarm=ERRORS)
        until(lambda: shares(served) == {"blue": 100}, 30)
        before = load.failed["424"]
        load.wait_for(sum(load.results.values()) + 500)
    assert load.failed == {"424": before} or load.failed["424"] - before < 16  # in flight then
    assert load.failed["424"] < 0.3 * sum(load.results.values())
    [(action, why)] = moves(served)
    assert action == "roll back"
    assert why.startswith("'iris/green': ErrorRate 100 % above 5 %, of ")
    assert list(drifted(served)) == ["Traffic 'lab/iris'"]
    assert "the rollout went back: 'iris/green': ErrorRate" in served.said("status")[1]


def test_a_version_that_is_slow_goes_back(served: Lab):
    with Load(served) as load:
        release(served, "slow", bake_s=120, alarm=SLOWNESS)
        until(lambda: shares(served) == {"blue": 100}, 60)
    assert load.failed == {}
    [(action, why)] = moves(served)
    assert action == "roll back"
    assert why.startswith("'iris/green': RequestLatency, percentile 95, above 100 ms: ")


def test_a_version_that_hangs_goes_back_though_its_callers_give_up_first(served: Lab):
    with Load(served, patience_s=1) as load:
        release(served, "stuck", bake_s=60, alarm=ERRORS)
        until(lambda: shares(served) == {"blue": 100}, 50)
    assert set(load.failed) == {"ReadTimeout"}
    [(action, why)] = moves(served)
    assert action == "roll back"
    assert why.startswith("'iris/green': ErrorRate 100 % above 5 %, of ")


def test_what_a_version_refuses_of_its_callers_throws_it_not_back(served: Lab):
    with Load(served, pause_s=0.02) as load:
        release(served, "refuse", bake_s=4, alarm=ERRORS)
        until(lambda: shares(served) == {"green": 100}, 60)
    assert set(load.failed) == {"424"}
    assert [action for action, _ in moves(served)] == ["step on", "finish the rollout of"]


def test_a_good_version_goes_through_though_the_service_is_killed_in_between(served: Lab):
    with Load(served, pause_s=0.02) as load:
        release(served, "green", bake_s=4, alarm=ERRORS)
        assert shares(served) == {"blue": 80, "green": 20}
        assert drifted(served) == {}
        until(lambda: service(served) != 0, 20)
        before: list[int] = []
        for _ in range(2):
            before.append(service(served))
            os.kill(before[-1], signal.SIGKILL)
            until(lambda: service(served) not in (0, before[-1]), 30)
        assert shares(served) in ({"blue": 80, "green": 20}, {"blue": 40, "green": 60})
        assert served.up() == []
        until(lambda: shares(served) == {"green": 100}, 60)
    assert load.failed == {}
    assert [action for action, _ in moves(served)] == ["step on", "finish the rollout of"]
    assert drifted(served) == {}
    assert served.up() == []


def test_a_stop_and_a_start_in_the_middle_go_on_with_it(served: Lab):
    release(served, "green", bake_s=6, alarm=ERRORS)
    until(lambda: "rollout step 1 of 3 (20 %)" in served.said("status")[1], 20)
    assert served.said("stop")[0] == 0
    assert served.said("start")[0] == 0
    assert shares(served) in ({"blue": 80, "green": 20}, {"blue": 40, "green": 60})
    until(lambda: shares(served) == {"green": 100}, 60)
    assert drifted(served) == {}


def test_without_its_service_a_split_stays_where_it_is_and_up_goes_on(served: Lab):
    release(served, "green", bake_s=30, alarm=ERRORS)
    served.supervisor.remove(SERVICE)
    said = " ".join(served.said("status")[1].split())
    assert "the workspace service does not run: splits stay where they are on their way" in said
    assert list(drifted(served)) == ["Workspace 'lab'"]
    served.up()
    until(lambda: service(served) != 0, 20)
    assert drifted(served) == {}
    assert served.observe(Kind.TRAFFIC, "iris").under_way.startswith("rollout step 1 of 3")
