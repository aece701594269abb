"""Logs of instances: the last lines of each, then the new ones as they are finished."""

import itertools

import pytest

from inference_provider.errors import TargetError
from inference_provider.targets.local.logs import last_lines, read_logs


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "iris.blue.abc.0.log"
    path.write_text("one\ntwo\nthree\n")
    return path


def read(log, **options) -> list[str]:
    return list(read_logs(log.parent, "iris/blue", follow=False, **options))


def test_the_last_lines_carry_the_name_of_their_instance(log):
    assert read(log, lines=2) == ["iris.blue.abc.0: two", "iris.blue.abc.0: three"]


def test_no_lines_are_none(log):
    assert read(log, lines=0) == []


def test_a_followed_line_comes_when_it_is_whole_and_once(log):
    followed = read_logs(log.parent, "iris/blue", lines=1, follow=True)
    assert next(followed) == "iris.blue.abc.0: three"
    with log.open("a") as file:
        file.write("four\nfi")
        file.flush()
        assert next(followed) == "iris.blue.abc.0: four"
        file.write("ve\n")
    assert list(itertools.islice(followed, 1)) == ["iris.blue.abc.0: five"]


def test_a_rotated_log_is_followed_from_its_start(log):
    followed = read_logs(log.parent, "iris/blue", lines=1, follow=True)
    assert next(followed) == "iris.blue.abc.0: three"
    log.write_text("new\n")
    assert next(followed) == "iris.blue.abc.0: new"


def test_no_log_is_a_sentence(tmp_path):
    with pytest.raises(TargetError, match="read the logs of iris/blue: there are none"):
        list(read_logs(tmp_path, "iris/blue", lines=1, follow=False))


def test_the_last_lines_of_a_large_log_are_its_last_lines(tmp_path):
    log = tmp_path / "big.log"
    log.write_text("x" * 150_000 + "\n" + "y\n" * 60_000 + "one\n\ntwo\n")
    assert last_lines(log, 3) == "y\none\ntwo"
    assert last_lines(tmp_path / "none.log", 3) == ""
