"""Lines that a collector does not take: which wait, and which are left out."""

import pytest
from tests.collector import collecting
from tests.ports import own_port
from tests.unit.log_export.lab import CONSOLE, Lab


def test_lines_wait_for_a_collector_that_is_away_and_the_status_says_since_when(tmp_path, capfd):
    port = own_port()
    lab = Lab(tmp_path, f"http://127.0.0.1:{port}")
    lab.prints(b"one")
    assert [lab.look() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    began = lab.sent.since
    assert lab.sent.fault == "Connection refused"
    assert capfd.readouterr().err == (
        f"logs do not go to http://127.0.0.1:{port}: Connection refused\n"
    )
    lab.prints(b"two")
    with collecting(port) as collector:
        lab.look()
        assert collector.bodies() == ["one", "two"]
    assert (lab.sent.fault, lab.sent.since) == ("", None)
    assert began is not None


@pytest.mark.parametrize("status", [302, 401, 404, 429, 500, 503])
def test_lines_wait_for_a_collector_that_answers_something_else(lab, collector, status):
    collector.statuses = [status]
    lab.prints(b"one")
    lab.look()
    assert (collector.bodies(), lab.sent.fault) == ([], f"it answered {status}")
    lab.look()
    assert collector.bodies() == ["one"]
    assert collector.paths == ["/v1/logs"] * 2


def test_what_a_collector_took_is_not_sent_again_though_its_answer_is_cut(lab, collector):
    collector.cuts = True
    lab.prints(b"one")
    lab.look(3)
    assert (collector.bodies(), lab.sent.fault) == (["one"], "")


def test_a_line_that_a_collector_does_not_want_is_left_out_alone_and_counted(lab, collector):
    collector.refuses = lambda records: any(one.body.string_value == "bad" for one in records)
    lab.prints(b"one", b"two", b"bad", b"three", b"four")
    lab.look(12)
    assert collector.bodies() == ["one", "two", "three", "four"]
    assert (lab.sent.rejected, lab.sent.fault) == (1, "")


def test_lines_wait_for_a_collector_that_wants_nothing_at_all(lab, collector, capfd):
    collector.refuses = lambda _records: True
    lab.prints(*(b"%d" % n for n in range(1000)))
    pauses = [lab.look() for _ in range(14)]
    assert (lab.sent.rejected, lab.sent.fault) == (0, "it answered 400, to whatever it got")
    assert pauses[-5:] == [1, 2, 4, 8, 16]
    assert capfd.readouterr().err == (
        f"logs do not go to {collector.url}: it answered 400, to whatever it got\n"
    )
    collector.refuses = lambda _records: False
    lab.look(20)
    assert collector.bodies() == [str(n) for n in range(1000)]
    assert lab.sent.fault == ""


def test_a_line_that_is_not_wanted_before_any_other_was_taken_is_told_in_its_place(lab, collector):
    collector.refuses = lambda records: any(one.body.string_value == "bad" for one in records)
    lab.prints(b"bad", b"bad")
    lab.look(6)
    told = collector.bodies("LineRefused")
    start = (
        "A line is left out, as this collector does not want it: AmlOnlineEndpointConsoleLog of "
    )
    assert len(told) == 2
    assert all(one.startswith(start) and one.endswith("; it answered 400") for one in told)
    assert lab.sent.rejected == 2
    lab.prints(b"one")
    lab.look()
    assert collector.bodies(CONSOLE) == ["one"]


def test_lines_that_a_collector_says_it_left_out_are_counted(lab, collector):
    collector.answer.partial_success.rejected_log_records = 2
    lab.prints(b"one", b"two", b"three")
    lab.look()
    assert lab.sent.rejected == 2
