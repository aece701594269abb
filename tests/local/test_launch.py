"""What becomes of a program's children when it is killed."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil

from inference_provider.targets.local import launch


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
        launch.end_leftovers(note)
        time.sleep(0.3)
        assert child.status() == psutil.STATUS_SLEEPING  # a killed one may be a zombie for a while
        note.write_text(json.dumps({"pid": leader.pid, "time": time.time()}))
        launch.end_leftovers(note)
        gone, _ = psutil.wait_procs([child], timeout=5)
        assert gone == [child]
    finally:
        if child.is_running():
            child.kill()
