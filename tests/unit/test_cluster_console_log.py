"""What one pod prints, read on from a place in what its kubelet hands on."""

import time
from collections.abc import Iterator

import pytest

from inference_provider.errors import TargetError
from inference_provider.targets.kubernetes.console_log import ConsoleLog, Room, Seen
from inference_provider.targets.kubernetes.printed import CaughtUp, lines_of, since
from inference_provider.targets.log_tail import LONGEST_BYTES, Position


def at(fraction: str, text: str) -> str:
    return f"2026-11-28T06:00:01.{fraction}Z {text}"


class Kubelet:
    """Has the log of a server, of each time that it was started."""

    def __init__(self, *runs: list[str]) -> None:
        self.runs = list(runs)
        self.asked: list[dict[str, str]] = []
        self.is_silent = False

    def __call__(self, asked) -> Iterator[str]:
        self.asked.append(dict(asked))
        if self.is_silent:
            raise TargetError("read", "the log", "the API server does not answer", "")
        if "previous" in asked and len(self.runs) < 2:
            raise TargetError("read", "the log", "previous terminated container not found", "")
        yield from self.runs[-2 if "previous" in asked else -1]


def texts(log: ConsoleLog, known: Position | None, wanted: int) -> tuple[list[str], Position]:
    """Return what comes after a position, once there is so much of it."""
    found: list[str] = []
    until_s = time.monotonic() + 10
    while len(found) < wanted and time.monotonic() < until_s:
        tail = log.tail(known, 2 * LONGEST_BYTES, 100)
        known = tail.position
        found += ["LOST"] * tail.lost + [line.text.decode() for line in tail.lines]
        time.sleep(0.01)
    assert known is not None
    return found, known


def begun(kubelet: Kubelet, run: int = 0, *, runs: bool = False) -> ConsoleLog:
    log = ConsoleLog("blue-1", "uid", kubelet, Room())
    log.look(Seen(run, runs))
    return log


def test_lines_are_read_once_and_another_reader_goes_on_behind_the_last_one():
    kubelet = Kubelet([at("000000001", "one"), at("000000002", "two")])
    found, place = texts(begun(kubelet), None, 2)
    assert found == ["one", "two"]
    kubelet.runs[-1].append(at("000000003", "three"))
    assert texts(begun(kubelet), place, 1)[0] == ["three"]
    assert kubelet.asked == [
        {"sinceTime": "", "timestamps": "true", "follow": "true"},
        {"sinceTime": "2026-11-28T06:00:01Z", "timestamps": "true", "follow": "true"},
    ]


def test_a_line_that_another_stream_wrote_a_hair_before_is_not_left_out():
    kubelet = Kubelet([at("000000005", "out"), at("000000004", "error"), at("000000006", "on")])
    log = begun(kubelet)
    tail = log.tail(None, 2 * LONGEST_BYTES, 1)
    while not tail.lines:
        tail = log.tail(None, 2 * LONGEST_BYTES, 1)
    assert [one.text for one in tail.lines] == [b"out"]
    assert texts(begun(kubelet), tail.position, 2)[0] == ["error", "on"]


def test_the_last_lines_of_a_server_that_ended_come_before_those_of_the_next():
    first, second = [at("1", "one"), at("2", "dies")], [at("5", "begins")]
    _, place = texts(begun(Kubelet(first[:1])), None, 1)
    found, _ = texts(begun(Kubelet(first, second), run=1), place, 2)
    assert found == ["dies", "begins"]
    assert texts(begun(Kubelet(first, second), run=1), None, 3)[0] == ["one", "dies", "begins"]


def test_a_place_that_is_gone_is_told_before_what_is_left():
    _, place = texts(begun(Kubelet([at("1", "one")])), None, 1)
    assert texts(begun(Kubelet([at("5", "six")])), place, 2)[0] == ["LOST", "six"]


def test_what_was_not_taken_comes_again():
    log = begun(Kubelet([at("1", "one"), at("2", "two")]))
    first = log.tail(None, 2 * LONGEST_BYTES, 100)
    while len(first.lines) < 2:
        first = log.tail(None, 2 * LONGEST_BYTES, 100)
    again = log.tail(None, 2 * LONGEST_BYTES, 100)
    assert [line.text for line in again.lines] == [b"one", b"two"]
    assert again == first
    assert log.tail(first.position, 2 * LONGEST_BYTES, 100).lines == []


def test_a_pod_that_goes_unread_has_lost_lines():
    kubelet = Kubelet([])
    kubelet.is_silent = True
    log = begun(kubelet, runs=True)
    with pytest.raises(TargetError, match="does not answer"):
        texts(log, None, 1)
    log.look(Seen(0, runs=True, is_gone=True))
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s:
        try:
            tail = log.tail(None, 2 * LONGEST_BYTES, 100)
        except TargetError:
            time.sleep(0.05)
            continue
        break
    assert tail.lost
    assert not log.is_read
    log.tail(tail.position, 2 * LONGEST_BYTES, 100)
    assert log.is_read


def test_a_pod_that_goes_after_its_last_line_has_lost_none():
    kubelet = Kubelet([at("1", "one")])
    log = begun(kubelet, runs=True)
    _, place = texts(log, None, 1)
    kubelet.is_silent = True  # it is not there any more
    until_s = time.monotonic() + 10
    while len(kubelet.asked) < 2 and time.monotonic() < until_s:
        time.sleep(0.05)
    log.look(Seen(0, runs=True, is_gone=True))
    while not log.is_read and time.monotonic() < until_s:
        time.sleep(0.05)
    assert log.tail(place, 2 * LONGEST_BYTES, 100) == ([], place, place, 0, False)
    assert log.is_read


def test_what_nobody_takes_fills_no_more_than_its_room():
    lines = [at(f"{number:09}", "x" * 1000) for number in range(5000)]
    log = ConsoleLog("blue-1", "uid", Kubelet(lines), room := Room(500_000))
    log.look(Seen(0))
    log.tail(None, 2 * LONGEST_BYTES, 100)
    time.sleep(0.5)
    assert room._left < 1500
    found, known, until_s = 0, None, time.monotonic() + 20
    while found < 5000 and time.monotonic() < until_s:
        tail = log.tail(known, 2 * LONGEST_BYTES, 1000)
        known, found = tail.position, found + len(tail.lines)
    log.tail(known, 2 * LONGEST_BYTES, 1000)
    assert (found, room._left) == (5000, 500_000)


@pytest.mark.parametrize(
    ("said", "time_ns"),
    [
        ("1970-01-01T00:00:01Z a", 1_000_000_000),
        ("1970-01-01T01:00:01.5+01:00 a", 1_500_000_000),
        ("1970-01-01T00:00:01.000000001Z a", 1_000_000_001),
    ],
)
def test_times_are_read_to_the_nanosecond_in_any_zone(said, time_ns):
    [one] = lines_of(said, 0)
    assert (one.text, one.time_ns) == (b"a", time_ns)


def test_what_has_no_time_is_no_line_and_a_long_line_comes_in_pieces():
    assert [*lines_of("unable to retrieve container logs for containerd://ab", 0)] == []
    pieces = [*lines_of(f"1970-01-01T00:00:01Z {'x' * (LONGEST_BYTES + 1)}", 0)]
    assert [len(one.text) for one in pieces] == [65536, 1]
    assert [one.text for one in lines_of("1970-01-01T00:00:01Z ", 0)] == [b""]


def test_a_log_is_asked_for_from_a_whole_second_on():
    assert since(None) == ""
    assert since(Position(inode=0, offset=1_999_999_999, head="")) == "1970-01-01T00:00:01Z"


def test_what_ends_before_its_place_is_found_says_nothing_where_nothing_is_new():
    caught = CaughtUp(Position(inode=0, offset=5, head="gone"))
    assert caught.rest() == []
