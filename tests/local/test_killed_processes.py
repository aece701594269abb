"""kill -9 of anything at any moment: the old goes on serving, the next up converges."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.observed import Kind, Presence, Restarts
from inference_provider.targets.local.router import ROUTER
from tests.local.conftest import ACTOR, Load
from tests.local.server.model import until

pytestmark = pytest.mark.local


def _scores(lab) -> bool:
    try:
        return lab.score().status_code == 200
    except httpx.TransportError:
        return False


def test_a_killed_router_comes_back_by_itself(lab):
    lab.up()
    os.kill(lab.supervisor.processes()[ROUTER].pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not _scores(lab) and time.monotonic() < deadline:
        time.sleep(0.05)
    answer = lab.score()
    assert (answer.status_code, answer.json().get("answer")) == (200, "blue"), answer.text
    until(lambda: lab.observe(Kind.WORKSPACE, "lab").restarts)
    assert lab.observe(Kind.WORKSPACE, "lab").restarts == {
        "router": Restarts(since_start=1, lately=1, minutes=10)
    }
    assert lab.up() == []


def test_orphans_of_a_killed_supervisord_serve_until_the_next_up_replaces_them(lab):
    lab.up()
    uri, key = lab.uri, lab.key()
    daemon = lab.supervisor._daemon_pid()
    orphans = [process.pid for process in lab.supervisor.processes().values()]
    os.kill(daemon, signal.SIGKILL)
    time.sleep(0.3)
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(uri, json={}, headers=headers).status_code == 200
    assert lab.observe(Kind.DEPLOYMENT, "iris/blue").live["instance_count"] == 0
    with Load(lab) as load:
        load.wait_for(100)
        done = lab.up()
        load.wait_for(sum(load.results.values()) + 200)
    assert "update Deployment 'lab/iris/blue'" in done
    until(lambda: [pid for pid in orphans if psutil.pid_exists(pid)] == [])
    assert sum(load.failed.values()) <= 1  # opened while the old router stopped listening
    assert lab.up() == []


def test_after_a_power_cut_start_brings_everything_back_at_the_same_url(lab):
    lab.up()
    uri, key = lab.uri, lab.key()
    os.kill(lab.supervisor._daemon_pid(), signal.SIGKILL)
    for pid in lab.process_ids():
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    lab.target.start("lab", ACTOR)
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(uri, json={}, headers=headers).json()["answer"] == "blue"
    assert lab.up() == []


def test_a_stopped_supervisord_is_unknown_not_absent(lab):
    lab.up()
    daemon = lab.supervisor._daemon_pid()
    os.kill(daemon, signal.SIGSTOP)
    try:
        seen = lab.observe(Kind.DEPLOYMENT, "iris/blue")
    finally:
        os.kill(daemon, signal.SIGCONT)
    assert seen.presence is Presence.UNKNOWN
    assert "no answer within" in seen.reason


def test_a_supervisord_that_is_ending_is_unknown_not_an_error(lab):
    lab.document["deployments"][0]["request_settings"]["request_timeout_ms"] = 1000
    lab.write_code("blue", "stubborn")
    lab.up()
    with ThreadPoolExecutor() as beside:
        stopped = beside.submit(lab.target.stop, "lab", ACTOR)
        time.sleep(1)
        seen = lab.observe(Kind.DEPLOYMENT, "iris/blue")
        stopped.result()
    assert seen.presence == Presence.UNKNOWN
    assert "it is ending; wait for that and run this again" in seen.reason


def test_a_supervisord_killed_while_an_instance_starts_is_a_sentence(lab):
    lab.up()
    lab.write_code("blue", "blue-2")
    lab.document["deployments"][0]["environment_variables"] = {"START_S": "8"}
    kill = threading.Timer(2, os.kill, (lab.supervisor._daemon_pid(), signal.SIGKILL))
    kill.start()
    with pytest.raises(TargetUnreachable) as fault:
        lab.up()
    kill.join()
    assert str(fault.value) == (
        "ask supervisord: it does not run; run this again: `inferctl up` and `start` start it"
    )
    assert lab.score().json()["answer"] == "blue"
    lab.write_code("blue", "blue")
    del lab.document["deployments"][0]["environment_variables"]
    lab.up()
    assert lab.up() == []


def test_a_start_brings_back_what_served_and_not_what_the_router_never_took(lab):
    lab.up()
    lab.write_code("blue", "blue-2")
    blue = next(r for r in lab.resources() if r.id.name == "iris/blue")

    def kill_router(_resource, message: str) -> None:
        if message == "1 of 1 new instances ready":
            router = lab.supervisor.processes()[ROUTER].pid
            os.kill(lab.supervisor._daemon_pid(), signal.SIGKILL)
            os.kill(router, signal.SIGKILL)

    with pytest.raises(TargetUnreachable):
        lab.target.apply(blue, ACTOR, kill_router)
    lab.target.start("lab", ACTOR)
    assert lab.score().json()["answer"] == "blue"


@pytest.mark.parametrize("after_s", [0.05, 0.3, 0.8])
def test_a_killed_up_is_finished_by_the_next(lab, after_s):
    lab.up()
    lab.write_code("blue", "blue-2")
    lab.resources()  # writes the stack file
    inferctl = [str(Path(sys.executable).with_name("inferctl")), "up", "-y"]
    env = {**os.environ, "INFERENCE_STATE_DIR": str(lab.state)}
    child = subprocess.Popen(
        [*inferctl, str(lab.folder / "stack.yaml")],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(0.6 + after_s)
    child.kill()
    child.wait()
    assert lab.score().status_code == 200
    lab.up()
    assert lab.score().json()["answer"] == "blue-2"
    assert lab.up() == []
    names = [n for n in lab.supervisor.processes() if n.startswith("iris.")]
    assert len(names) == 2
