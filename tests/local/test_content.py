"""What a server does to its own files stays its own affair."""

import os
import signal
from pathlib import Path

import pytest

from inference_provider.observed import Kind
from tests.local.conftest import SERVER
from tests.local.server.model import until

pytestmark = pytest.mark.local

UNPACK = """
weights = Path(os.environ["AZUREML_MODEL_DIR"]) / "weights"
(weights / "unpacked.txt").write_text((weights / "w.txt").read_text())
(weights / "w.txt").unlink()
(Path(__file__).parent / "answer.txt").unlink()
"""


@pytest.fixture
def unpacking(lab):
    """A lab whose server, as it starts, unpacks its model and removes the archive."""
    lab.write_model("one")
    (lab.folder / "code" / "blue" / "serve.py").write_text(
        SERVER.read_text().replace("class Handler", f"{UNPACK}\n\nclass Handler", 1)
    )
    return lab


def kept(lab) -> list[Path]:
    return list((lab.state / "workspaces" / "lab" / "assets" / "models").rglob("w.txt"))


def pids(lab) -> dict[str, int]:
    return {name: process.pid for name, process in lab.supervisor.processes().items()}


def test_a_server_that_removes_its_files_scales_and_restarts_as_it_first_started(unpacking):
    lab = unpacking
    lab.up()
    assert lab.score().json()["model"] == "one"
    assert [file.read_text() for file in kept(lab)] == ["one"]
    lab.document["deployments"][0]["instance_count"] = 2
    assert lab.up() == ["update Deployment 'lab/iris/blue'"]
    [name, _] = sorted(name for name in pids(lab) if name.startswith("iris.blue"))
    before = pids(lab)[name]
    os.kill(before, signal.SIGKILL)
    until(lambda: pids(lab)[name] not in (0, before))
    until(lambda: lab.observe(Kind.DEPLOYMENT, "iris/blue").status.startswith("2 of 2"))
    assert lab.up() == []
    running = lab.state / "workspaces" / "lab" / "running"
    assert sorted(path.name for path in running.iterdir() if "blue" in path.name) == sorted(
        name for name in pids(lab) if name.startswith("iris.blue")
    )
    lab.document["deployments"][0]["instance_count"] = 1
    lab.up()
    assert len([path for path in running.iterdir() if "blue" in path.name]) == 1


def test_a_kept_model_that_was_changed_is_named_and_restored_and_nothing_restarts(lab):
    lab.write_model("one")
    lab.up()
    before = pids(lab)
    [file] = kept(lab)
    file.unlink()
    there = lab.observe(Kind.MODEL, "weights:1")
    assert there.degraded == "its kept content was changed: weights/w.txt is missing"
    assert lab.up() == ["update Model 'lab/weights:1'"]
    assert [file.read_text() for file in kept(lab)] == ["one"]
    assert (lab.up(), pids(lab)) == ([], before)


def test_a_restart_from_a_changed_model_says_why_and_an_up_mends_it(lab):
    lab.write_model("one")
    lab.up()
    [file] = kept(lab)
    file.chmod(0o600)
    file.write_text("two")
    [blue] = [name for name in pids(lab) if name.startswith("iris.blue")]
    os.kill(pids(lab)[blue], signal.SIGKILL)
    sentence = (
        "the kept model was changed: weights/w.txt has other content;"
        " run `inferctl up` to restore it"
    )
    until(lambda: sentence in lab.log())
    # between two starts the instance counts as starting, and supervisord's next start will do
    assert lab.up()[0] == "update Model 'lab/weights:1'"
    until(lambda: lab.score().status_code == 200)
    assert lab.score().json()["model"] == "one"


def test_what_an_earlier_release_kept_and_started_is_left_alone(lab):
    """It wrote no manifest, and its instances work in `assets/` itself."""
    lab.write_model("one")
    lab.up()
    before = pids(lab)
    for manifest in (lab.state / "workspaces" / "lab" / "assets").rglob(".*.json"):
        manifest.unlink()
    assert lab.up() == []
    lab.document["deployments"][0]["instance_count"] = 2
    assert lab.up() == ["update Deployment 'lab/iris/blue'"]
    assert {name: pid for name, pid in pids(lab).items() if name in before} == before
