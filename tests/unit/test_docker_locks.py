"""Which holder of a lock on a Docker host has certainly ended."""

import os
import subprocess
import sys

import psutil
import pytest

from inference_provider.targets.docker import locks
from inference_provider.targets.docker.locks import is_abandoned, this_process

MINE = this_process()._replace(
    machine="runner", boot="b1", numbered_by="pid:[4026531836]", machine_id="4e1f", process="1"
)
ENDED = MINE._replace(ticks="1")


def test_this_process_has_not_ended():
    assert not is_abandoned(str(this_process()), this_process())


def test_a_process_that_was_killed_has_ended():
    code = "from inference_provider.targets.docker.locks import this_process; print(this_process())"
    held = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert is_abandoned(held.stdout.strip(), this_process())


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        pytest.param(ENDED, True, id="another process has its number now"),
        pytest.param(ENDED._replace(machine="other"), True, id="the machine was renamed"),
        pytest.param(ENDED._replace(boot="b0"), True, id="the machine was started again"),
        pytest.param(
            ENDED._replace(boot="b0", machine_id="77aa"), False, id="another of the same name"
        ),
        pytest.param(
            ENDED._replace(boot="b0", machine="other"), False, id="a clone of another name"
        ),
        pytest.param(
            ENDED._replace(numbered_by="pid:[2]"), False, id="another container of this machine"
        ),
        pytest.param(
            ENDED._replace(boot="b0", numbered_by="pid:[2]"), False, id="a container like it"
        ),
        pytest.param(MINE._replace(process="x"), False, id="no number"),
        pytest.param(MINE._replace(process="9" * 30), False, id="no number of a process"),
    ],
)
def test_a_holder_has_ended_only_where_its_number_means_the_same(held, expected):
    assert is_abandoned(str(held), MINE) is expected


def test_after_a_restart_a_machine_without_an_id_is_not_known_again():
    mine = MINE._replace(machine_id="-")
    assert not is_abandoned(str(mine._replace(boot="b0")), mine)


@pytest.mark.parametrize("held", ["", "runner b1 4711 1.0", "no holder at all"])
def test_a_label_that_is_not_ours_is_left_alone(held):
    assert not is_abandoned(held, MINE)


def test_two_containers_of_one_image_are_not_one_machine_that_was_started_again():
    mine = MINE._replace(numbered_by="pid:[4026532301]")
    assert not is_abandoned(str(mine._replace(boot="b0")), mine)


def test_a_process_that_is_hidden_from_this_user_has_not_ended(monkeypatch):
    def hidden(*given):
        raise psutil.NoSuchProcess(1)

    def refused(number, signal):
        raise PermissionError

    monkeypatch.setattr(psutil, "Process", hidden)
    monkeypatch.setattr(os, "kill", refused)
    monkeypatch.setattr(locks, "_ticks", lambda process: "7" if process == "self" else "-")
    assert not is_abandoned(str(MINE._replace(process="4711", ticks="5")), MINE)


def test_a_clock_that_is_set_ends_no_process(monkeypatch):
    held = str(this_process())
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 1.0)
    assert not is_abandoned(held, this_process())


def test_a_process_that_an_older_release_noted_has_ended_only_when_its_number_is_free(monkeypatch):
    running = str(this_process()._replace(started="1.0")).rpartition(" ")[0]
    assert not is_abandoned(running, this_process())

    def gone(number, signal):
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone)
    assert is_abandoned(running, this_process())


def test_older_releases_judge_no_process_that_this_one_notes():
    assert len(str(this_process()).split(" ")) == 7
