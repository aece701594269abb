"""What this machine and its user allow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference_provider.errors import TargetError
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.machine import machine_lock, path_fault


def test_a_path_that_is_no_text_is_refused_and_can_be_printed():
    store = Folders(Path(os.fsdecode(b"/tmp/st\xff")), "lab")
    assert path_fault(store) == "the state folder's path is not UTF-8 text: /tmp/st\\xff"


def test_a_path_with_a_line_break_is_refused():
    store = Folders(Path("/tmp/s\nt"), "lab")
    assert path_fault(store) == "the state folder's path contains a line break: /tmp/s\\nt"


def test_a_sockets_path_is_measured_in_bytes():
    short, long = Path("/tmp/" + "ü" * 26), Path("/tmp/" + "ü" * 30)
    assert path_fault(Folders(short, "demo")) == ""
    assert path_fault(Folders(long, "demo")) == (
        "the state folder's path is too long: a socket of workspace 'demo'"
        f" would have a path of 99 bytes; the limit is 96: {long}"
    )


class Places:
    """The folders that the machine's lock may lie in, in the order in which they are tried."""

    def __init__(self, base: Path, monkeypatch) -> None:
        for name in ("run", "tmp", "home"):
            (base / name).mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(base / "run"))
        monkeypatch.setattr("tempfile.tempdir", str(base / "tmp"))
        monkeypatch.setenv("HOME", str(base / "home"))
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
        name = f"pulumi-inference-{os.getuid()}"
        self.run, self.tmp = base / "run" / name, base / "tmp" / name
        self.state = base / "home" / ".local" / "state" / "pulumi-inference"


@pytest.fixture
def places(tmp_path, monkeypatch):
    return Places(tmp_path, monkeypatch)


def lie_of(places: Places) -> list[str]:
    with machine_lock():
        pass
    tried = (places.run, places.tmp, places.state)
    return [str(folder) for folder in tried if (folder / "machine.lock").exists()]


def test_the_lock_lies_in_the_runtime_folder_of_mode_700(places):
    assert lie_of(places) == [str(places.run)]
    assert places.run.stat().st_mode & 0o777 == 0o700


def test_without_a_runtime_folder_the_lock_lies_in_the_temporary_one(places, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert lie_of(places) == [str(places.tmp)]


def _another_users(folder: Path) -> None:
    folder.mkdir()
    if os.getuid():
        pytest.skip("only root can give a folder away")
    os.chown(folder, 65534, 65534)


def _a_link(folder: Path) -> None:
    folder.symlink_to(folder.parent)


def _open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _a_file(folder: Path) -> None:
    folder.touch()


@pytest.mark.parametrize("made", [_another_users, _a_link, _open_to_all, _a_file])
def test_a_folder_that_is_not_ours_alone_is_passed_over(places, monkeypatch, made):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    made(places.tmp)
    assert lie_of(places) == [str(places.state)]


def test_where_none_is_ours_it_is_said_whose_they_are(places, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    _another_users(places.tmp)
    places.state.parent.mkdir(parents=True)
    _a_file(places.state)
    with pytest.raises(TargetError) as fault:
        lie_of(places)
    assert str(fault.value) == (
        f"lock this machine's ports and GPUs: '{places.tmp}' belongs to user 'nobody';"
        f" '{places.state}' is not a folder; set XDG_RUNTIME_DIR to a folder that is yours alone"
    )


FEW_FILES = """
import os, resource, sys
from inference_provider.targets.local.machine import open_files_fault
soft, hard = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
if os.getuid() == 0:
    os.seteuid(65534)  # root may raise the limit
print(open_files_fault())
"""


@pytest.mark.parametrize(
    ("soft", "hard", "fault"),
    [
        (
            256,
            256,
            "a process may open 256 files here (`ulimit -Hn`), and 1024 are needed",
        ),
        (256, 1024, ""),
        (1024, 4096, ""),
    ],
)
def test_a_limit_of_open_files_that_cannot_be_raised_is_a_sentence(soft, hard, fault):
    command = [sys.executable, "-c", FEW_FILES, str(soft), str(hard)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == (f"{fault}\n", "")


MORE_FILES = """
import resource, sys
from inference_provider.targets.envoy.process import raise_open_files
soft, hard = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
raise_open_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard"), [(256, 1024), (1024, 1024)])
def test_a_router_and_what_it_starts_may_open_as_many_files_as_it_may(soft, hard):
    command = [sys.executable, "-c", MORE_FILES, str(soft), str(hard)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("(1024, 1024)\n", "")
