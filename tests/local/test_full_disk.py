"""A full disk stops no look and no deletion."""

import subprocess

import pytest

pytestmark = pytest.mark.local


@pytest.fixture
def small(lab):
    """A lab whose state folder is on a small file system."""
    disk = lab.folder / "d"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    lab.use_state(disk / "s")
    yield lab
    for filler in disk.glob("filler*"):
        filler.unlink()
    lab.said("down", "-y")
    subprocess.run(["umount", "-l", str(disk)], check=True)


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
