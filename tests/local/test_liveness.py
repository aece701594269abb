"""An instance that hangs is started again, and everybody can see that and why."""

import os
import signal
import time

import pytest

from inference_provider.drift import drift
from inference_provider.observed import Kind, Restarts
from tests.local.conftest import ACTOR, Lab
from tests.local.server.model import until

pytestmark = pytest.mark.local


def test_an_instance_that_hangs_is_restarted_and_that_is_told_with_its_reason(lab: Lab):
    del lab.document["deployments"][1]
    lab.document["traffic"][0]["traffic"] = {"blue": 100}
    blue = lab.document["deployments"][0]
    blue["liveness_probe"] = {
        "initial_delay": 0, "period": 1, "timeout": 1, "failure_threshold": 2,
    }  # fmt: skip
    blue["request_settings"]["request_timeout_ms"] = 1000
    lab.up()
    [name] = (n for n in lab.supervisor.processes() if n.startswith("iris.blue."))
    pid = lab.supervisor.processes()[name].pid
    until(lambda: lab.score().status_code == 200)

    os.kill(pid, signal.SIGSTOP)  # it accepts, and never answers; nor does it heed SIGTERM
    until(lambda: lab.supervisor.processes()[name].pid not in (0, pid), 40)
    until(lambda: lab.score().status_code == 200)

    seen = lab.observe(Kind.DEPLOYMENT, "iris/blue")
    ended = f"{name} ended 1 time in the last 10 minutes, last by LivenessProbeFailed"
    assert seen.status == f"1 of 1 instances ready; {ended}"
    assert seen.restarts == {
        name: Restarts(since_start=1, lately=1, minutes=10, why="LivenessProbeFailed")
    }
    assert drift(lab.resources(), lab.target.observe(["lab"]), "lab").exit_code == 0

    def told() -> list[tuple[str, str]]:
        happened = [one for one in lab.target.events("lab") if one.instance == name]
        assert {one.deployment for one in happened} == {"iris/blue"}
        return [(one.name, one.message) for one in happened]

    until(lambda: told()[-1][0] == "Started")  # told once it has run for a second
    failed = "LivenessProbeFailed", "Liveness probe failed: GET /health: no answer within 1 s"
    assert told() == [
        ("Started", "Started instance"),
        failed,
        failed,
        ("Killing", "Instance failed its liveness probe 2 times, will be restarted"),
        ("Killing", "It did not heed SIGTERM, and was killed"),
        ("Started", "Started instance"),
    ]


def test_an_instance_that_the_router_finds_not_ready_is_told_once_each_time(lab: Lab):
    del lab.document["deployments"][1]
    lab.document["traffic"][0]["traffic"] = {"blue": 100}
    probe = {"initial_delay": 0, "period": 1, "timeout": 1, "failure_threshold": 2}
    lab.document["deployments"][0]["readiness_probe"] = probe
    lab.up()
    [name] = (n for n in lab.supervisor.processes() if n.startswith("iris.blue."))
    pid = lab.supervisor.processes()[name].pid

    def told() -> list[str]:
        happened = [one for one in lab.target.events("lab") if one.instance == name]
        return [one.message for one in happened if one.name == "ReadinessProbeFailed"]

    said = "Readiness probe failed: no answer in time; it gets no requests until it answers"

    def hangs(times: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: len(told()) == times, 30)
        os.kill(pid, signal.SIGCONT)
        until(lambda: lab.score().status_code == 200, 30)
        time.sleep(6)  # a look of the watcher, which sees it well

    hangs(1)
    hangs(2)
    assert told() == [said, said]
    lab.target.stop("lab", ACTOR)
    assert told() == [said, said], "who is told to stop is not failing"
