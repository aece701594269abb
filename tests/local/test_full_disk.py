"""A full disk is told in a sentence, and stops no request, no look and no deletion."""

import contextlib
import subprocess

import pytest

from inference_provider.errors import OutOfCapacity
from tests.local.conftest import ACTOR
from tests.local.server.model import until

pytestmark = pytest.mark.local


@contextlib.contextmanager
def small_disk(lab, mib: int):
    """A small file system, which is emptied of fillers and of the lab in the end."""
    disk = lab.folder / "d"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    lab.use_state(disk / "s")
    try:
        yield disk
    finally:
        for filler in disk.glob("filler*"):
            filler.unlink()
        lab.said("down", "-y")
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def small(lab):
    """A lab whose state folder is on a small file system."""
    with small_disk(lab, 8):
        yield lab


def fill(lab) -> None:
    names = (f"filler{number}" for number in range(100))
    path = next(path for path in map(lab.state.with_name, names) if not path.exists())
    with path.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))


def test_down_works_on_a_full_disk_on_which_the_router_cannot_be_told(small):
    # so many that what is left of the router's files is larger than what a deletion frees
    small.document["endpoints"] += [{"name": f"more-{number:02}x"} for number in range(40)]
    small.up()
    fill(small)
    for look in ("status", "drift"):
        assert small.said(look)[0] == 0
    assert "serving blue" in small.said("logs", "iris/blue")[1]
    fill(small)
    code, text = small.said("down", "-y")
    assert (code, "error" in text) == (0, False)
    assert small.processes() == []
    assert small.target.workspaces() == ()


def test_down_works_on_a_full_disk_where_a_deployment_has_no_instance(small):
    rule = {"endpoint": "iris", "deployment": "blue", "min_instances": 0, "max_instances": 2}
    small.document["autoscale_rules"] = [{**rule, "scale_in": {"stabilization_s": 1}}]
    small.up()
    until(lambda: not small.instances().get("iris/blue"), 30)
    fill(small)
    code, text = small.said("down", "-y")
    assert (code, "error:" in text) == (0, False), text
    assert small.processes() == []


def test_stop_works_on_a_full_disk_and_start_is_a_sentence_or_works(small):
    small.up()
    fill(small)
    assert small.said("stop")[0] == 0
    assert small.processes() == []
    fill(small)
    code, text = small.said("start")
    assert code == 0 or "no space left under" in text
    assert small.said("down", "-y")[0] == 0
    assert small.processes() == []


def test_a_full_disk_is_a_sentence_and_the_old_goes_on_serving(lab):
    with small_disk(lab, 4) as disk:
        lab.up()
        (disk / "filler").write_bytes(bytes(3_000_000))
        fill(lab)
        lab.write_code("blue", "blue-2")
        with pytest.raises(OutOfCapacity) as fault:
            lab.up()
        assert "no space left under" in str(fault.value)
        with lab.target.hold(["lab"], ACTOR):  # a `down` that would free some is let in
            pass
        assert lab.score().json()["answer"] == "blue"
        (disk / "filler").unlink()
        lab.up()
        assert lab.score().json()["answer"] == "blue-2"
