"""What a program starts ends with it, and nobody else's."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inference_provider.errors import NotReady
from inference_provider.targets.local.supervisor import Supervisor
from inference_provider.targets.local.supervisor_text import Program
from tests.local.conftest import ACTOR, Load
from tests.local.server.model import until

pytestmark = pytest.mark.local

HELPERS = """
import os, subprocess, sys, time
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(950)"
started = [
    subprocess.Popen(["sleep", "950"]),
    subprocess.Popen(["sleep", "950"], start_new_session=True),
]
if "deaf" in sys.argv:
    command = [sys.executable, "-c", deaf]
    started.append(subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE))
    started[-1].stdout.readline()
with open(f"{sys.argv[1]}.tmp", "w") as file:
    file.write(" ".join(str(one.pid) for one in started))
os.rename(f"{sys.argv[1]}.tmp", sys.argv[1])
"""
"""Starts one helper in its own process group, one in a session of its own, and says which."""


@pytest.fixture
def folders() -> Iterator[list[Path]]:
    made = [Path(tempfile.mkdtemp(prefix="inf-")) for _ in range(2)]
    yield made
    for folder in made:
        Supervisor(folder).end_all()
        shutil.rmtree(folder)


def start(folder: Path, name: str, *arguments: str) -> list[int]:
    """Start a program that starts helpers; return those."""
    supervisor = Supervisor(folder)
    supervisor.start()
    (folder / "helpers.py").write_text(f"{HELPERS}time.sleep(950)")
    command = ("python3", "helpers.py", f"{name}.helpers", *arguments)
    log = str(folder / "log")
    supervisor.add(Program(name=name, argv=command, directory=str(folder), log=log))
    return written(folder / f"{name}.helpers")


def written(path: Path) -> list[int]:
    until(path.exists)
    return [int(pid) for pid in path.read_text().split()]


def alive(pids: list[int]) -> list[int]:
    def lives(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [pid for pid in pids if lives(pid)]


def test_a_removed_program_leaves_nothing_and_touches_nobody_elses(folders):
    mine, other = start(folders[0], "x.a", "deaf"), start(folders[0], "x.b")
    elsewhere = start(folders[1], "x.a")
    Supervisor(folders[0]).remove("x.a")
    assert alive(mine) == []
    assert alive(other) == other
    assert alive(elsewhere) == elsewhere


def test_a_supervisor_that_ends_leaves_nothing(folders):
    mine = start(folders[0], "x.a") + start(folders[0], "x.b")
    elsewhere = start(folders[1], "x.a")
    Supervisor(folders[0]).end_all()
    assert alive(mine) == []
    assert alive(elsewhere) == elsewhere


@pytest.mark.parametrize("first_too", [True, False], ids=["first killed too", "first lives"])
def test_what_a_killed_supervisord_left_ends_with_its_program(folders, first_too):
    mine, other = start(folders[0], "x.a"), start(folders[0], "x.b")
    supervisor = Supervisor(folders[0])
    first = supervisor.orphan("x.a")
    os.kill(int((folders[0] / "supervisord.pid").read_text()), signal.SIGKILL)
    until(lambda: not supervisor.is_running())
    if first_too:
        first.kill()
    supervisor.remove("x.a")
    assert alive([first.pid, *mine]) == []
    assert alive(other) == other
    supervisor.end_all()
    assert alive(other) == []


def test_a_program_that_crashed_starts_again_without_what_it_left(folders):
    before = start(folders[0], "x.a")
    (folders[0] / "x.a.helpers").unlink()
    Supervisor(folders[0]).orphan("x.a").kill()
    again = written(folders[0] / "x.a.helpers")
    assert alive(before) == []
    assert alive(again) == again


def test_a_process_that_has_another_users_name_is_not_ended(folders):
    if os.getuid() != 0:
        pytest.skip("another user's process can be started by root alone")
    helper = start(folders[0], "x.a")[1]
    forged = subprocess.Popen(["sleep", "20"], env=psutil.Process(helper).environ(), user=65534)
    time.sleep(0.2)
    try:
        Supervisor(folders[0]).end_all()
        assert forged.poll() is None
    finally:
        forged.kill()
        forged.wait()


def test_who_stops_a_workspace_from_within_an_instance_goes_on(folders):
    helper = start(folders[0], "x.a")[1]
    stop = "import sys, pathlib; from inference_provider.targets.local.supervisor import Supervisor"
    stop += "; Supervisor(pathlib.Path(sys.argv[1])).end_all(); print('stopped')"
    command = [sys.executable, "-c", stop, str(folders[0])]
    environment = psutil.Process(helper).environ()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "stopped\n", done.stderr
    assert alive([helper]) == []


def test_helpers_and_start_scripts_end_in_a_rollout_and_a_stop_and_no_request_fails(lab):
    (lab.folder / "code" / "blue" / "helpers.py").write_text(HELPERS)
    lab.document["environments"][0]["command"] = [
        "sh", "-c", f"python helpers.py {lab.folder}/helpers; python serve.py {{port}} & wait",
    ]  # fmt: skip
    del lab.document["deployments"][1]
    lab.document["traffic"][0]["traffic"] = {"blue": 100}
    lab.up()
    first = written(lab.folder / "helpers")
    with Load(lab) as load:
        load.wait_for(100)
        lab.write_code("blue", "blue-2")
        lab.up()
        load.wait_for(sum(load.results.values()) + 100)
    second = written(lab.folder / "helpers")
    assert load.failed == {}
    assert alive(first) == []
    assert alive(second) == second
    server = lab.score().json()["pid"]
    assert lab.score().json()["answer"] == "blue-2"
    lab.target.stop("lab", ACTOR)
    assert alive([*second, server]) == []


def test_what_a_failed_start_began_ends_with_it(lab):
    (lab.folder / "code" / "blue" / "helpers.py").write_text(HELPERS)
    lab.write_code("blue", "hang")
    lab.document["deployments"][0]["start_timeout_s"] = 2
    lab.document["environments"][0]["command"] = [
        "sh", "-c", f"python helpers.py {lab.folder}/helpers; exec python serve.py {{port}}",
    ]  # fmt: skip
    with pytest.raises(NotReady):
        lab.up()
    assert alive(written(lab.folder / "helpers")) == []
