"""supervisord gone or silent in the middle of a change: a sentence, or nobody notices."""

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import psutil
import pytest

from inference_provider.errors import InferenceError, TargetError, TargetUnreachable
from inference_provider.targets.local.supervisor import Supervisor
from inference_provider.targets.local.supervisor_text import Program
from tests.local.server.model import until
from tests.local.server.relay import Relay

pytestmark = pytest.mark.local

ADDING = ("reloadConfig", "addProcessGroup", "startProcess")
REMOVING = ("stopProcess", "getProcessInfo", "removeProcessGroup")


@pytest.fixture
def folder():
    made = Path(tempfile.mkdtemp(prefix="inf-"))
    yield made
    for note in (made / "supervisord.pid", *(made / "pids").glob("*")):
        pids = [int(word) for word in note.read_text().replace(",", " ").split() if word.isdigit()]
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if str(made) in " ".join([*process.cmdline(), process.cwd()]):
                    process.kill()
    shutil.rmtree(made, ignore_errors=True)  # what ends may still write there


@pytest.fixture
def supervisor(folder: Path) -> Supervisor:
    made = Supervisor(folder, answer_timeout_s=1)
    made.start()
    return made


def program(folder: Path) -> Program:
    return Program(name="a.b", argv=("sleep", "50"), directory=str(folder), log=f"{folder}/log")


def change(supervisor: Supervisor, folder: Path, method: str) -> None:
    if method in REMOVING:
        supervisor.remove("a.b")
    else:
        supervisor.add(program(folder))


@pytest.mark.parametrize("method", [*ADDING, *REMOVING])
def test_a_supervisord_killed_in_a_change_is_a_sentence(supervisor, folder, method):
    if method in REMOVING:
        supervisor.add(program(folder))
    with Relay(folder, method, "killed"), pytest.raises(TargetUnreachable) as fault:
        change(supervisor, folder, method)
    assert str(fault.value) == (
        "ask supervisord: it does not run; run this again: `inferctl up` and `start` start it"
    )
    supervisor.start()
    assert supervisor.is_running()


@pytest.mark.parametrize("method", [*ADDING, *REMOVING])
def test_a_supervisord_silent_in_a_change_is_a_sentence(supervisor, folder, method):
    if method in REMOVING:
        supervisor.add(program(folder))
    pid = (folder / "supervisord.pid").read_text().strip()
    with Relay(folder, method, "silent"), pytest.raises(TargetUnreachable) as fault:
        change(supervisor, folder, method)
    assert str(fault.value) == (
        f"ask supervisord (process {pid}): no answer within 1 s; look at"
        f" {folder}/supervisord.log, or end that process and run this again"
    )
    assert supervisor.is_running()


@pytest.mark.parametrize("method", [*ADDING, *REMOVING])
def test_half_an_answer_is_asked_for_again(supervisor, folder, method):
    if method in REMOVING:
        supervisor.add(program(folder))
    with Relay(folder, method, "cut") as relay:
        change(supervisor, folder, method)
    assert relay.calls.count(method) >= 2
    assert list(supervisor.processes()) == ([] if method in REMOVING else ["a.b"])


def test_answers_that_keep_breaking_are_a_sentence(supervisor, folder):
    with Relay(folder, "reloadConfig", "cut", times=2), pytest.raises(TargetUnreachable) as fault:
        supervisor.add(program(folder))
    assert "its answer was cut off: IncompleteRead; look at" in str(fault.value)


def test_a_refusal_of_supervisord_is_a_sentence(supervisor, folder):
    (folder / "programs" / "broken.conf").write_text("[program:broken]\ncommand=%(nobody)s\n")
    with pytest.raises(InferenceError, match=r"^ask supervisord: CANT_REREAD: "):
        supervisor.add(program(folder))


def test_a_log_folder_that_cannot_be_made_is_a_sentence(supervisor, folder):
    (folder / "logs").write_text("a file")
    broken = program(folder).model_copy(update={"log": f"{folder}/logs/a.b.log"})
    with pytest.raises(TargetError) as fault:
        supervisor.add(broken)
    assert str(fault.value) == f"write {folder}/logs: File exists"


def test_a_supervisord_that_dies_while_it_ends_its_programs_is_no_fault(supervisor, folder):
    supervisor.add(program(folder))
    until(lambda: supervisor.orphan("a.b"))
    with Relay(folder, "shutdown", "killed"):
        supervisor.shutdown()
    assert not supervisor.is_running()
    left = supervisor.orphan("a.b")
    assert left is not None
    os.kill(left.pid, signal.SIGKILL)
