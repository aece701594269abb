"""File locks of the local target: who waits, who is refused, and what a lock leaves behind."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from inference_provider.errors import Busy, TargetError
from inference_provider.targets.local.locks import file_lock

HOLDER = """
import sys
from pathlib import Path
from inference_provider.targets.local.locks import file_lock
with file_lock(Path(sys.argv[1]), "records"):
    print("has it", flush=True)
    sys.stdin.readline()
"""


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_a_lock_keeps_another_process_out_until_it_ends(tmp_path):
    path = tmp_path / "records.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "has it\n"
        with pytest.raises(Busy) as refused, file_lock(path, "records", 0.2):
            pass
        other.send_signal(signal.SIGKILL)
    assert str(refused.value) == (
        "change records: another process has held records.lock for 0 s;"
        " wait for it to end, or end it, and run this again"
    )
    with file_lock(path, "records", 0):
        pass


def test_a_lock_keeps_another_thread_out_until_it_is_given_back(tmp_path):
    path, order = tmp_path / "records.lock", []

    def second():
        with file_lock(path, "records", 10):
            order.append("second")

    with file_lock(path, "records"):
        waits = threading.Thread(target=second)
        waits.start()
        time.sleep(0.2)
        order.append("first")
    waits.join(10)
    assert order == ["first", "second"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_lock_is_given_back_after_a_fault(tmp_path, fault):
    before = descriptors()
    with pytest.raises(fault), file_lock(tmp_path / "a.lock", "records"):
        raise fault
    assert descriptors() == before
    with file_lock(tmp_path / "a.lock", "records", 0):
        pass


def test_waiting_in_vain_and_an_interrupt_leave_no_file_open(tmp_path, monkeypatch):
    path = tmp_path / "a.lock"
    with file_lock(path, "records"):
        before = descriptors()
        with pytest.raises(Busy), file_lock(path, "records", 0):
            pass
        interrupt_here(monkeypatch)
        with pytest.raises(KeyboardInterrupt), file_lock(path, "records", 10):
            pass
        assert descriptors() == before


def interrupt_here(monkeypatch):
    """Have a wait of this thread interrupted, and none of another test's thread that still ends."""
    here, sleep = threading.current_thread(), time.sleep

    def interrupted(seconds):
        if threading.current_thread() is here:
            raise KeyboardInterrupt
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", interrupted)


def test_a_link_in_the_place_of_a_lock_is_refused(tmp_path):
    (tmp_path / "a.lock").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(TargetError, match="Too many levels of symbolic links"),
        file_lock(tmp_path / "a.lock", "records"),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_system_without_locks_is_an_error_of_ours(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = descriptors()
    with pytest.raises(TargetError) as told, file_lock(tmp_path / "a.lock", "records"):
        pass
    assert str(told.value) == f"write {tmp_path}/a.lock: No locks available"
    assert descriptors() == before
