"""A workspace's first `up`, cut short: nothing of it runs on, and the next one starts afresh."""

import json
import signal
import time

import pytest

from inference_provider.observed import Kind, Presence, ResourceId
from tests.local.conftest import ACTOR
from tests.ports import own_port

pytestmark = pytest.mark.local


def only_the_workspace(lab, router_port: int) -> None:
    lab.document = {"name": "lab", "workspaces": [{"name": "lab", "router_port": router_port}]}
    lab.resources()  # writes the stack file


def cut_short(lab, how: int) -> int:
    """Send a signal to an `up` as soon as its supervisord runs; return how it ended."""
    note = lab.state / "workspaces" / "lab" / "supervisor" / "supervisord.pid"
    up = lab.inferctl("up", "-y")
    deadline = time.monotonic() + 20
    while not note.exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    up.send_signal(how)
    up.communicate(timeout=60)
    return up.returncode


def end_all(lab) -> None:
    if lab.processes():
        lab.target.delete(
            ResourceId(kind=Kind.WORKSPACE, workspace="lab", name="lab"), "lab", ACTOR
        )


@pytest.fixture
def bare(lab):
    only_the_workspace(lab, own_port())
    yield lab
    end_all(lab)


def test_an_interrupted_first_up_is_undone(bare):
    assert cut_short(bare, signal.SIGINT) == 130
    assert bare.processes() == []
    assert bare.target.workspaces() == ()
    said = "nothing in lab belongs to stack 'lab'\nno changes; 0 unchanged\n"
    assert bare.said("down", "-y") == (0, said)


def test_a_first_up_that_fails_after_supervisord_started_is_undone(bare):
    logs = bare.state / "workspaces" / "lab" / "logs"
    logs.parent.mkdir(parents=True)
    logs.touch()  # where the router's log is to lie
    code, _ = bare.said("up", "-y")
    assert code == 1
    assert bare.processes() == []
    assert bare.target.workspaces() == ()
    logs.unlink()
    assert bare.said("up", "-y")[0] == 0


def test_down_ends_what_a_killed_first_up_left(bare):
    assert cut_short(bare, signal.SIGKILL) == -9
    assert len(bare.processes()) > 0
    assert bare.target.workspaces() == ("lab",)
    code, text = bare.said("down", "-y")
    assert code == 0
    assert "- Workspace 'lab'" in text
    assert bare.processes() == []
    assert bare.target.workspaces() == ()
    assert list((bare.state / "workspaces").iterdir()) == []


def test_down_sees_a_supervisord_whose_workspace_was_never_written_down(bare):
    assert cut_short(bare, signal.SIGKILL) == -9
    (bare.state / "workspaces" / "lab" / "workspace.json").unlink()
    assert bare.target.workspaces() == ("lab",)
    assert bare.said("down", "-y")[0] == 0
    assert bare.processes() == []


def test_the_declared_port_beats_the_one_of_a_first_up_that_was_killed(bare):
    assert cut_short(bare, signal.SIGKILL) == -9
    another = own_port()
    only_the_workspace(bare, another)
    assert bare.said("up", "-y")[0] == 0
    seen = bare.observe(Kind.WORKSPACE, "lab")
    assert (seen.presence, seen.status) == (Presence.PRESENT, "router ready")
    assert seen.outputs["router_url"] == f"http://127.0.0.1:{another}"
    assert sum("supervisord.conf" in line for line in bare.processes()) == 1


def test_a_workspace_whose_own_record_alone_is_lost_keeps_what_it_serves(lab):
    lab.up()
    uri, pids = lab.uri, {p.pid for p in lab.supervisor.processes().values()}
    (lab.state / "workspaces" / "lab" / "records" / "Workspace.lab.json").unlink()
    lab.up()
    assert {p.pid for p in lab.supervisor.processes().values()} == pids
    assert lab.uri == uri
    assert json.loads(lab.score().text)["answer"] == "blue"
