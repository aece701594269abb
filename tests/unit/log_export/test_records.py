"""What a collector gets of calls, events and printed lines, odd ones too."""

from functools import partial

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from tests.collector import Collector, named
from tests.unit.log_export.lab import CALLS, CONSOLE, EVENTS

from inference_provider.service.log_book import FileBook
from inference_provider.service.log_export import LogExport
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.event_log import EventLog, log_of
from inference_provider.targets.log_tail import Source, new_lines
from inference_provider.workspace.log_rows import Row


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
        FileBook(tmp_path / "book.json"),
        "lab",
    )
    export.look()
    assert collector.bodies() == ["{'\\ud800': 1}", "two"]


def test_an_empty_line_is_an_empty_line(lab, collector):
    lab.prints(b"", b"two")
    lab.look()
    assert collector.bodies() == ["", "two"]


def test_a_line_that_nobody_foresaw_comes_as_it_is(tmp_path, collector):
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")

    def row(line):
        return {"Type": "T", "Message": {b"two": "2"}[line.text]}

    export = LogExport(
        lambda: [Source("a", partial(new_lines, (log,)), row)],
        lambda: LogSettings(otlp_endpoint=collector.url),
        FileBook(tmp_path / "book.json"),
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
