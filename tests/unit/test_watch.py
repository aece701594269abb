"""supervisord's events -> how often each program ended."""

import io
import json
from pathlib import Path

import pytest

from inference_provider.targets.local.watch import Watch, count_end, given, listen


def test_what_is_counted_is_bounded_and_the_total_stays():
    ends: dict = {}
    for minute in range(1000):
        count_end(ends, "iris.blue.ab.0", minute)
    assert ends["iris.blue.ab.0"]["total"] == 1000
    assert sorted(map(int, ends["iris.blue.ab.0"]["minutes"])) == list(range(700, 1000))


def spoken(watch: Watch, *events: tuple[str, str]) -> bytes:
    """Let a watch listen to events as supervisord sends them; return its answers."""
    stream = "".join(
        f"ver:3.0 server:supervisor serial:1 pool:watch poolserial:1 eventname:{name}"
        f" len:{len(payload)}\n{payload}"
        for name, payload in events
    )
    answers = io.BytesIO()
    listen(watch, io.BytesIO(stream.encode()), answers)
    return answers.getvalue()


def totals(file: Path) -> dict[str, int]:
    return {name: one["total"] for name, one in json.loads(file.read_text()).items()}


def exited(program: str) -> tuple[str, str]:
    payload = f"processname:{program} groupname:{program} from_state:RUNNING expected:0 pid:7"
    return "PROCESS_STATE_EXITED", payload


def test_each_end_is_counted_until_the_program_is_added_anew(tmp_path: Path):
    file = tmp_path / "ends.json"
    watch = Watch(file)
    quick = ("PROCESS_STATE_BACKOFF", "processname:a.b groupname:a.b from_state:STARTING tries:1")
    stopped = ("TICK_5", "when:5")
    answers = spoken(watch, exited("a.b"), quick, exited("c.d"), stopped)
    assert answers == b"READY\nRESULT 2\nOK" * 4 + b"READY\n"
    assert totals(file) == {"a.b": 2, "c.d": 1}
    spoken(Watch(file), exited("a.b"))  # the listener died
    assert totals(file)["a.b"] == 3
    spoken(watch, ("PROCESS_GROUP_REMOVED", "groupname:a.b\n"), exited("c.d"))
    assert totals(file) == {"c.d": 2}


def test_what_could_not_be_written_is_written_at_the_next_event(tmp_path: Path, capsys):
    file = tmp_path / "later" / "ends.json"
    watch = Watch(file)
    spoken(watch, exited("a.b"))
    assert "No such file" in capsys.readouterr().err
    file.parent.mkdir()
    spoken(watch, ("TICK_5", "when:5"))
    assert totals(file) == {"a.b": 1}


def test_on_a_full_disk_each_part_of_the_work_is_done_that_can_be(tmp_path: Path, capsys):
    done: list[tuple[str, ...]] = []

    def fails(*_event: str) -> None:
        raise OSError(28, "No space left on device")

    watch = Watch(
        tmp_path / "later" / "ends.json",
        (fails, lambda: done.append(("bound",))),
        fails,
        took=lambda *event: done.append(event),
    )
    running = ("PROCESS_STATE_RUNNING", "processname:a.b.c.0 groupname:g from_state:STARTING pid:7")
    spoken(watch, exited("a.b.c.0"), running, ("TICK_5", "when:5"))
    assert done == [("a.b.c.0", "ContainerCrash"), ("a.b.c.0", "Started"), ("bound",)]
    said = capsys.readouterr().err
    assert "No such file" in said  # the count was tried at each event, and the rest in vain too
    told = Watch(tmp_path / "later" / "ends.json", tell=lambda *event: done.append(event))
    spoken(told, exited("a.b.c.0"))
    assert done[-1] == ("a.b.c.0", "ContainerCrash", "Its process ended by itself")


def test_other_work_is_done_at_ticks_alone(tmp_path: Path):
    done: list[str] = []
    watch = Watch(tmp_path / "ends.json", [lambda: done.append("bound")])
    spoken(watch, exited("a.b"), exited("c.d"))
    assert done == []
    spoken(watch, ("TICK_5", "when:5"))
    assert done == ["bound"]


@pytest.mark.parametrize("more", [(), ("..",), ("..", "0.1.0")])
def test_an_older_release_s_arguments_are_enough(more):
    found = given(("ends.json", "../router/access.log", "7", *more))
    assert found == (Path("ends.json"), Path("../router/access.log"), 7, Path(".."))


def test_what_happens_to_a_program_is_told_and_an_end_as_hung_counts_with_its_reason(
    tmp_path: Path,
):
    told: list[tuple[str, str, str]] = []
    watch = Watch(
        tmp_path / "ends.json",
        (),
        lambda *event: told.append(event),
        lambda program, pid: (program, pid) == ("a.b.c.0", 7),
    )
    about = "groupname:g from_state:STARTING"
    spoken(
        watch,
        ("PROCESS_STATE_RUNNING", f"processname:a.b.c.0 {about} pid:7"),
        exited("a.b.c.0"),
        exited("a.b.c.1"),
        ("PROCESS_STATE_BACKOFF", f"processname:a.b.c.1 {about} tries:1"),
        ("PROCESS_STATE_STOPPING", f"processname:a.b.c.1 {about} pid:8"),
        ("PROCESS_STATE_RUNNING", f"processname:watch {about} pid:9"),
    )
    assert told == [
        ("a.b.c.0", "Started", "Started instance"),
        ("a.b.c.1", "ContainerCrash", "Its process ended by itself"),
        ("a.b.c.1", "BackOff", "Back-off restarting failed instance: it ended at once"),
        ("a.b.c.1", "Killing", "Stopping instance"),
    ]
    ends = json.loads((tmp_path / "ends.json").read_text())
    assert {name: one["why"] for name, one in ends.items()} == {
        "a.b.c.0": "LivenessProbeFailed",
        "a.b.c.1": "",
    }
