"""Instances without a way out, as processes of this machine: they serve, and reach nothing."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from inference_provider.errors import NotReady
from inference_provider.observed import Kind
from inference_provider.targets.local.leftovers import lives
from inference_provider.targets.local.orphans import daemons
from tests.local.conftest import ACTOR, SERVER, Lab, Load
from tests.local.server.model import until

pytestmark = pytest.mark.local
OBEYS = Path(__file__).parent / "server" / "obeys.py"
INFERCTL = Path(sys.executable).with_name("inferctl")
USER = "root"
"""Of the namespace in which it is forbidden."""
LISTED, OTHER = "pypi.org", "files.pythonhosted.org"

REACH = """
import socket
for family, kind, place in given:
    try:
        with socket.socket(getattr(socket, family), getattr(socket, kind)) as asked:
            asked.settimeout(3)
            asked.connect(tuple(place) if isinstance(place, list) else place)
            asked.send(b"x")
        print("reached", place)
    except OSError as fault:
        print(type(fault).__name__, fault.errno)
"""
NAME = """
import socket
try:
    print(socket.getaddrinfo(given, 443))
except OSError as fault:
    print(type(fault).__name__)
"""
TUNNEL = """
import os, socket
host, _, port = os.environ["HTTPS_PROXY"].removeprefix("http://").rpartition(":")
with socket.create_connection((host, int(port)), 10) as opened:
    opened.sendall(f"CONNECT {given} HTTP/1.1\\r\\nhost: {given}\\r\\n\\r\\n".encode())
    print(opened.recv(4096).split()[1].decode())
"""
PAGE = """
import urllib.request
try:
    print(urllib.request.urlopen(urllib.request.Request(given, method="HEAD"), timeout=20).status)
except OSError as fault:
    print(fault)
"""
SCORE = """
import socket
def init():
    pass
def run(raw):
    with socket.socket() as out:
        return [[name for _, name in socket.if_nameindex()], out.connect_ex(("1.1.1.1", 443))]
"""
NETWORK = "import socket; print([name for _, name in socket.if_nameindex()])"
UNREACHABLE = "OSError 101"


@pytest.fixture
def closed(lab: Lab) -> Lab:
    """A workspace whose deployment has no way out; its server knows a port alone."""
    shutil.copy(OBEYS, lab.folder / "code" / "blue" / "serve.py")
    lab.document["deployments"] = lab.document["deployments"][:1]
    lab.document["deployments"][0]["egress_public_network_access"] = "disabled"
    lab.document["traffic"] = [{"endpoint": "iris", "traffic": {"blue": 100}}]
    return lab


def said(lab: Lab, code: str, given: object = None) -> str:
    answer = lab.score(run=code, given=given)
    assert answer.status_code == 200, answer.text
    return answer.text.strip()


def answered(lab: Lab, place: str) -> str:
    """Return what a tunnel is answered; empty while the router does not run."""
    try:
        return said(lab, TUNNEL, place)
    except (httpx.TransportError, AssertionError):
        return ""


def answers(lab: Lab) -> bool:
    try:
        return lab.score(run="").status_code == 200
    except httpx.TransportError:
        return False


def process(lab: Lab) -> psutil.Process:
    """Return the process of the one instance."""
    [one] = lab.instances()["iris/blue"]
    found = lab.supervisor.process(one.name)
    assert found is not None
    return psutil.Process(found.pid)


def where_forbidden(lab: Lab, *args: str) -> tuple[int, str]:
    """Return how a command ends, and what it says, where nobody may have a network of his own."""
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", forbid, "sh", str(INFERCTL), *args],
        cwd=lab.folder,
        env={**os.environ, "INFERENCE_STATE_DIR": str(lab.state)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def resolves(name: str) -> None:
    try:
        socket.getaddrinfo(name, 443)
    except OSError:
        pytest.skip(f"this machine cannot resolve {name}")


def space(lab: Lab, **fields: object) -> None:
    lab.document["workspaces"][0] = {**lab.document["workspaces"][0], **fields}


def rules(*destinations: str) -> list[dict[str, str]]:
    return [{"name": f"rule{n}", "destination": one} for n, one in enumerate(destinations)]


def test_it_serves_and_reaches_no_address_no_name_and_nothing_of_this_machine(closed: Lab):
    closed.up()
    router = httpx.URL(closed.uri)
    tcp, udp = ("AF_INET", "SOCK_STREAM"), ("AF_INET", "SOCK_DGRAM")
    places = [
        (*tcp, ["1.1.1.1", 443]),
        (*udp, ["1.1.1.1", 53]),
        ("AF_INET6", "SOCK_STREAM", ["2606:4700::1111", 443]),
        ("AF_INET6", "SOCK_DGRAM", ["2606:4700::1111", 53]),
        (*udp, ["224.0.0.251", 5353]),
    ]
    assert said(closed, REACH, places).splitlines() == [UNREACHABLE] * 5
    assert said(closed, NAME, "pypi.org") == "gaierror"
    with socket.create_server(("127.0.0.1", 0)) as other:
        here = [(*tcp, ["127.0.0.1", port]) for port in (router.port, other.getsockname()[1])]
        assert said(closed, REACH, here).splitlines() == ["ConnectionRefusedError 111"] * 2
    assert said(closed, NETWORK) == "['lo']"


def test_rules_let_it_out_to_their_names_alone_and_change_while_it_runs(closed: Lab):
    resolves(LISTED)
    space(closed, egress="disabled", outbound_rules=[])
    del closed.document["deployments"][0]["egress_public_network_access"]
    closed.up()
    [before] = closed.instances()["iris/blue"]
    assert said(closed, TUNNEL, f"{LISTED}:443") == "503"

    space(closed, outbound_rules=rules(LISTED))
    assert closed.up() == ["update Workspace 'lab'"]
    assert said(closed, PAGE, f"https://{LISTED}/simple/") == "200"
    for place in (f"{OTHER}:443", f"{LISTED}:22", "127.0.0.1:443", "169.254.169.254:80"):
        assert said(closed, TUNNEL, place) == "403"
    assert said(closed, REACH, [("AF_INET", "SOCK_STREAM", ["1.1.1.1", 443])]) == UNREACHABLE

    router = closed.supervisor.processes()["router"]
    os.kill(router.pid, signal.SIGKILL)
    until(lambda: answered(closed, f"{LISTED}:443") == "200")

    space(closed, outbound_rules=rules("*.pythonhosted.org"))
    closed.up()
    assert said(closed, TUNNEL, f"{LISTED}:443") == "403"
    assert said(closed, TUNNEL, f"{OTHER}:443") == "200"
    space(closed, outbound_rules=[])
    closed.up()
    assert said(closed, TUNNEL, f"{OTHER}:443") == "503"
    assert closed.instances()["iris/blue"] == (before,)
    assert closed.observe(Kind.DEPLOYMENT, "iris/blue").degraded == ""


def test_closing_and_opening_start_new_instances_and_fail_no_request(closed: Lab, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://machine.example:3128")
    shutil.copy(SERVER, closed.folder / "code" / "blue" / "serve.py")
    [deployment] = closed.document["deployments"]
    access = deployment.pop("egress_public_network_access")
    closed.up()
    with Load(closed) as load:
        for change in (
            lambda: deployment.update(egress_public_network_access=access),
            lambda: deployment.pop("egress_public_network_access"),
            lambda: space(closed, egress="disabled"),
            lambda: space(closed, egress="enabled"),
        ):
            [before] = closed.instances()["iris/blue"]
            change()
            closed.up()
            [after] = closed.instances()["iris/blue"]
            assert after.name != before.name
            assert after.socket != before.socket
    assert load.failed == {}
    assert load.results["200"] > 100


def test_what_its_programs_are_told_of_the_way_out(closed: Lab, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://machine.example:3128")
    asked = "import os; print(os.environ.get('HTTPS_PROXY'), os.environ.get('no_proxy'))"
    closed.up()
    assert said(closed, asked) == "None None"
    space(closed, egress="disabled")
    closed.up()
    assert said(closed, asked) == "http://127.0.0.1:3128 localhost,127.0.0.1,::1"
    closed.document["deployments"][0]["environment_variables"] = {"HTTPS_PROXY": "http://own:1"}
    closed.up()
    assert said(closed, asked) == "http://own:1 localhost,127.0.0.1,::1"


def test_one_that_is_killed_starts_closed_again_and_leaves_nothing(closed: Lab):
    space(closed, egress="disabled")
    closed.up()
    before = process(closed)
    family = [before, *before.children(recursive=True)]
    assert len(family) == 2
    before.kill()
    until(lambda: not any(lives(one.pid) for one in family))
    until(lambda: answers(closed))
    assert process(closed).pid != before.pid
    assert said(closed, NETWORK) == "['lo']"
    closed.target.stop("lab", ACTOR)
    assert closed.process_ids() == set()
    closed.target.start("lab", ACTOR)
    assert said(closed, NETWORK) == "['lo']"


def test_one_that_is_in_the_machines_network_all_the_same_is_drift(closed: Lab):
    closed.up()
    order = closed.state / "workspaces" / "lab" / "supervisor" / "launch"
    [written] = order.glob("iris.blue.*.json")
    written.write_text(json.dumps({**json.loads(written.read_text()), "network": None}))
    process(closed).kill()
    [one] = closed.instances()["iris/blue"]
    told = f"{one.name}: is in the machine's network, though its egress is disabled"
    until(lambda: told in closed.observe(Kind.DEPLOYMENT, "iris/blue").degraded)
    closed.up()
    assert said(closed, NETWORK) == "['lo']"
    assert closed.observe(Kind.DEPLOYMENT, "iris/blue").degraded == ""


def test_where_linux_forbids_it_a_plan_refuses_unless_it_is_left_to_others(closed: Lab):
    closed.resources()  # writes the file
    status, told = where_forbidden(closed, "up", "--yes")
    assert status == 1
    assert (
        "egress_public_network_access: 'disabled' needs a network of its own for each instance,"
        f" and user '{USER}' may not have one here (making namespaces: their limit is reached);"
        " do one of these: (1) have it allowed: `user.max_user_namespaces` is 0, (2) use target"
        " docker or kubernetes, (3) leave egress enabled, (4) set the workspace's"
        " allow_unenforced_egress: true, where something else closes egress"
    ) in told
    space(closed, allow_unenforced_egress=True)
    closed.resources()
    status, told = where_forbidden(closed, "up", "--yes")
    assert status == 0, told
    assert "nothing here closes the way out of instances whose egress is disabled: user" in told
    assert said(closed, NETWORK) != "['lo']"
    status, told = where_forbidden(closed, "drift")
    assert status == 0, told
    # from here it can be closed; its supervisord is still where it cannot
    assert "is in the machine's network" in closed.observe(Kind.DEPLOYMENT, "iris/blue").degraded
    with pytest.raises(NotReady, match="its egress cannot be closed: making namespaces: their"):
        closed.up()
    closed.target.stop("lab", ACTOR)
    closed.target.start("lab", ACTOR)
    closed.up()
    assert said(closed, NETWORK) == "['lo']"


def test_a_router_whose_forward_proxy_nobody_finds_is_drift_and_replaced(closed: Lab):
    resolves(LISTED)
    space(closed, egress="disabled", outbound_rules=rules(LISTED))
    closed.up()
    (closed.state / "workspaces" / "lab" / "router" / "egress.sock").unlink()
    assert said(closed, TUNNEL, f"{LISTED}:443") == "503"
    told = closed.observe(Kind.WORKSPACE, "lab").degraded
    assert told == "the socket of its forward proxy is gone"
    closed.up()
    assert said(closed, TUNNEL, f"{LISTED}:443") == "200"
    assert closed.observe(Kind.WORKSPACE, "lab").degraded == ""


def test_a_workspace_that_lost_its_supervisord_stays_closed(closed: Lab):
    space(closed, egress="disabled")
    closed.up()
    before = process(closed)
    [daemon] = daemons(closed.state / "workspaces" / "lab" / "supervisor")
    daemon.kill()
    daemon.wait(10)
    assert said(closed, NETWORK) == "['lo']"
    closed.up()
    assert process(closed).pid != before.pid
    assert said(closed, NETWORK) == "['lo']"
    assert not lives(before.pid)


def test_a_server_of_a_scoring_script_needs_nothing_beside_it(closed: Lab):
    [deployment] = closed.document["deployments"]
    closed.document["environments"] = [{"name": "plain"}]
    deployment["code_configuration"]["scoring_script"] = "score.py"
    deployment["start_timeout_s"] = 60
    (closed.folder / "code" / "blue" / "score.py").write_text(SCORE)
    closed.up()
    assert closed.score().json() == [["lo"], 101]
    names = {one.name() for one in process(closed).children()}
    assert len(names) == 1
