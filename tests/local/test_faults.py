"""kill -9 of anything at any moment: the old goes on serving, the next up converges."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from inference_provider.apply import apply
from inference_provider.errors import (
    Busy,
    CapabilityMissing,
    NotReady,
    OutOfCapacity,
    TargetUnreachable,
)
from inference_provider.observed import Kind, Presence, ResourceId, Restarts
from inference_provider.plan import plan
from inference_provider.targets.local.router import ROUTER
from inference_provider.targets.local.target import LocalTarget
from tests.local.conftest import ACTOR, Load
from tests.local.server.model import until

pytestmark = pytest.mark.local


def _served_processes(lab) -> set[int]:
    """Every live process whose note stands in the workspace, and supervisord's children."""
    folder = str(lab.state)
    return {
        p.pid
        for p in psutil.process_iter(["environ", "cmdline", "cwd"])
        if folder in " ".join(p.info["cmdline"] or ()) or (p.info["cwd"] or "").startswith(folder)
    }


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
    assert sum(load.failed.values()) <= 8  # accepted by the old router while it ended
    assert lab.up() == []


def test_after_a_power_cut_start_brings_everything_back_at_the_same_url(lab):
    lab.up()
    uri, key = lab.uri, lab.key()
    os.kill(lab.supervisor._daemon_pid(), signal.SIGKILL)
    for pid in _served_processes(lab):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    lab.target.start("lab", ACTOR)
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(uri, json={}, headers=headers).json()["answer"] == "blue"
    assert lab.up() == []


def test_a_full_disk_is_a_sentence_and_the_old_goes_on_serving(lab):
    small = lab.folder / "d"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        lab.use_state(small / "s")
        lab.up()
        (small / "filler").write_bytes(bytes(3_000_000))
        with (small / "rest").open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
        lab.write_code("blue", "blue-2")
        with pytest.raises(OutOfCapacity) as fault:
            lab.up()
        assert "no space left under" in str(fault.value)
        with lab.target.hold(["lab"], ACTOR):  # a `down` that would free some is let in
            pass
        assert lab.score().json()["answer"] == "blue"
        (small / "filler").unlink()
        lab.up()
        assert lab.score().json()["answer"] == "blue-2"
    finally:
        lab.down()
        subprocess.run(["umount", "-l", str(small)], check=True)


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


def test_after_a_stop_start_brings_everything_back_at_the_same_url(lab):
    lab.up()
    uri, key = lab.uri, lab.key()
    lab.target.stop("lab", ACTOR)
    assert _served_processes(lab) == set()
    assert lab.observe(Kind.DEPLOYMENT, "iris/blue").degraded == "1 instance not running"
    lab.target.start("lab", ACTOR)
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(uri, json={}, headers=headers).json()["answer"] == "blue"
    assert lab.up() == []


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


def test_a_large_access_log_is_set_aside_while_nothing_changes(lab):
    lab.up()
    log = lab.state / "workspaces" / "lab" / "router" / "access.log"
    os.truncate(log, 64_000_000)
    until(lambda: log.with_name("access.log.1").exists())
    assert lab.score().status_code == 200
    until(lambda: log.exists() and log.stat().st_size)  # Envoy writes its log every ten seconds
    assert log.stat().st_size < 10_000
    assert log.with_name("access.log.1").stat().st_size >= 64_000_000


def test_a_taken_router_port_is_a_sentence(lab):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lab.document["workspaces"][0]["router_port"] = port
        with pytest.raises(OutOfCapacity) as fault:
            lab.up()
    assert f"port {port} on 127.0.0.1 is taken by another process" in str(fault.value)
    lab.up()
    assert lab.score().status_code == 200


@contextlib.contextmanager
def _taken(port: int):
    with socket.create_server(("127.0.0.1", port)):
        yield


def test_a_metrics_port_that_is_taken_is_chosen_again_and_the_url_stays(lab):
    lab.up()
    uri, before = lab.uri, lab.observe(Kind.WORKSPACE, "lab").outputs["metrics_url"]
    lab.target.stop("lab", ACTOR)
    with _taken(httpx.URL(before).port):
        lab.target.start("lab", ACTOR)
        after = lab.observe(Kind.WORKSPACE, "lab").outputs["metrics_url"]
        assert after != before
        assert httpx.get(f"{after}/metrics").status_code == 200
    assert lab.uri == uri
    assert lab.score().json()["answer"] == "blue"
    assert lab.up() == []


def test_a_picked_router_port_that_is_taken_is_named_with_advice_that_works(lab):
    del lab.document["workspaces"][0]["router_port"]
    lab.up()
    port = httpx.URL(lab.uri).port
    lab.target.stop("lab", ACTOR)
    with _taken(port):
        with pytest.raises(OutOfCapacity) as fault:
            lab.up()
        assert str(fault.value) == (
            f"start the router of workspace 'lab': its router port {port} on 127.0.0.1 is taken by"
            " another process; end that process (`ss -ltnp` names it) and run this again; or run"
            " `inferctl down`, then `inferctl up` with another router_port (0 picks a free one)"
        )
        apply(plan((), lab.target.observe(["lab"]), "lab"), lab.target, ACTOR)  # `inferctl down`
        lab.up()
        assert httpx.URL(lab.uri).port != port
        assert lab.score().json()["answer"] == "blue"


def test_what_is_deleted_while_nothing_runs_starts_nothing(lab):
    lab.up()
    lab.target.stop("lab", ACTOR)
    for kind, name in ((Kind.TRAFFIC, "iris"), (Kind.DEPLOYMENT, "iris/green")):
        lab.target.delete(ResourceId(kind=kind, workspace="lab", name=name), "lab", ACTOR)
        assert lab.observe(kind, name).presence == Presence.ABSENT
    assert _served_processes(lab) == set()
    assert lab.observe(Kind.DEPLOYMENT, "iris/blue").degraded == "1 instance not running"
    lab.target.start("lab", ACTOR)
    assert lab.score().json()["error"]["code"] == "NoTraffic"
    assert lab.score(deployment="green").json()["error"]["code"] == "DeploymentNotFound"
    assert lab.score(deployment="blue").json()["answer"] == "blue"


def test_a_router_does_not_share_its_port_with_another_process(lab):
    """Envoy listens with SO_REUSEPORT: another one could listen beside it, and answer for it."""
    lab.up()
    port = httpx.URL(lab.uri).port
    os.kill(lab.supervisor._daemon_pid(), signal.SIGKILL)
    with _sharing(port), pytest.raises(OutOfCapacity) as fault:
        lab.up()
    assert f"port {port} on 127.0.0.1 is taken by another process" in str(fault.value)
    lab.up()
    assert lab.score().json()["answer"] == "blue"


@contextlib.contextmanager
def _sharing(port: int):
    listen = (
        "import socket, time; s = socket.socket(); "
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); "
        f"s.bind(('127.0.0.1', {port})); s.listen(); print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", listen], stdout=subprocess.PIPE)
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def test_an_instance_is_not_taken_for_ready_when_another_process_answers_on_its_port(lab):
    server = lab.folder / "code" / "blue" / "serve.py"
    listening = server.read_text()
    server.write_text(DETACHED)
    (server.parent / "listening.py").write_text(listening)
    lab.document["deployments"][0]["start_timeout_s"] = 3
    with pytest.raises(NotReady, match="GET /health did not answer 200 to 399 within 3 s"):
        lab.up()
    detached = (lab.state / "detached").read_text()
    os.kill(int(detached), signal.SIGKILL)


DETACHED = """
import os, pathlib, subprocess, sys, time
here = pathlib.Path(__file__).parent
command = [sys.executable, str(here / "listening.py"), sys.argv[1]]
if os.fork() == 0:
    server = subprocess.Popen(command, start_new_session=True)
    (here.parents[4] / "detached").write_text(str(server.pid))
    os._exit(0)
os.wait()
time.sleep(60)
"""


def test_start_ends_when_the_router_sees_its_instances(lab):
    """Envoy asks first when they do not listen yet, and again only a second later."""
    lab.document["deployments"][0]["environment_variables"] = {"START_S": "1.3"}
    lab.up()
    lab.target.stop("lab", ACTOR)
    lab.target.start("lab", ACTOR)
    assert lab.score().status_code == 200


@pytest.mark.parametrize("content", [None, "", "{", '{"primary": "x"}'])
def test_keys_that_are_gone_or_spoiled_lock_nobody_out_and_an_up_makes_new_ones(lab, content):
    lab.up()
    old = lab.key()
    keys = lab.state / "workspaces" / "lab" / "keys" / "iris.json"
    keys.unlink()
    if content is not None:
        keys.write_text(content)
    lab.document["deployments"][0]["request_settings"] = {"request_timeout_ms": 4000}
    blue = next(r for r in lab.resources() if r.id.name == "iris/blue")
    lab.target.apply(blue, ACTOR)
    assert lab.score(key=old).status_code == 200
    assert lab.observe(Kind.ENDPOINT, "iris").degraded == "its keys are gone"
    assert lab.up() == ["update Endpoint 'lab/iris'"]
    assert (lab.key() != old, lab.score().status_code) == (True, 200)


@pytest.mark.parametrize(("remembered", "status"), [(True, 200), (False, 401)])
def test_keys_that_are_gone_at_a_restart_stay_as_far_as_the_router_remembers_them(
    lab, remembered, status
):
    lab.up()
    old, uri, folder = lab.key(), lab.uri, lab.state / "workspaces" / "lab"
    (folder / "keys" / "iris.json").unlink()
    lab.target.stop("lab", ACTOR)
    if not remembered:
        (folder / "router" / "table.json").unlink()
    lab.target.start("lab", ACTOR)
    answer = httpx.post(uri, json={}, headers={"authorization": f"Bearer {old}"}, timeout=10)
    assert answer.status_code == status
    assert lab.up() == ["update Endpoint 'lab/iris'"]
    assert lab.score().status_code == 200


def test_two_ups_at_once_are_refused_with_who_and_since(lab):
    lab.up()
    other = LocalTarget.open(lab.state)
    with lab.target.hold(["lab"], ACTOR), pytest.raises(Busy) as fault, other.hold(["lab"], ACTOR):
        pass
    assert "tester (pytest) has been changing it since" in str(fault.value)


def test_keys_are_in_no_log_and_no_command_line_and_files_are_private(lab):
    lab.document["deployments"][0]["environment_variables"] = {"GREETING": "a-hidden-word"}
    lab.up()
    assert lab.score().json()["greeting"] == "a-hidden-word"
    lines = [" ".join(psutil.Process(pid).cmdline()) for pid in _served_processes(lab)]
    shown = "\n".join([lab.log(), *lines, lab.target.observe(["lab"]).model_dump_json()])
    assert "a-hidden-word" not in shown
    assert lab.key() not in shown
    for path in (lab.state / "workspaces").rglob("*.json"):
        assert path.stat().st_mode & 0o077 == 0, path


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


def test_an_address_the_router_cannot_take_is_refused_and_stops_no_later_change(lab):
    lab.up()
    lab.document["workspaces"][0]["bind_address"] = "192.0.2.1"  # for documents; no machine's
    with pytest.raises(
        CapabilityMissing, match=r"'192\.0\.2\.1' is not an address of this machine"
    ):
        lab.up()
    del lab.document["workspaces"][0]["bind_address"]
    assert lab.up() == []
    lab.document["traffic"][0]["traffic"] = {"blue": 0, "green": 100}
    lab.document["endpoints"].append({"name": "other"})
    assert lab.up() == ["create Endpoint 'lab/other'", "update Traffic 'lab/iris'"]
    assert lab.score().json()["answer"] == "green"


def test_instances_whose_documents_were_lost_are_replaced(lab):
    lab.up()
    shutil.rmtree(lab.state / "workspaces" / "lab" / "instances")
    lab.up()
    assert lab.score().json()["answer"] == "blue"
    running = [line for line in lab.processes() if "serve.py" in line]
    assert len(running) == 2


def test_a_deployment_whose_instances_document_was_lost_goes_with_its_processes(lab):
    lab.up()
    shutil.rmtree(lab.state / "workspaces" / "lab" / "instances")
    lab.down()
    assert lab.processes() == []


def test_a_workspace_whose_address_a_power_cut_emptied_comes_back_and_goes(lab):
    lab.up()
    (lab.state / "workspaces" / "lab" / "workspace.json").write_text("")
    assert lab.observe(Kind.WORKSPACE, "lab").presence == Presence.ABSENT
    lab.up()
    assert lab.score().json()["answer"] == "blue"
