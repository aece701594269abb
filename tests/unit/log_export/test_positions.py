"""How far each log was sent: in order, over restarts, and beside logs that grow."""

from datetime import UTC, datetime

import pytest
from tests.collector import named
from tests.unit.log_export.lab import CALLS, CONSOLE

from inference_provider.targets.sent_logs import SentLogs, described, read


def test_a_process_that_is_started_again_goes_on_where_the_one_before_has_stopped(lab, collector):
    lab.prints(b"one")
    lab.look()
    lab.begin()
    lab.prints(b"two")
    lab.look()
    assert collector.bodies() == ["one", "two"]


def test_lines_that_were_sent_and_not_noted_are_sent_again_with_the_same_ids(lab, collector):
    lab.prints(b"one", b"two")
    lab.look()
    lab.folders.sent_logs.unlink()
    lab.begin()
    lab.look()
    assert collector.bodies() == ["one", "two", "one", "two"]
    uids = [named(one.attributes)["log.record.uid"] for one in collector.logs]
    assert uids[:2] == uids[2:]
    assert uids[0] != uids[1]


def test_a_log_that_grows_holds_up_no_other(lab, collector):
    lab.prints(*(b"x" * 1000 for _ in range(5000)))
    lab.call()
    lab.look(3)
    assert len(collector.bodies(CALLS)) == 1
    assert len(collector.bodies(CONSOLE)) < 1000


def test_all_of_a_log_comes_in_order_in_batches(lab, collector):
    lab.prints(*(b"%d" % n for n in range(5000)))
    while lab.look() != 1.0:
        pass
    assert collector.bodies() == [str(n) for n in range(5000)]
    assert len(collector.paths) >= 3


def test_a_log_that_cannot_be_read_is_told_once_and_holds_up_no_other(lab, collector, capfd):
    (lab.log.parent / "other.log").mkdir()  # a folder in its place
    lab.prints(b"one")
    lab.look(2)
    assert collector.bodies() == ["one"]
    assert capfd.readouterr().err.splitlines() == [
        "logs/iris/blue/other.log is not sent: [Errno 21] Is a directory:"
        f" '{lab.log.parent / 'other.log'}'"
    ]


def test_a_line_that_has_no_end_yet_is_waited_for_without_haste(lab, collector):
    lab.prints(b"one")
    with lab.log.open("ab") as file:
        file.write(b"tw")
    assert lab.look(2) == 1.0
    lab.prints(b"o")
    lab.look()
    assert collector.bodies() == ["one", "two"]


def test_nothing_is_sent_or_written_where_nothing_is_declared(lab, collector):
    lab.settings = None
    lab.prints(b"one")
    lab.look()
    assert (collector.paths, lab.folders.sent_logs.exists()) == ([], False)


def test_a_folder_of_notes_that_cannot_be_written_stops_no_line(lab, collector, capfd):
    lab.folders.sent_logs.parent.write_text("no folder")
    lab.prints(b"one")
    lab.look()
    lab.prints(b"two")
    lab.look()
    assert collector.bodies() == ["one", "two"]
    said = capfd.readouterr().err
    assert said.startswith("logs are sent again after a restart, since it cannot be noted how far")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (SentLogs(), "logs go to http://c"),
        (
            SentLogs(fault="Connection refused", since=datetime(2026, 11, 27, 12, tzinfo=UTC)),
            "logs wait for http://c since 2026-11-27T12:00:00Z: Connection refused",
        ),
        (
            SentLogs(lost=1, lost_at=datetime(2026, 11, 27, 12, tzinfo=UTC)),
            "logs go to http://c; lines were lost once, at 2026-11-27T12:00:00Z",
        ),
        (
            SentLogs(lost=2, lost_at=datetime(2026, 11, 27, 12, tzinfo=UTC), rejected=3),
            "logs go to http://c; lines were lost 2 times, last at 2026-11-27T12:00:00Z;"
            " 3 lines were refused there",
        ),
    ],
)
def test_a_status_says_where_logs_go_or_why_they_do_not(sent, said):
    assert described("http://c", sent) == said


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b'{"positions": {"a": 1}}', b"\xff"])
def test_a_note_that_cannot_be_read_has_all_sent_again(document):
    assert read(document) == SentLogs()
