"""Logs of instances: the last lines of each, then the new ones as they are finished."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from inference_provider.errors import TargetError
from inference_provider.targets.local.log_times import LogTimes
from inference_provider.targets.local.logs import last_lines, read_logs
from inference_provider.workspace.logged import LogQuery


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "iris.blue.abc.0.log"
    path.write_text("one\ntwo\nthree\n")
    return path


def read(log, **options) -> list[tuple[str, str]]:
    found = read_logs(log.parent, "iris/blue", LogQuery(**options))
    return [(one.instance, one.text) for one in found]


def test_the_last_lines_carry_the_name_of_their_instance(log):
    name = "iris.blue.abc.0"
    assert read(log, lines=2) == [(name, "two"), (name, "three")]
    (log.parent / "iris.blue.abc.1.log").write_text("other\n")
    assert read(log, lines=1, instance="iris.blue.abc.1") == [("iris.blue.abc.1", "other")]
    with pytest.raises(TargetError, match=r"there is no instance 'iris.blue.abc.2'"):
        read(log, instance="iris.blue.abc.2")


def test_lines_have_the_time_at_which_they_were_seen_first(tmp_path):
    folder = tmp_path / "logs" / "iris" / "blue"
    folder.mkdir(parents=True)
    log, beside = folder / "iris.blue.abc.0.log", folder / ".iris.blue.abc.0.log.times"
    times = LogTimes(tmp_path / "logs")
    log.write_text("one\n")
    times.note()
    with log.open("a") as file:
        file.write("two\nthree\n")
    times.note()
    times.note()
    noted = [line.split()[1] for line in beside.read_text().splitlines()]
    assert noted == ["4", "14"]
    beside.write_text("1000 4\n2000 14\n")
    found = read_logs(folder, "iris/blue", LogQuery())
    assert [(one.text, one.time) for one in found] == [
        ("one", datetime.fromtimestamp(1000, UTC)),
        ("two", datetime.fromtimestamp(2000, UTC)),
        ("three", datetime.fromtimestamp(2000, UTC)),
    ]
    since = datetime.fromtimestamp(1500, UTC)
    assert [text for _, text in read(log, since=since)] == ["two", "three"]
    assert [text for _, text in read(log, since=datetime.now(UTC) - timedelta(hours=1))] == []


def test_lines_of_older_files_of_a_log_are_found_with_their_times(tmp_path):
    folder = tmp_path / "logs" / "iris" / "blue"
    folder.mkdir(parents=True)
    log, times = folder / "iris.blue.abc.0.log", LogTimes(tmp_path / "logs")
    for number in range(1, 6):
        for i in (3, 2, 1):  # as supervisord rotates: it keeps three
            newer = log if i == 1 else log.with_name(f"{log.name}.{i - 1}")
            if newer.exists():
                newer.replace(log.with_name(f"{log.name}.{i}"))
        log.write_text(f"{number}\n{number}+\n")
        times.note()
    for i, path in enumerate((log, *(log.with_name(f"{log.name}.{i}") for i in (1, 2, 3)))):
        noted = path.with_name(f".{path.name}.times")
        assert noted.read_text().split()[1:] == ["5"]
        noted.write_text(f"{5000 - 1000 * i} 5\n")
    assert [text for _, text in read(log, lines=3)] == ["4+", "5", "5+"]
    every = ["2", "2+", "3", "3+", "4", "4+", "5", "5+"]
    assert [text for _, text in read(log, lines=100)] == every
    since = datetime.fromtimestamp(3500, UTC)
    assert [text for _, text in read(log, lines=100, since=since)] == every[4:]


def test_a_log_that_comes_back_under_the_name_of_one_that_was_gone_begins_anew(tmp_path):
    folder = tmp_path / "logs" / "iris" / "blue"
    folder.mkdir(parents=True)
    log, times = folder / "iris.blue.abc.0.log", LogTimes(tmp_path / "logs")
    other = folder / "iris.blue.abc.1.log"
    for one in (log, other):
        one.write_text("one\n")
    times.note()
    log.unlink()
    times.note()
    log.write_text("1\n")
    times.note()
    assert not log.with_name(f".{log.name}.1.times").exists()
    assert len(log.with_name(f".{log.name}.times").read_text().splitlines()) == 2
    assert len(other.with_name(f".{other.name}.times").read_text().splitlines()) == 1


def test_no_lines_are_none(log):
    assert read(log, lines=0) == []


def test_a_followed_line_comes_when_it_is_whole_and_once(log):
    found = read_logs(log.parent, "iris/blue", LogQuery(lines=1, follow=True))
    followed = (one.text for one in found)
    assert next(followed) == "three"
    with log.open("a") as file:
        file.write("four\nfi")
        file.flush()
        assert next(followed) == "four"
        file.write("ve\n")
    assert list(itertools.islice(followed, 1)) == ["five"]


def test_a_line_ends_at_a_line_feed_alone(log):
    odd = "a\x0cb\x1cc\x85d\u2028e\rf"
    found = read_logs(log.parent, "iris/blue", LogQuery(lines=1, follow=True))
    log.write_text(f"{odd}\n")
    followed = (one.text for one in found)
    assert next(followed) == odd
    with log.open("a") as file:
        file.write(f"{odd}\r\n\n")
    assert list(itertools.islice(followed, 2)) == [odd, ""]


def test_a_rotated_log_is_followed_from_its_start(log):
    found = read_logs(log.parent, "iris/blue", LogQuery(lines=1, follow=True))
    followed = (one.text for one in found)
    assert next(followed) == "three"
    log.write_text("new\n")
    assert next(followed) == "new"


def test_no_log_is_a_sentence(tmp_path):
    with pytest.raises(TargetError, match="read the logs of iris/blue: there are none"):
        list(read_logs(tmp_path, "iris/blue", LogQuery()))


def test_the_last_lines_of_a_large_log_are_its_last_lines(tmp_path):
    log = tmp_path / "big.log"
    log.write_text("x" * 150_000 + "\n" + "y\n" * 60_000 + "one\n\ntwo\n")
    assert last_lines(log, 3) == "y\none\ntwo"
    assert last_lines(tmp_path / "none.log", 3) == ""
