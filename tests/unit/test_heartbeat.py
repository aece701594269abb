"""Loops of a workspace service: which one hangs, who says so, and what its look failed by."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inference_provider.service.collector_post import LIMITS
from inference_provider.service.own_ward import OwnWard
from inference_provider.targets.heartbeat import (
    Beat,
    Heart,
    Look,
    Looks,
    beat_file,
    last_beat,
    unwritable,
)
from inference_provider.targets.local.service_ward import ServiceWard

NOON, ONE = "2026-11-27T12:00:00Z", "2026-11-27T13:00:00Z"


def beat(age_s: float, **ages_s: float) -> Beat:
    """Return one whose loops looked so many seconds ago."""
    now_s = time.monotonic()
    loops = {name.replace("_", " "): Look(now_s - age, ONE) for name, age in ages_s.items()}
    return Beat(77, now_s - age_s, NOON, loops)


def hanging(found: Beat, after_s: float) -> str | None:
    late = found.hanging(after_s)
    return late[0] if late else None


def test_the_loop_that_has_not_looked_for_longest_hangs():
    assert hanging(beat(1, metrics=1, alerts=2), 30) is None
    assert hanging(beat(1, metrics=31, alerts=2), 30) == "metrics"
    assert hanging(beat(40, metrics=31, alerts=2), 30) == ""
    assert hanging(beat(1, metrics=31, alerts=50), 30) == "alerts"


def test_a_loop_that_may_wait_for_a_publication_has_longer():
    assert hanging(beat(1, rollouts=170, requests_that_wait=170), 30) is None
    assert hanging(beat(1, rollouts=181), 30) == "rollouts"


def test_a_loop_that_sends_logs_by_a_slow_line_does_not_hang():
    twice_s = 2 * LIMITS.whole_s  # a batch, and what finds out whether the collector takes others
    assert hanging(beat(1, logs=twice_s + 20), 30) is None
    assert hanging(beat(1, logs=181), 30) == "logs"


def test_each_loop_is_noted_with_why_its_last_look_failed(tmp_path: Path):
    file = beat_file(tmp_path)
    heart = Heart(file)
    heart.beat("alerts")
    heart.beat()
    heart.beat("rollouts", "RuntimeError:\n  boom " + "x" * 400)
    heart._next_s = 0
    heart.beat("logs")
    found = last_beat(file)
    assert found and (found.pid, [*found.loops]) == (os.getpid(), ["alerts", "rollouts", "logs"])
    assert found.loops["rollouts"].fault.startswith("RuntimeError: boom xxx")
    assert len(found.loops["rollouts"].fault) == 300
    assert found.loops["logs"].fault == ""
    heart.beat("rollouts")
    heart._next_s = 0
    heart.beat()
    found = last_beat(file)
    assert found and found.loops["rollouts"].fault == ""


def test_what_an_older_release_wrote_has_no_loops(tmp_path: Path):
    file = tmp_path / "heartbeat.json"
    file.write_text(json.dumps({"pid": 7, "at_s": 1.5, "time": NOON}))
    assert last_beat(file) == Beat(7, 1.5, NOON, {})


class Warded:
    """A service, and who looks after it."""

    def __init__(self, folder: Path, found: Beat) -> None:
        beat_file(folder).parent.mkdir()
        beat_file(folder).write_text(json.dumps(found._asdict()))
        self.ended: list[Any] = []
        self.told: list[tuple[str, ...]] = []
        self.ward = ServiceWard(folder, lambda *event: self.told.append(event), self.end)

    def end(self, *process: Any) -> bool:
        self.ended.append(process)
        return True


def test_a_service_of_which_one_loop_hangs_is_ended_and_that_loop_named(tmp_path: Path):
    warded = Warded(tmp_path, beat(1, rollouts=1, alerts=121))
    for _ in range(3):
        warded.ward.look()
    assert warded.ended == [("service", 77, signal.SIGKILL)]
    said = f"The workspace service has not looked at alerts since {ONE}, will be restarted"
    assert warded.told == [("service", "Killing", said)]


READ_ONLY = """
import sys
from pathlib import Path
from inference_provider.targets.heartbeat import unwritable
from inference_provider.targets.local.service_ward import ServiceWard
ended = []
ward = ServiceWard(Path(sys.argv[1]), print, lambda *one: ended.append(one))
for _ in range(9):
    ward.look()
print(ended, unwritable(Path(sys.argv[1]) / "service" / "heartbeat.json"))
"""


def test_a_service_on_a_disk_that_has_become_read_only_is_not_ended(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    Warded(disk, beat(500))
    mounted = f"mount --bind {disk} {disk} && mount -o remount,bind,ro {disk}"
    run = ("unshare", "-m", "sh", "-c", f'{mounted} && exec "$@"', "sh")
    if subprocess.run([*run, "true"], check=False, capture_output=True).returncode:
        pytest.skip("only who may mount can have a disk be read-only")
    asked = [*run, sys.executable, "-c", READ_ONLY, str(disk)]
    found = subprocess.run(asked, check=True, capture_output=True, text=True)
    assert found.stdout == "[] Read-only file system\n"
    file = beat_file(disk)
    said = f"nobody knows whether the service hangs: {file}: Read-only file system\n"
    assert found.stderr == said  # once


def test_a_file_that_is_not_there_yet_can_be_written(tmp_path: Path):
    assert unwritable(tmp_path / "heartbeat.json") == ""


def test_a_loop_is_noted_by_whoever_beats_and_no_beat_waits_for_another(tmp_path: Path):
    heart: Any = Heart(beat_file(tmp_path))
    heart._writing = SimpleNamespace(acquire=lambda blocking: False)
    heart.beat("logs")
    assert last_beat(beat_file(tmp_path)) is None


class Ended(Exception):
    pass


def end():
    raise Ended


def test_a_process_with_a_loop_that_hangs_ends_itself_and_says_why(capsys: Any):
    looks, told = Looks(), list[str]()
    looks.beat()
    looks.beat("metrics")
    ward = OwnWard(looks, told.append, end)
    for _ in range(4):
        ward.look()
    assert told == []
    last = looks._looks["metrics"]
    looks._looks["metrics"] = last._replace(at_s=last.at_s - 121, time=NOON)
    ward.look()
    ward.look()
    with pytest.raises(Ended):
        ward.look()
    said = f"The workspace service has not looked at metrics since {NOON}, will be restarted"
    assert (told, capsys.readouterr().err) == ([said], f"{said}\n")


def test_a_process_that_was_not_run_for_long_does_not_end_itself():
    looks = Looks()
    looks.beat()
    ward = OwnWard(looks, print, end)
    for _ in range(3):
        looks._looks[""] = looks._looks[""]._replace(at_s=time.monotonic() - 200)
        ward.look()
        ward.look()
        looks.beat()
        ward.look()
