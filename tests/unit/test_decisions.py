"""The log of decisions on a disk that is full, and what a reader makes of it."""

import json
import resource
import signal
from datetime import UTC, datetime

import pytest

from inference_provider.service.decisions import Decisions
from inference_provider.service.replay import changes

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def full_after():
    """Let no file of this process become larger, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_line_that_does_not_fit_is_left_out_whole(tmp_path, full_after):
    log = tmp_path / "service" / "decisions.jsonl"
    decisions = Decisions(log)
    decisions.note_end(NOON, "iris/blue", 2)
    size = log.stat().st_size
    full_after(size + 20)
    decisions.note_end(NOON, "iris/blue", 3)
    assert log.stat().st_size == size
    full_after(10_000)
    decisions.note_end(NOON, "iris/blue", 4)
    assert [json.loads(line)["wanted"] for line in log.read_text().splitlines()] == [2, 4]


def test_a_line_that_was_cut_short_is_followed_by_whole_ones(tmp_path):
    log = tmp_path / "decisions.jsonl"
    log.write_text('{"time": "2026-01-02T12:00:00+00:00", "deploym')
    Decisions(log).note_end(NOON, "iris/blue", 4)
    _, line = log.read_text().splitlines()
    assert json.loads(line)["wanted"] == 4
    assert changes(log.read_text().splitlines(), "iris/blue") == []


@pytest.mark.parametrize(
    "line", ["", "[]", "null", "{", '{"deployment": 3}', "\x00\x00", '"\\ud800']
)
def test_what_a_reader_cannot_read_is_skipped(line):
    assert changes([line], "iris/blue") == []
