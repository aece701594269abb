"""An instance that keeps dying is not ready; one that died once and came back is."""

import os
import re
import signal

import psutil
import pytest

from inference_provider.drift import drift
from inference_provider.errors import NotReady
from inference_provider.observed import Kind, ObservedResource, Restarts
from inference_provider.router import Backend
from inference_provider.targets.local.addresses import listens
from tests.local.conftest import ACTOR, Lab, Load
from tests.local.server.model import until

pytestmark = pytest.mark.local

NEEDING = """
import os, time
time.sleep(float(os.environ["BEFORE_S"]))
open(os.environ["NEEDED"]).close()
"""


@pytest.fixture
def alone(lab: Lab) -> Lab:
    """A lab with one deployment and no other."""
    del lab.document["deployments"][1]
    lab.document["traffic"][0]["traffic"] = {"blue": 100}
    return lab


def blue(lab: Lab) -> ObservedResource:
    return lab.observe(Kind.DEPLOYMENT, "iris/blue")


def kill(lab: Lab) -> str:
    """Kill blue's one instance; return its name when supervisord has started it again."""
    name = next(n for n in lab.supervisor.processes() if n.startswith("iris.blue."))
    pid = lab.supervisor.processes()[name].pid
    [instances] = lab.instances().values()
    port = next(one.port for one in instances if one.name == name)
    os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        now = lab.supervisor.processes()[name].pid
        return now not in (0, pid) and listens(now, Backend(host="127.0.0.1", port=port))

    until(back)
    return name


@pytest.mark.parametrize("before_s", ["0", "1.2"], ids=["dies at once", "dies after a while"])
def test_an_instance_that_dies_at_each_start_is_reported_and_replaced(alone: Lab, before_s):
    server = alone.folder / "code" / "blue" / "serve.py"
    server.write_text(NEEDING + server.read_text())
    needed = alone.folder / "needed"
    needed.write_text("")
    alone.document["deployments"][0]["environment_variables"] = {
        "NEEDED": str(needed), "BEFORE_S": before_s,
    }  # fmt: skip
    alone.up()
    needed.unlink()
    name = next(n for n in alone.supervisor.processes() if n.startswith("iris.blue."))
    os.kill(alone.supervisor.processes()[name].pid, signal.SIGKILL)
    until(lambda: [one.lately >= 3 for one in blue(alone).restarts.values()] == [True])

    seen = blue(alone)
    dying = rf"{re.escape(name)} ended \d+ times in the last 10 minutes"
    assert re.fullmatch(f"0 of 1 instances ready; {dying}", seen.status)
    assert re.fullmatch(dying, seen.degraded)
    report = drift(alone.resources(), alone.target.observe(["lab"]), "lab")
    assert report.exit_code == 2
    assert [one.id.name for one in report.resources if one.verdict != "clean"] == ["iris/blue"]
    with pytest.raises(NotReady, match="FileNotFoundError"):
        alone.up()
    needed.write_text("")
    assert alone.up() == ["update Deployment 'lab/iris/blue'"]
    assert alone.score().json()["answer"] == "blue"
    assert name not in alone.supervisor.processes()
    assert (blue(alone).status, blue(alone).restarts) == ("1 of 1 instances ready", {})
    assert alone.up() == []


def test_one_that_was_killed_once_and_came_back_is_ready(alone: Lab):
    alone.up()
    name = kill(alone)
    until(lambda: blue(alone).restarts != {})
    seen = blue(alone)
    assert seen.restarts == {name: Restarts(since_start=1, lately=1, minutes=10)}
    ended = f"{name} ended 1 time in the last 10 minutes"
    assert (seen.status, seen.degraded) == (f"1 of 1 instances ready; {ended}", "")
    assert alone.up() == []
    alone.target.stop("lab", ACTOR)
    alone.target.start("lab", ACTOR)
    assert (blue(alone).restarts, alone.up()) == ({}, [])


def test_one_that_is_not_back_yet_is_not_ready_though_the_router_has_not_seen_it(alone: Lab):
    alone.document["deployments"][0]["environment_variables"] = {"START_S": "3"}
    alone.document["deployments"][0]["readiness_probe"]["period"] = 60
    alone.up()
    name = next(n for n in alone.supervisor.processes() if n.startswith("iris.blue."))
    os.kill(alone.supervisor.processes()[name].pid, signal.SIGKILL)
    until(lambda: name in blue(alone).restarts)
    until(lambda: alone.supervisor.processes()[name].state == "RUNNING")
    ended = f"{name} ended 1 time in the last 10 minutes"
    assert blue(alone).status == f"0 of 1 instances ready; {ended}"
    assert blue(alone).degraded == ""
    assert alone.up() == ["update Deployment 'lab/iris/blue'"]
    assert alone.score().json()["answer"] == "blue"
    assert name in alone.supervisor.processes()


def test_one_that_keeps_dying_though_it_answers_is_replaced_and_no_request_fails(alone: Lab):
    alone.up()
    names = {kill(alone) for _ in range(3)}
    until(lambda: blue(alone).degraded != "")
    with Load(alone) as load:
        load.wait_for(100)
        assert alone.up() == ["update Deployment 'lab/iris/blue'"]
        load.wait_for(sum(load.results.values()) + 100)
    assert load.failed == {}
    assert names & alone.supervisor.processes().keys() == set()
    assert alone.up() == []


def test_what_counts_is_restarted_when_it_dies_and_ends_with_supervisord(alone: Lab):
    alone.up()
    first = _listener(alone)
    first.kill()
    until(lambda: _listener(alone) not in (None, first))
    name = kill(alone)
    until(lambda: name in blue(alone).restarts)
    second = _listener(alone)
    os.kill(alone.supervisor._daemon_pid(), signal.SIGKILL)
    until(lambda: _has_ended(second))


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_supervisord_of_an_older_release_gets_what_counts_and_restarts_nothing(alone: Lab):
    alone.up()
    alone.supervisor._rpc.call(lambda rpc: rpc.stopProcess("watch"))
    alone.supervisor._rpc.call(lambda rpc: rpc.removeProcessGroup("watch"))
    configuration = alone.state / "workspaces/lab/supervisor/supervisord.conf"
    configuration.write_text(configuration.read_text().partition("[eventlistener:")[0])
    before = _pids(alone)
    assert alone.up() == []
    assert _listener(alone) is None
    alone.document["deployments"][0]["tags"] = {"a": "b"}
    alone.up()
    found = _listener(alone)
    assert found is not None
    assert _pids(alone) == before

    text = configuration.read_text()
    configuration.write_text(text.replace(",PROCESS_STATE_STOPPING", ""))  # it is told of less
    alone.document["deployments"][0]["tags"] = {"a": "c"}
    alone.up()
    assert _listener(alone) not in (None, found)
    assert configuration.read_text() == text
    assert _pids(alone) == before
    name = kill(alone)
    until(lambda: name in blue(alone).restarts)


def _pids(lab: Lab) -> dict[str, int]:
    return {name: one.pid for name, one in lab.supervisor.processes().items()}


def _listener(lab: Lab) -> psutil.Process | None:
    daemon = psutil.Process(lab.supervisor._daemon_pid())
    return next(filter(_is_listener, daemon.children()), None)


def _is_listener(process: psutil.Process) -> bool:
    try:
        return "watch.py" in " ".join(process.cmdline())
    except psutil.Error:  # it ended since its parent was asked
        return False
