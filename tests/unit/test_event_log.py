"""Events of instances in a file of bounded size."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired

from inference_provider.targets.event_log import EventLog


def test_events_are_kept_in_order_and_the_oldest_go(tmp_path: Path):
    log = EventLog(tmp_path / "logs" / "events.jsonl", limit=2000)
    assert list(log.read()) == []
    for number in range(200):
        log.write("iris.blue.ab.0", "Started", f"start {number}")
    kept = [event["message"] for event in log.read()]
    assert kept == [f"start {n}" for n in range(200 - len(kept), 200)]
    assert 10 < len(kept) < 40
    sizes = [path.stat().st_size for path in (tmp_path / "logs").glob("events.jsonl*")]
    assert len(sizes) == 2
    assert max(sizes) < 2200


def test_events_of_several_threads_are_all_kept(tmp_path: Path):
    log = EventLog(tmp_path / "events.jsonl")
    begin = threading.Barrier(4)

    def write(thread: int) -> None:
        begin.wait()
        for number in range(200):
            log.write("iris.blue.ab.0", "Started", f"{thread} {number}")

    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that they meet in the middle of one
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(write, range(4)))
    finally:
        sys.setswitchinterval(before_s)
    kept = {event["message"] for event in log.read()}
    assert kept == {f"{thread} {number}" for thread in range(4) for number in range(200)}


WRITES = """
import sys
from pathlib import Path
from inference_provider.targets.event_log import EventLog
log = EventLog(Path(sys.argv[1]))
print(flush=True)
log.write("iris.blue.ab.0", "Started", "theirs")
"""


def test_a_process_waits_for_another_that_writes_an_event_or_sets_the_file_aside(tmp_path: Path):
    log = EventLog(tmp_path / "events.jsonl")
    log.write("iris.blue.ab.0", "Started", "one")
    found: list[str] = []

    def is_due() -> bool:
        assert other.stdout
        other.stdout.readline()
        with suppress(TimeoutExpired):
            other.wait(1)  # it never ends meanwhile
        found.extend(event["message"] for event in log.read())
        return True

    with Popen([sys.executable, "-c", WRITES, (tmp_path / "events.jsonl")], stdout=PIPE) as other:
        log.set_aside(is_due)
    assert found == ["one"]
    assert [event["message"] for event in log.read()] == ["one", "theirs"]
    assert (tmp_path / "events.jsonl").read_text().count("theirs") == 1


def test_a_file_that_another_process_has_set_aside_meanwhile_stays(tmp_path: Path):
    log = EventLog(tmp_path / "events.jsonl")
    log.write("iris.blue.ab.0", "Started", "one")
    log.set_aside(lambda: False)
    assert (tmp_path / "events.jsonl").exists()


def test_an_event_says_whose_it_is_and_half_a_line_is_left_out(tmp_path: Path):
    log = EventLog(tmp_path / "events.jsonl")
    log.write("iris.blue.ab.0", "Killing", "Stopping instance")
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"time": "2026')
    log.write("router", "Started", "Started instance")
    found = [(one["deployment"], one["instance"], one["name"]) for one in log.read()]
    assert found == [("iris/blue", "iris.blue.ab.0", "Killing"), ("", "router", "Started")]
