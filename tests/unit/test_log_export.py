"""Where logs go: an OpenTelemetry collector, a real one on loopback."""

import json
from datetime import UTC, datetime
from functools import partial

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from tests.collector import Collector, collecting, named
from tests.ports import own_port

from inference_provider.service.log_export import LogExport
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.event_log import EventLog, log_of
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.log_sources import log_sources
from inference_provider.targets.log_tail import Source, new_lines
from inference_provider.targets.sent_logs import SentLogs, described, read
from inference_provider.workspace.log_rows import Row

CALL = {
    "ts": "2026-11-27T12:00:00.005Z", "request_id": "r-1", "client_request_id": None,
    "client": "127.0.0.1", "endpoint": "iris", "deployment": "blue", "method": "POST",
    "path": "/endpoints/iris/score", "status": 200, "model_status": None, "flags": "-",
    "details": "via_upstream", "bytes_in": 17, "bytes_out": 0, "ms": 8, "ttfb_ms": 7,
    "upstream": "127.0.0.1:21000", "attempts": 1, "identity": "primary",
}  # fmt: skip
CALLS, EVENTS = "AmlOnlineEndpointTrafficLog", "AmlOnlineEndpointEventLog"
CONSOLE = "AmlOnlineEndpointConsoleLog"


class Lab:
    """A workspace's folder, and the process that sends its logs."""

    def __init__(self, root, url):
        self.folders = Folders(root, "lab")
        self.log = self.folders.log_path("iris/blue", "iris.blue.ab.0")
        self.log.parent.mkdir(parents=True)
        self.calls = self.folders.router_folder / "access.log"
        self.calls.parent.mkdir(parents=True)
        self.settings = LogSettings(otlp_endpoint=url)
        self.begin()

    def begin(self):
        """Begin as a process does that is started again."""
        self.export = LogExport(
            lambda: log_sources(self.folders), lambda: self.settings, self.folders.sent_logs, "lab"
        )

    def call(self, **values):
        with self.calls.open("a") as file:
            file.write(json.dumps({**CALL, **values}) + "\n")

    def prints(self, *lines):
        with self.log.open("ab") as file:
            file.writelines(line + b"\n" for line in lines)

    def look(self, times=1):
        return [self.export.look() for _ in range(times)][-1]

    @property
    def sent(self) -> SentLogs:
        return read(self.folders.sent_logs.read_bytes())


@pytest.fixture
def collector():
    with collecting() as found:
        yield found


@pytest.fixture
def lab(tmp_path, collector):
    return Lab(tmp_path, collector.url)


def test_a_collector_gets_calls_events_and_printed_lines_with_azures_columns(
    lab, collector: Collector
):
    lab.call()
    EventLog(log_of(lab.folders.folder)).write("iris.blue.ab.0", "BackOff", "It ended at once")
    lab.prints(b"scored \xff 1\r")
    lab.look()
    assert collector.paths == ["/v1/logs"]
    assert collector.resources == [{"service.name": "inference", "service.instance.id": "lab"}]
    by_type = {named(one.attributes)["Type"]: one for one in collector.logs}
    call = by_type[CALLS]
    assert call.body.string_value == "POST /endpoints/iris/score 200"
    assert call.time_unix_nano == 1_795_780_800_005_000_000
    assert call.severity_number == SeverityNumber.SEVERITY_NUMBER_INFO
    found = named(call.attributes)
    assert len(found.pop("log.record.uid")) == 24
    assert found == {
        "Type": CALLS, "AzureMLWorkspaceName": "lab", "EndpointName": "iris",
        "DeploymentName": "blue", "Method": "POST", "Path": "/endpoints/iris/score",
        "ResponseCode": 200, "ResponseCodeReason": "via_upstream", "ModelStatusCode": 200,
        "RequestPayloadSize": 17, "ResponsePayloadSize": 0, "TotalDurationMs": 8,
        "ResponseDurationMs": 7,
        "IdentityData": "primary", "XRequestId": "r-1",
    }  # fmt: skip
    event = by_type[EVENTS]
    assert event.body.string_value == "It ended at once"
    assert event.severity_text == "WARN"
    assert named(event.attributes)["InstanceId"] == "iris.blue.ab.0"
    line = by_type[CONSOLE]
    assert line.body.string_value == "scored \ufffd 1"
    assert line.severity_number == SeverityNumber.SEVERITY_NUMBER_UNSPECIFIED
    assert named(line.attributes)["DeploymentName"] == "blue"


@pytest.mark.parametrize(
    ("status", "severity"),
    [(204, "INFO"), (404, "WARN"), (0, "WARN"), (424, "ERROR"), (503, "ERROR")],
)
def test_a_call_is_as_severe_as_its_status(lab, collector, status, severity):
    lab.call(status=status)
    lab.look()
    assert [one.severity_text for one in collector.logs] == [severity]


@pytest.mark.parametrize(
    ("trace", "known"),
    [("0af7651916cd43dd8448eb211c80319c", True), ("0af7", False), ("x" * 32, False), (7, False)],
)
def test_a_call_that_has_a_span_names_its_trace(lab, collector, trace, known):
    lab.call(trace_id=trace)
    lab.look()
    assert collector.logs[0].trace_id.hex() == (trace if known else "")


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


@pytest.mark.parametrize(
    "line",
    [
        b'{"endpoint": "\\ud800", "status": 200}',
        b'{"endpoint": {"a": [1]}, "status": 99999999999999999999999}',
        b'{"endpoint": "iris", "ts": 7, "status": true}',
        b"[1, 2]", b"null", b"{", b"\x00", b"\xff\xfe", b"9" * 5000,
    ],
)  # fmt: skip
def test_no_line_of_any_log_stops_the_others(lab, collector, line):
    lab.calls.write_bytes(line + b"\n")
    events = log_of(lab.folders.folder)
    events.write_bytes(line + b"\n")
    lab.prints(line)
    lab.look()
    assert len(collector.logs) == 3
    lab.call()
    lab.look()
    assert collector.bodies()[3:] == ["POST /endpoints/iris/score 200"]


@pytest.mark.parametrize("year", ["0001", "1960", "2600", "9999"])
def test_a_time_that_otlp_cannot_tell_is_unknown_and_stops_no_line(lab, collector, year):
    lab.call(ts=f"{year}-01-01T00:00:00.000Z")
    lab.call(ts=f"{year}-01-01T00:00:00")
    lab.prints(b"one")
    lab.look()
    calls = [one for one in collector.logs if named(one.attributes)["Type"] == CALLS]
    assert [one.time_unix_nano for one in calls] == [0, 0]
    assert collector.bodies(CONSOLE) == ["one"]


def test_a_row_that_is_no_record_comes_as_it_is_and_stops_no_other(tmp_path, collector):
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")
    rows: dict[bytes, Row] = {b"one": {"\ud800": 1}, b"two": {"Message": "two"}}
    export = LogExport(
        lambda: [Source("a", partial(new_lines, (log,)), lambda line: rows[line.text])],
        lambda: LogSettings(otlp_endpoint=collector.url),
        tmp_path / "book.json",
        "lab",
    )
    export.look()
    assert collector.bodies() == ["{'\\ud800': 1}", "two"]


def test_an_empty_line_is_an_empty_line(lab, collector):
    lab.prints(b"", b"two")
    lab.look()
    assert collector.bodies() == ["", "two"]


def test_a_log_that_cannot_be_read_is_told_once_and_holds_up_no_other(lab, collector, capfd):
    (lab.log.parent / "other.log").mkdir()  # a folder in its place
    lab.prints(b"one")
    lab.look(2)
    assert collector.bodies() == ["one"]
    assert capfd.readouterr().err.splitlines() == [
        "logs/iris/blue/other.log is not sent: [Errno 21] Is a directory:"
        f" '{lab.log.parent / 'other.log'}'"
    ]


def test_a_line_that_nobody_foresaw_comes_as_it_is(tmp_path, collector):
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")

    def row(line):
        return {"Type": "T", "Message": {b"two": "2"}[line.text]}

    export = LogExport(
        lambda: [Source("a", partial(new_lines, (log,)), row)],
        lambda: LogSettings(otlp_endpoint=collector.url),
        tmp_path / "book.json",
        "lab",
    )
    export.look()
    assert collector.bodies() == ["one", "2"]


def test_a_call_of_an_instance_that_goes_out_comes_as_it_is_written(lab, collector):
    lab.calls.write_text('{"ts": "2026-11-27T12:00:00.005Z", "outbound": "pypi.org:443"}\n')
    lab.look()
    (record,) = collector.logs
    assert named(record.attributes)["Type"] == "outbound"
    assert "pypi.org:443" in record.body.string_value


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
