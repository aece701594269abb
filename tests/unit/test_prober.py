"""Whom the prober asks, and that it ends nobody but the process that it means."""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.ports import own_port

from inference_provider.targets.local.liveness import Asked
from inference_provider.targets.local.pid_notes import note_of
from inference_provider.targets.local.prober import Documents, Prober, Processes, failure

FIRST_RELEASE = Path(__file__).parents[1] / "fixtures" / "first-release" / "state" / "workspaces"
NAME = "iris.blue.ab.0"


def write(folder: Path, name: str, value) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))


def recorded(folder: Path, start_s: int = 100, admitted=None, **probe) -> None:
    liveness = {"initial_delay": 3, "period": 7, "timeout": 2, "failure_threshold": 4, **probe}
    fields = {
        "liveness_probe": liveness,
        "readiness_probe": {"initial_delay": 20 if start_s else 0},
        "start_timeout_s": start_s,
        "request_settings": {"request_timeout_ms": 9000},
    }
    record = {"properties": fields, "admitted": admitted}
    write(folder / "records", "Deployment.iris%2Fblue", record)


def test_instances_are_asked_as_the_record_of_their_deployment_says_now(tmp_path: Path):
    instance = {"name": NAME, "port": 21003, "socket": True, "liveness_path": "/live"}
    older = {"name": "iris.blue.ab.1", "port": 21004}
    write(tmp_path / "instances", "iris%2Fblue", [instance, older])
    documents = Documents(tmp_path)
    assert documents.asked() == []  # it is being created
    recorded(tmp_path)
    expected = Asked(NAME, "iris/blue", 21003, True, "/live", 3, 7, 2, 4, 120, 14)
    assert documents.asked() == [expected]
    recorded(tmp_path, period=1)
    assert documents.asked() == [expected._replace(period=1)]
    for half in ("{", "[]", '{"properties": {}}', '{"properties": {"liveness_probe": 7}}'):
        write(tmp_path / "records", "Deployment.iris%2Fblue", half)
        assert documents.asked() == []


def test_what_a_rollout_starts_or_drains_is_not_asked_as_the_record_of_others_says(tmp_path: Path):
    names = [NAME, "iris.blue.cd.0"]
    instances = [{"name": name, "port": 21003, "liveness_path": "/live"} for name in names]
    write(tmp_path / "instances", "iris%2Fblue", instances)
    documents = Documents(tmp_path)
    for admitted in (names[:1], names[1:], names, []):
        recorded(tmp_path, admitted=admitted)
        assert [one.name for one in documents.asked()] == admitted
    recorded(tmp_path, admitted=None)  # of a release that did not note it
    assert [one.name for one in documents.asked()] == names


def test_instances_of_the_first_release_are_left_alone():
    [folder] = FIRST_RELEASE.iterdir()
    assert Documents(folder).asked() == []


@pytest.fixture
def process():
    mark = {**os.environ, "INFERENCE_INSTANCE": f"0123456789abcdef/{NAME}"}
    waits = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(waits, env=mark, stdin=pipe, stdout=pipe) as made:
        made.stdout.readline()
        yield made
        made.kill()


def test_only_the_process_with_the_instance_s_mark_is_ended(tmp_path: Path, process):
    processes = Processes(tmp_path)
    assert processes.find(NAME) is None
    for name in (NAME, "iris.blue.ab.1"):
        (tmp_path / name).write_text(json.dumps({"pid": process.pid, "time": 0}))
    assert processes.find(NAME) == process.pid
    assert processes.find("iris.blue.ab.1") is None  # its pid belongs to another now
    assert not processes.end("iris.blue.ab.1", process.pid, signal.SIGKILL)
    assert not processes.end(NAME, os.getpid(), signal.SIGKILL)
    assert process.poll() is None
    assert processes.end(NAME, process.pid, signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    assert not processes.end(NAME, process.pid, signal.SIGTERM)


def test_a_process_is_known_by_its_start_whatever_its_title_has_overwritten(tmp_path: Path):
    processes = Processes(tmp_path)
    with subprocess.Popen(["sleep", "60"], env={}) as bare:  # as gunicorn with setproctitle
        note = json.loads(note_of(bare.pid, 0))
        (tmp_path / NAME).write_text(json.dumps(note))
        assert processes.find(NAME) == bare.pid
        before = {**note, "start": note["start"] + "1"}
        (tmp_path / NAME).write_text(json.dumps(before))  # whose pid this process got
        assert processes.find(NAME) is None
        assert not processes.end(NAME, bare.pid, signal.SIGKILL)
        (tmp_path / NAME).write_text(json.dumps(note))
        assert processes.end(NAME, bare.pid, signal.SIGKILL)
        assert bare.wait(10) == -signal.SIGKILL
    assert processes.find(NAME) is None


@pytest.mark.parametrize("back", ["Started", "unlisted"])
def test_an_instance_that_was_told_to_stop_is_asked_no_more_until_it_starts_or_is_listed_anew(
    tmp_path: Path, process, back
):
    instance = {"name": NAME, "port": own_port(), "socket": False, "liveness_path": "/"}
    write(tmp_path / "instances", "iris%2Fblue", [instance])
    recorded(tmp_path, initial_delay=0, period=1, failure_threshold=1, start_s=0)
    (tmp_path / "supervisor" / "pids").mkdir(parents=True)
    note = json.dumps({"pid": process.pid, "time": 0})
    (tmp_path / "supervisor" / "pids" / NAME).write_text(note)
    told = queue.SimpleQueue()
    prober = Prober(tmp_path, lambda *event: told.put(event))
    prober.took(NAME, "Killing")
    prober.start()
    time.sleep(2.5)  # nobody listens: it would have been ended by now
    assert told.empty()
    if back == "Started":
        prober.took(NAME, "Started")
    else:
        recorded(tmp_path, admitted=[], initial_delay=0, period=1, failure_threshold=1, start_s=0)
        time.sleep(2)
        assert told.empty()
        recorded(tmp_path, initial_delay=0, period=1, failure_threshold=1, start_s=0)
    assert told.get(timeout=20)[:2] == (NAME, "LivenessProbeFailed")
    assert told.get(timeout=20)[:2] == (NAME, "Killing")
    assert process.wait(20) == -signal.SIGTERM
    assert prober.has_ended(NAME, process.pid)
    prober.stop()


def test_an_instance_of_which_a_question_went_wrong_is_asked_again(tmp_path: Path, process, capfd):
    instance = {"name": NAME, "port": own_port(), "socket": False, "liveness_path": "/"}
    write(tmp_path / "instances", "iris%2Fblue", [instance])
    recorded(tmp_path, initial_delay=0, period=1, failure_threshold=1, start_s=0)
    note = tmp_path / "supervisor" / "pids" / NAME
    note.parent.mkdir(parents=True)
    note.write_text('{"pid": Infinity}')
    told = queue.SimpleQueue()
    prober = Prober(tmp_path, lambda *event: told.put(event))
    prober.start()
    deadline = time.monotonic() + 20
    while "OverflowError" not in capfd.readouterr().err:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    note.write_text(note_of(process.pid, 0))
    assert told.get(timeout=20)[:2] == (NAME, "LivenessProbeFailed")
    prober.stop()


def test_why_a_route_did_not_answer_is_told(tmp_path: Path):
    nobody = failure(("127.0.0.1", own_port()), "/live", 1)
    assert nobody == "GET /live: [Errno 111] Connection refused"
    assert failure(str(tmp_path / "s"), "/", 1) == "GET /: [Errno 2] No such file or directory"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n"], ""),
        ([b"HTTP/1.0 39", b"9 Odd\r\n"], ""),
        ([b"HTTP/1.1 500 No\r\n"], "GET /live?a=b: status 500"),
        ([b"SSH-2.0-x\r\n"], "GET /live?a=b: no answer in HTTP"),
        ([b""], "GET /live?a=b: no answer in HTTP"),
        ([b"x"] * 40, "GET /live?a=b: no answer within 0.2 s"),
    ],
)
def test_an_answer_counts_by_its_status_and_however_slow_it_comes_its_time_is_over(
    tmp_path: Path, monkeypatch, parts, expected
):
    heard = []

    def answer(server):
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            heard.append(connection.recv(1000))
            for part in parts:
                connection.sendall(part)
                time.sleep(0.02)

    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # whose name may be too long for a socket
        server.bind("s")
        server.listen()
        answers = threading.Thread(target=answer, args=(server,))
        answers.start()
        assert failure("s", "/live?a=b", 0.2 if len(parts) > 2 else 10) == expected
        answers.join()
    asked = b"GET /live?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert heard == [asked]
