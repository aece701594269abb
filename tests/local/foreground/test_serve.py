"""One deployment in the foreground: it answers from its files as they are, and leaves nothing."""

import signal
import threading

import psutil
import pytest

from tests.local.server.model import until

pytestmark = pytest.mark.local

BLUE = ("--deployment", "iris/blue")


def test_it_answers_behind_the_router_and_ctrl_c_leaves_nothing(lab, serve):
    lab.write_model("of today")
    run = serve(*BLUE)
    run.wait_for("is ready")
    answer = run.score()
    assert answer.json()["answer"] == "blue"
    assert answer.json()["model"] == "of today"
    assert answer.json()["authorization"] is None
    assert answer.headers["azureml-model-deployment"] == "blue"
    assert answer.headers["x-request-id"]
    assert run.score(key="another").status_code == 401
    assert run.score(endpoint="others").status_code == 404
    family = run.family()
    run.send(signal.SIGINT)
    assert run.wait() == 0
    assert psutil.wait_procs(family, 10)[1] == []
    assert [*run.temporary.iterdir()] == []
    assert not (lab.state / "workspaces").exists()


def test_a_change_takes_over_and_fails_no_request(lab, serve):
    run = serve(*BLUE)
    run.wait_for("is ready")
    found, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            found.append(run.score(sleep_s=0.01))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        lab.write_code("blue", "another")
        run.wait_for("is ready", times=2)
        until(lambda: found[-1].json()["answer"] == "another")
    finally:
        stop.set()
        asking.join()
    assert "serve: code/blue/answer.txt and 1 more changed; starting again" in run.said()
    assert {one.status_code for one in found} == {200}
    assert [*dict.fromkeys(one.json()["answer"] for one in found)] == ["blue", "another"]


def test_a_change_that_does_not_start_leaves_the_version_before(lab, serve):
    run = serve(*BLUE)
    run.wait_for("is ready")
    lab.write_code("blue", "raise")
    run.wait_for("waiting for a change")
    assert "RuntimeError: the model is not there" in run.said()
    assert "its server ended before it was ready (exit 1); its output above says why" in run.said()
    assert "the version before still answers; waiting for a change" in run.said()
    assert run.score().json()["answer"] == "blue"
    lab.write_code("blue", "mended")
    run.wait_for("is ready", times=2)
    assert run.score().json()["answer"] == "mended"


def test_a_stack_file_with_a_fault_is_told_and_read_again(lab, serve):
    run = serve(*BLUE)
    run.wait_for("is ready")
    good = (lab.folder / "stack.yaml").read_text()
    (lab.folder / "stack.yaml").write_text(good + "colour: red\n")
    run.wait_for("waiting for a change")
    assert "colour: unknown field" in run.said()
    lab.document["deployments"][0]["environment_variables"] = {"GREETING": "hello"}
    lab.resources()
    run.wait_for("is ready", times=2)
    assert run.score().json()["greeting"] == "hello"


def test_a_server_that_ends_is_told_and_a_change_starts_it_again(lab, serve):
    run = serve(*BLUE)
    run.wait_for("is ready")
    psutil.Process(run.score().json()["pid"]).kill()
    run.wait_for("its server ended by itself (killed by SIGKILL); waiting for a change")
    assert run.score().status_code == 503
    lab.write_code("blue", "back")
    run.wait_for("is ready", times=2)
    assert run.score().json()["answer"] == "back"


def test_what_does_not_start_at_first_starts_with_a_change(lab, serve):
    lab.write_code("blue", "raise")
    run = serve(*BLUE)
    run.wait_for("nothing answers; waiting for a change")
    lab.write_code("blue", "mended")
    run.wait_for("is ready")
    assert run.score().json()["answer"] == "mended"


def test_without_reload_it_ends_where_it_cannot_go_on(lab, serve):
    lab.write_code("blue", "raise")
    run = serve(*BLUE, "--no-reload")
    assert run.wait() == 1
    assert "start Deployment 'lab/iris/blue': its server ended before it was ready" in run.said()
    lab.write_code("blue", "blue")
    other = serve(*BLUE, "--no-reload")
    other.wait_for("is ready")
    psutil.Process(other.score().json()["pid"]).kill()
    assert other.wait() == 1
    assert "its server ended by itself (killed by SIGKILL)" in other.said()


def test_what_it_started_ends_with_it_however_it_ends(serve):
    run = serve(*BLUE)
    run.wait_for("is ready")
    family = run.family()
    assert len(family) == 2
    run.send(signal.SIGKILL)
    run.wait()
    assert psutil.wait_procs(family, 20)[1] == []


def test_a_variable_of_the_command_line_wins(lab, serve):
    lab.document["deployments"][0]["environment_variables"] = {"GREETING": "of the file"}
    run = serve(*BLUE, "--env", "GREETING=of the command line")
    run.wait_for("is ready")
    assert run.score().json()["greeting"] == "of the command line"


def test_a_port_that_is_taken_is_told_before_anything_starts(lab, serve):
    first = serve(*BLUE)
    first.wait_for("is ready")
    code, said = lab.said("serve", *BLUE, "--port", str(first.port))
    assert code == 1
    assert f"port {first.port} cannot be listened on: Address already in use" in said
    assert "pass --port with another" in said


def test_a_temporary_folder_with_a_long_path_is_told(lab, monkeypatch, tmp_path):
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    lab.resources()
    code, said = lab.said("serve", *BLUE, "--port", "0")
    assert code == 1
    assert "its path is too long for a socket in it; set TMPDIR to a shorter one" in said
