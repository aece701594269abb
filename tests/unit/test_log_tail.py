"""Lines of logs after a kept position, whatever files they were set aside to."""

import os

import pytest

from inference_provider.targets.log_tail import LONGEST_BYTES, Position, new_lines


class Log:
    """A log and those that were set aside, and up to where they were read."""

    def __init__(self, folder):
        self.paths = [folder / "a.log", folder / "a.log.1", folder / "a.log.2"]
        self.known = None
        self.uids = []
        self.tail = None

    def write(self, text):
        with self.paths[0].open("ab") as file:
            file.write(text)

    def set_aside(self):
        for newer, older in ((1, 2), (0, 1)):
            if self.paths[newer].exists():
                self.paths[newer].replace(self.paths[older])

    def new(self, most_bytes=1 << 20, most_lines=1000):
        self.tail = new_lines(self.paths, self.known, most_bytes, most_lines)
        self.known = self.tail.position and Position.model_validate_json(
            self.tail.position.model_dump_json()
        )
        self.uids += [line.uid for line in self.tail.lines]
        return [line.text for line in self.tail.lines]


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path)


def test_a_log_that_is_not_there_has_no_lines(log):
    assert (log.new(), log.known, log.tail.left) == ([], None, 0)


def test_what_is_there_comes_first_and_then_what_is_new(log):
    log.write(b"one\ntwo\nthr")
    assert log.new() == [b"one", b"two"]
    assert log.tail.left == 3
    assert log.new() == []
    log.write(b"ee\nfour\n")
    assert log.new() == [b"three", b"four"]
    assert log.tail.left == 0


def test_no_line_is_missed_or_doubled_when_files_are_set_aside(log):
    log.write(b"one\n")
    assert log.new() == [b"one"]
    log.write(b"two\n")
    log.set_aside()
    log.write(b"three\n")
    log.set_aside()
    assert log.new() == [b"two", b"three"]
    log.write(b"four\n")
    assert log.new() == [b"four"]
    assert not log.tail.lost
    assert len({*log.uids}) == 4


def test_a_line_that_was_cut_short_is_told_once_its_file_is_over(log):
    log.write(b"one\ntw")
    assert log.new() == [b"one"]
    log.set_aside()
    assert log.new() == []  # the router writes on to it until it opens another
    log.write(b"three\n")
    assert log.new() == [b"tw", b"three"]


def test_lines_whose_file_is_gone_are_told_as_lost_and_the_others_come(log):
    log.write(b"one\n")
    assert log.new() == [b"one"]
    for text in (b"two\n", b"three\n", b"four\n", b"five\n"):
        log.write(text)
        log.set_aside()
    log.write(b"six\n")
    assert log.new() == [b"four", b"five", b"six"]
    assert log.tail.lost
    assert log.new() == []
    assert not log.tail.lost


def test_a_file_that_was_emptied_is_read_from_its_beginning(log):
    log.write(b"one\ntwo\n")
    assert log.new() == [b"one", b"two"]
    log.paths[0].write_bytes(b"a\n")
    assert log.new() == [b"a"]
    assert log.tail.lost


def test_files_that_were_read_before_one_that_was_emptied_do_not_come_again(log):
    for time_s, text in ((1, b"one\n"), (2, b"two\n"), (3, b"three\n")):
        log.set_aside()
        log.write(text)
        os.utime(log.paths[0], (time_s, time_s))
    assert log.new() == [b"one", b"two", b"three"]
    log.paths[0].write_bytes(b"a\n")  # as logrotate does with copytruncate
    assert log.new() == [b"a"]
    assert log.tail.lost


def test_files_that_wait_come_though_the_one_that_was_read_last_is_gone(log):
    for time_s, text in ((1, b"one\n"), (2, b"two\n"), (3, b"three\n")):
        log.set_aside()
        log.write(text)
        os.utime(log.paths[0], (time_s, time_s))
    assert log.new(most_lines=1) == [b"one"]
    for text in (b"four\n", b"five\n"):
        log.set_aside()
        log.write(text)
    assert log.new() == [b"three", b"four", b"five"]
    assert log.tail.lost


def test_a_position_of_an_older_release_has_all_come_that_is_there(log):
    log.write(b"one\n")
    log.set_aside()
    log.write(b"two\n")
    log.known = Position(inode=1, offset=4, head="")
    assert log.new() == [b"one", b"two"]


def test_another_file_of_the_same_number_and_length_is_not_taken_for_the_one_before(log):
    log.write(b"one\n")
    log.new()
    log.paths[0].write_bytes(b"two\n")  # the same number: it is written over
    assert log.new() == [b"two"]


def test_what_is_read_at_once_is_bounded_by_lines_and_by_bytes(log):
    log.write(b"".join(b"%d\n" % n for n in range(10)))
    assert log.new(most_lines=4) == [b"0", b"1", b"2", b"3"]
    log.set_aside()
    log.write(b"last\n")
    assert log.new(most_lines=6) == [b"4", b"5", b"6", b"7", b"8", b"9"]
    assert log.new(most_lines=6) == [b"last"]
    log.write((b"x" * 40_000 + b"\n") * 10)
    assert [len(text) for text in log.new(most_bytes=100_000)] == [40_000, 40_000]
    assert log.tail.left == 8 * 40_001


def test_a_line_without_end_comes_in_pieces(log):
    log.write(b"x" * (3 * LONGEST_BYTES + 5))
    assert [len(text) for text in log.new()] == [LONGEST_BYTES] * 3
    log.write(b"\n")
    assert log.new() == [b"xxxxx"]


def test_a_line_has_the_same_id_however_far_its_file_has_grown_meanwhile(log):
    log.write(b"one\n")
    log.new()
    log.write(b"two\n")
    log.set_aside()
    log.known = None
    log.new()
    assert log.uids[0] == log.uids[1] != log.uids[2]
