"""A state folder may be called anything that is text."""

import os
import stat
import time

import pytest

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.local.supervisor_text import LISTENER
from tests.local.conftest import ACTOR

pytestmark = pytest.mark.local


@pytest.mark.parametrize("name", ["s %d [x]*", "s #y ;z", "s 'q\"ü"])
def test_a_state_folder_of_any_name_serves_changes_starts_again_and_goes(lab, name):
    lab.use_state(lab.folder / name)
    lab.up()
    lab.write_code("blue", "blue-2")
    lab.up()
    lab.target.stop("lab", ACTOR)
    lab.target.start("lab", ACTOR)
    assert lab.score().json()["answer"] == "blue-2"
    blue = ResourceId(kind=Kind.DEPLOYMENT, workspace="lab", name="iris/blue")
    assert "serving blue-2" in "".join(one.text for one in lab.target.logs(blue))
    deadline = time.monotonic() + 5
    while lab.supervisor.process(LISTENER).state != "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lab.supervisor.process(LISTENER).state == "RUNNING"
    lab.down()
    assert list((lab.state / "workspaces").iterdir()) == []


def test_a_state_folder_whose_name_is_no_text_is_refused_before_anything_is_started(lab):
    lab.use_state(lab.folder / os.fsdecode(b"s\xff"))
    with pytest.raises(TargetError, match="the state folder's path is not UTF-8 text"):
        lab.up()
    assert [p for p in lab.state.rglob("*") if stat.S_ISSOCK(p.lstat().st_mode)] == []
    assert lab.target.workspaces() == ()
