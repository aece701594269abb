"""The command that gives a cluster to another, where it starts none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "with_cluster.sh"


@pytest.fixture
def run(tmp_path):
    """Run it where what a cluster takes is missing; return how it ended, and what it said."""
    for program in ("bash", "dirname", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program))
    kept = {name: value for name, value in os.environ.items() if "KUBECONFIG" not in name}

    def run(*arguments, **environment):
        done = subprocess.run(
            [SCRIPT, *arguments],
            env={**kept, "PATH": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_a_command_runs_also_where_no_cluster_starts(run):
    status, said, reason = run("sh", "-c", "echo ran${KUBECONFIG:+ with one}; exit 7")
    assert (status, said) == (7, "ran\n")
    assert reason.startswith("with_cluster.sh: starting a cluster takes ")
    assert reason.count("\n") == 1


def test_a_command_gets_the_cluster_that_the_user_names(run):
    command = "echo $KUBECONFIG $INFERENCE_TEST_KUBECONFIG"
    done = run("sh", "-c", command, INFERENCE_TEST_KUBECONFIG="/theirs")
    assert done == (0, "/theirs /theirs\n", "")


def test_no_cluster_stays_up_where_none_starts(run):
    status, said, reason = run("--up")
    assert (status, said) == (1, "")
    assert reason.startswith("with_cluster.sh: starting a cluster takes ")


def test_a_command_that_does_not_exist_is_named(run):
    status, _, reason = run("no-such-program", INFERENCE_TEST_KUBECONFIG="/theirs")
    assert status == 127
    assert reason == "with_cluster.sh: cannot run no-such-program: No such file or directory\n"


def test_without_a_command_it_says_how_it_is_called(run):
    status, _, reason = run()
    assert status == 2
    assert "with_cluster.sh COMMAND" in reason
