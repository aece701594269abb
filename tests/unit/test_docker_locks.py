"""Which holder of a lock on a Docker host has certainly ended."""

import subprocess
import sys

import pytest

from inference_provider.targets.docker.locks import is_abandoned, this_process

MINE = this_process()._replace(
    machine="runner", boot="b1", numbered_by="pid:[1]", machine_id="4e1f", process="1"
)
ENDED = MINE._replace(started="1.0")


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
