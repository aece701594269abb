"""Logs that are too old go, where a workspace says for how many days they stay."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference_provider.targets.event_log import EventLog, log_of
from inference_provider.targets.local.log_age import LogAge, kept

DAY_S = 86_400
NOW_S = 1_800_000_000.0


class Lab:
    """A workspace's folder at a time that a test sets, in days."""

    def __init__(self, folder):
        self.folder = folder / "lab"
        (self.folder / "records").mkdir(parents=True)
        self.calls = self.folder / "router" / "access.log"
        self.log = self.folder / "logs" / "iris" / "blue" / "iris.blue.ab.0.log"
        self.events = log_of(self.folder)
        self.reopened = 0
        for file in (self.calls, self.log):
            file.parent.mkdir(parents=True)
        self.day = 0.0
        log = EventLog(self.events)
        self.age = LogAge(self.folder, log, self.calls, self.reopen, lambda: self.now_s)

    @property
    def now_s(self):
        return NOW_S + self.day * DAY_S

    def reopen(self):
        self.reopened += 1

    def keep(self, logs):
        record = {"properties": {"logs": logs}}
        (self.folder / "records" / "Workspace.lab.json").write_text(json.dumps(record))

    def write(self, text):
        """Write a line to each log, as a router, an event and an instance do."""
        at = datetime.fromtimestamp(self.now_s, UTC).isoformat()
        for file, line in (
            (self.calls, json.dumps({"ts": at, "text": text})),
            (self.events, json.dumps({"time": at, "text": text})),
            (self.log, text),
        ):
            with file.open("a") as opened:
                opened.write(line + "\n")
            os.utime(file, (self.now_s, self.now_s))
        with self.log.with_name(f".{self.log.name}.times").open("a") as times:
            times.write(f"{int(self.now_s)} {self.log.stat().st_size}\n")

    def kept(self, file):
        """Return the texts that are kept of a log, the oldest first."""
        parts = sorted(file.parent.glob(f"{file.name}*"), reverse=True)
        lines = [line for part in parts for line in part.read_text().splitlines()]
        return [json.loads(line)["text"] if line.startswith("{") else line for line in lines]

    def all_kept(self):
        calls, events, log = map(self.kept, (self.calls, self.events, self.log))
        assert calls == events == log
        return calls


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_no_line_gets_older_than_is_declared_and_each_gets_half_as_old(lab):
    lab.keep({"retention_days": 10})
    for day in range(60):
        lab.day = float(day)
        lab.age.look()
        times = lab.log.with_name(f".{lab.log.name}.times")
        if not lab.log.exists():  # as the log of times follows its log
            times.unlink(missing_ok=True)
        lab.write(str(day))
        kept = [int(text) for text in lab.all_kept()]
        assert kept == [*range(kept[0], day + 1)]
        assert kept[0] >= day - 10
        assert kept[0] <= max(0, day - 5)
    assert lab.reopened > 3


def test_a_log_that_nobody_writes_any_more_goes(lab):
    lab.keep({"retention_days": 10})
    lab.write("one")
    for day in (6, 11):
        lab.day = day
        lab.age.look()
    assert lab.all_kept() == []


@pytest.mark.parametrize(
    "logs", [None, {}, {"otlp_endpoint": "http://c"}, "odd", {"retention_days": "x"}]
)
def test_without_days_nothing_goes_for_its_age(lab, logs):
    lab.keep(logs)
    lab.write("one")
    lab.day = 5000
    lab.age.look()
    assert lab.all_kept() == ["one"]
    assert lab.reopened == 0


def test_a_folder_is_known_however_it_is_named(lab, monkeypatch):
    lab.keep({"retention_days": 7})
    monkeypatch.chdir(lab.folder / "logs")
    assert kept(Path("..")).days == 7


def test_a_record_that_is_not_there_says_nothing(tmp_path):
    assert kept(tmp_path / "lab").days == 0


def test_only_the_tables_that_are_named_lose_lines_for_their_age(lab):
    lab.keep({"retention_days": 10, "retention_of": ["traffic"]})
    lab.write("one")
    for day in (6, 12):
        lab.day = day
        lab.age.look()
    assert (lab.kept(lab.calls), lab.kept(lab.events), lab.kept(lab.log)) == ([], ["one"], ["one"])


def test_it_is_looked_at_every_five_minutes_also_after_a_clock_was_set_back(lab):
    lab.keep({"retention_days": 10})
    lab.write("one")
    lab.day = 20
    lab.age.look()  # sets it aside
    lab.day += 200 / DAY_S
    lab.age.look()
    assert lab.all_kept() == ["one"]
    lab.day += 101 / DAY_S
    lab.age.look()
    assert lab.all_kept() == []
    lab.day = 0
    lab.write("two")
    lab.day = 9
    lab.age.look()
    assert not lab.calls.exists()


@pytest.mark.parametrize("first", [b"", b"{", b"[]", b"7", b'{"ts": 7}', b"x" * 100_000])
def test_a_first_line_that_says_no_time_stops_nothing(lab, first):
    lab.keep({"retention_days": 10})
    for file in (lab.calls, lab.events, lab.log):
        file.write_bytes(first)
        os.utime(file, (NOW_S, NOW_S))
    lab.age.look()
    lab.day = 11
    lab.age.look()
    assert lab.calls.exists() == (not first)
