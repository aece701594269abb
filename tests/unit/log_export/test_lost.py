"""Lines that were gone before they could be sent, and logs that go with none left."""

from pathlib import Path

from inference_provider.service.log_book import FileBook
from inference_provider.service.log_export import LogExport
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.event_log import EventLog, log_of
from inference_provider.targets.log_tail import Line, Position, Source, Tail
from inference_provider.targets.sent_logs import read
from inference_provider.workspace.log_rows import TYPE


def test_lines_that_were_gone_before_they_could_be_sent_are_told_everywhere(lab, collector, capfd):
    lab.prints(b"one")
    lab.look()
    for number in range(5):  # as supervisord sets a log aside
        lab.prints(b"%d" % number)
        for older in (3, 2, 1):
            newer = f".{older - 1}" if older > 1 else ""
            path = lab.log.with_name(f"{lab.log.name}{newer}")
            if path.exists():
                path.replace(lab.log.with_name(f"{lab.log.name}.{older}"))
    lab.look(2)
    assert collector.bodies()[1:] == [
        "Lines of logs/iris/blue/iris.blue.ab.0.log may be missing before this: its files were gone"
        " before they were sent",
        *("2", "3", "4"),
    ]
    assert lab.sent.lost == 1
    assert capfd.readouterr().err == ("lines of 1 logs were gone before they could be sent\n")


def test_a_line_that_is_not_wanted_right_after_lost_ones_is_left_out_as_any_other(lab, collector):
    lab.prints(b"one")
    lab.look()
    lab.log.unlink()
    lab.log.write_bytes(b"bad\ntwo\nthree\n")
    collector.refuses = lambda records: any(one.body.string_value == "bad" for one in records)
    lab.look(9)
    assert collector.bodies()[2:] == ["two", "three"]
    assert (lab.sent.lost, lab.sent.rejected, lab.sent.fault) == (1, 1, "")


def test_a_collector_that_does_not_want_what_is_told_of_lost_lines_gets_the_others(lab, collector):
    lab.prints(b"one")
    lab.look()
    lab.log.unlink()
    lab.log.write_bytes(b"two\nthree\n")
    collector.refuses = lambda records: any("may be missing" in str(one.body) for one in records)
    lab.look(9)
    assert collector.bodies() == ["one", "two", "three"]
    assert (lab.sent.lost, lab.sent.rejected) == (1, 1)


def test_a_log_whose_lines_were_all_sent_may_go_and_begin_anew_in_silence(lab, collector, capfd):
    events = log_of(lab.folders.folder)
    EventLog(events).write("iris.blue.ab.0", "Started", "one")
    lab.look()
    events.rename(events.with_name("events.jsonl.1"))
    lab.look()
    events.with_name("events.jsonl.1").unlink()  # it was too old
    lab.look()
    EventLog(events).write("iris.blue.ab.0", "Started", "two")
    lab.look()
    assert collector.bodies() == ["one", "two"]
    assert lab.sent.lost == 0
    assert capfd.readouterr().err == ""


def test_events_that_go_before_they_are_sent_count_as_lost(lab, collector):
    events = log_of(lab.folders.folder)
    EventLog(events).write("iris.blue.ab.0", "Started", "one")
    collector.statuses = [503]
    lab.look()
    events.unlink()
    lab.look(2)
    assert lab.sent.lost == 1
    assert len(collector.bodies("LinesLost")) == 1


def test_a_log_that_is_removed_with_lines_that_wait_counts_as_lost(lab, collector):
    lab.prints(b"one")
    lab.look()
    collector.statuses = [503]
    lab.prints(b"two")
    lab.look()
    lab.log.unlink()
    lab.look(4)
    assert lab.sent.lost == 1
    assert lab.sent.positions.keys() == {*()}


def test_a_log_that_is_removed_once_all_is_sent_is_forgotten_in_silence(lab, collector, capfd):
    lab.prints(b"one")
    lab.look()
    lab.log.unlink()
    lab.look(4)
    assert (lab.sent.lost, lab.sent.positions) == (0, {})
    assert capfd.readouterr().err == ""


def test_a_log_that_is_not_asked_for_for_a_while_has_lost_nothing(tmp_path, collector):
    line = Line(b"one", Path("access.log"), 4, "uid-1")
    place = Position(inode=1, offset=4, head="ab")
    tails = [Tail([line], place, None, 0, lost=False), Tail([], None, None, 4, lost=False)]
    source = Source(
        "router/pod-1", lambda *_asked: tails[0], lambda line: {TYPE: line.text.decode()}
    )
    url = "http://127.0.0.1:9"  # nobody listens: nothing is taken
    settings = LogSettings(otlp_endpoint=url)
    book = FileBook(tmp_path / "sent.json")
    export = LogExport(lambda: [source], lambda: settings, book, "lab")
    export.look()
    settings = LogSettings(otlp_endpoint=collector.url)
    tails.reverse()
    export.look()
    assert (collector.logs, read(book.read()).lost) == ([], 0)
    tails.reverse()
    export.look()
    assert [one.body.string_value for one in collector.logs] == ["one"]
    assert read(book.read()).lost == 0
