"""Ports and addresses that another process has, or that no router can take."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from inference_provider.apply import apply
from inference_provider.errors import (
    CapabilityMissing,
    NotReady,
    OutOfCapacity,
)
from inference_provider.observed import Kind
from inference_provider.plan import plan
from tests.local.conftest import ACTOR

pytestmark = pytest.mark.local


@contextlib.contextmanager
def _taken(port: int):
    with contextlib.ExitStack() as taken:
        with contextlib.suppress(OSError):  # a router of a test beside this one has it already
            taken.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


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


def test_an_address_the_router_cannot_take_is_refused_and_stops_no_later_change(lab):
    lab.up()
    space = lab.document["workspaces"][0]
    # for documents; no machine's
    space |= {"bind_address": "192.0.2.1", "allow_plain_http": True}
    with pytest.raises(
        CapabilityMissing, match=r"'192\.0\.2\.1' is not an address of this machine"
    ):
        lab.up()
    del space["bind_address"], space["allow_plain_http"]
    assert lab.up() == []
    lab.document["traffic"][0]["traffic"] = {"blue": 0, "green": 100}
    lab.document["endpoints"].append({"name": "other"})
    assert lab.up() == ["create Endpoint 'lab/other'", "update Traffic 'lab/iris'"]
    assert lab.score().json()["answer"] == "green"


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
