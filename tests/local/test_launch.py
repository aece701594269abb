"""How a program starts: its content laid out, and what an earlier start left ended."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from inference_provider.targets.local import content, launch, leftovers, pid_notes


def test_a_restart_ends_the_children_that_a_killed_program_left(tmp_path):
    order = tmp_path / "order.json"
    order.write_text(
        json.dumps(
            {
                "argv": ["sh", "-c", "sleep 60 & echo $! > child; wait"],
                "environment": {"PATH": os.environ["PATH"]},
                "directory": str(tmp_path),
                "pid_file": str(tmp_path / "pid"),
            }
        )
    )
    command = [sys.executable, launch.__file__, str(order)]

    def start() -> tuple[subprocess.Popen, psutil.Process]:
        (tmp_path / "child").unlink(missing_ok=True)
        leader = subprocess.Popen(command, start_new_session=True)
        deadline = time.monotonic() + 10
        while not (tmp_path / "child").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        return leader, psutil.Process(int((tmp_path / "child").read_text()))

    leader, child = start()
    leader.kill()
    leader.wait()
    assert child.is_running()
    second, second_child = start()
    try:
        gone, _ = psutil.wait_procs([child], timeout=5)
        assert gone == [child]
        assert second_child.is_running()
        assert pid_notes.means(json.loads((tmp_path / "pid").read_text()), second.pid)
    finally:
        os.killpg(second.pid, signal.SIGKILL)
        second.wait()


def test_a_note_that_a_power_cut_left_empty_stops_no_start(tmp_path):
    order = {
        "argv": ["sh", "-c", "echo started > out"],
        "environment": {"PATH": os.environ["PATH"]},
        "directory": str(tmp_path),
        "pid_file": str(tmp_path / "pid"),
    }
    (tmp_path / "order.json").write_text(json.dumps(order))
    (tmp_path / "pid").write_text("")
    subprocess.run([sys.executable, launch.__file__, str(tmp_path / "order.json")], check=True)
    assert (tmp_path / "out").read_text() == "started\n"


def test_a_note_from_before_the_machine_started_ends_nobody(tmp_path):
    """After a reboot the pid in it may be the group of anything that this user runs."""
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!"], start_new_session=True, stdout=subprocess.PIPE
    )
    child = psutil.Process(int(leader.stdout.readline()))
    leader.wait(5)
    leader.stdout.close()
    note = tmp_path / "pid"
    try:
        note.write_text(json.dumps({"pid": leader.pid, "time": psutil.boot_time() - 1}))
        leftovers.end_leftovers([note], ())
        time.sleep(0.3)
        assert child.status() == psutil.STATUS_SLEEPING  # a killed one may be a zombie for a while
        note.write_text(json.dumps({"pid": leader.pid, "time": time.time()}))
        leftovers.end_leftovers([note], ())
        gone, _ = psutil.wait_procs([child], timeout=5)
        assert gone == [child]
    finally:
        if child.is_running():
            child.kill()


def kept_order(tmp_path, program: str) -> tuple[Path, Path]:
    """Write an order with a kept file; return the kept place and the order."""
    place = tmp_path / "kept"
    place.mkdir()
    (place / "w.txt").write_text("w=1")
    content.write_manifest(place, place, {"w.txt": hashlib.sha256(b"w=1").hexdigest()})
    tree = tmp_path / "running" / "model"
    order = {
        "argv": ["sh", "-c", program],
        "environment": {"PATH": os.environ["PATH"]},
        "directory": str(tree),
        "content": {str(tree): str(place)},
        "pid_file": str(tmp_path / "pid"),
    }
    (tmp_path / "order.json").write_text(json.dumps(order))
    return place, tmp_path / "order.json"


def test_each_start_finds_its_content_as_the_first_did(tmp_path):
    _, order = kept_order(tmp_path, "ls; cat w.txt; rm w.txt; echo > unpacked.txt")
    said = [
        subprocess.run(
            [sys.executable, launch.__file__, str(order)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(2)
    ]
    assert said == ["w.txt\nw=1", "w.txt\nw=1"]


def test_a_start_from_changed_content_ends_with_a_sentence_that_says_what_to_do(tmp_path):
    place, order = kept_order(tmp_path, "echo started")
    (place / "w.txt").unlink()
    done = subprocess.run(
        [sys.executable, "-P", launch.__file__, str(order)],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "the kept model was changed: w.txt is missing; run `inferctl up` to restore it\n"
    )
