"""Rows of logs -> an OpenTelemetry collector, by OTLP over HTTP.

Its packages are an extra, so import this where they are needed.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber

from inference_provider.service.collector_post import Reply, Unanswered, post
from inference_provider.service.collector_url import with_path
from inference_provider.workspace.log_rows import TRACE, TYPE, Row

_PATH = "/v1/logs"
_OF_CONTENT = (400, 413)
"""Statuses of a collector that does not want what it was sent, or not so much."""
_BODY, _TIME = "Message", "TimeGenerated"
_WARNINGS = (
    "BackOff",
    "ContainerCrash",
    "LineRefused",
    "LinesLost",
    "LivenessProbeFailed",
    "ReadinessProbeFailed",
)


class Verdict(Enum):
    """What a collector said."""

    TAKEN = auto()
    CONTENT = auto()
    """It does not want these lines, or not so many."""
    WAITS = auto()
    """It is not there, or not now."""


class Answer(NamedTuple):
    """What came of sending."""

    verdict: Verdict
    fault: str = ""
    rejected: int = 0
    """Lines of those taken that the collector refused."""


class Record(NamedTuple):
    """A row, and what is the same of it whenever it is sent."""

    row: Row
    uid: str


class Collector:
    """Where one workspace's logs go."""

    def __init__(self, url: str, workspace: str) -> None:
        self.url = with_path(url, _PATH)
        self._names = {"service.name": "inference", "service.instance.id": workspace}

    def send(self, records: Sequence[Record]) -> Answer:
        """Send rows; a collector that is not there is no error."""
        content = _request(self._names, records).SerializeToString()
        try:
            return _said(post(self.url, content, {"Content-Type": "application/x-protobuf"}))
        except Unanswered as fault:
            return Answer(Verdict.WAITS, str(fault))


def _said(reply: Reply) -> Answer:
    if not 200 <= reply.status < 300:
        verdict = Verdict.CONTENT if reply.status in _OF_CONTENT else Verdict.WAITS
        return Answer(verdict, f"it answered {reply.status}")
    try:
        refused = ExportLogsServiceResponse.FromString(reply.content).partial_success
    except Exception:  # noqa: BLE001 - of a class of the library's own; the lines were taken
        return Answer(Verdict.TAKEN)
    return Answer(Verdict.TAKEN, refused.error_message, refused.rejected_log_records)


def _request(names: Mapping[str, str], records: Iterable[Record]) -> ExportLogsServiceRequest:
    now_ns = time.time_ns()
    sent = ResourceLogs()
    sent.resource.attributes.extend(_attributes(names))
    scope = ScopeLogs(log_records=[_any_record(one, now_ns) for one in records])
    scope.scope.name = "inference_provider"
    sent.scope_logs.append(scope)
    return ExportLogsServiceRequest(resource_logs=[sent])


def _any_record(one: Record, now_ns: int) -> LogRecord:
    try:
        return _record(one, now_ns)
    except Exception:  # noqa: BLE001 - a row that nobody foresaw holds up no other
        return LogRecord(
            observed_time_unix_nano=now_ns,
            body=_value(dict(one.row)),
            attributes=_attributes({"log.record.uid": one.uid}),
        )


def _record(one: Record, now_ns: int) -> LogRecord:
    row = one.row
    given = {name: value for name, value in row.items() if name not in (_BODY, _TIME, TRACE)}
    number = _severity(row)
    return LogRecord(
        time_unix_nano=_nanoseconds(row.get(_TIME)),
        observed_time_unix_nano=now_ns,
        severity_number=number,
        severity_text=SeverityNumber.Name(number).removeprefix("SEVERITY_NUMBER_")
        if number
        else "",
        trace_id=_trace(row.get(TRACE)),
        body=_value(row[_BODY] if _BODY in row else _called(row)),
        attributes=_attributes({**given, "log.record.uid": one.uid}),
    )


def _trace(text: Any) -> bytes:
    """Return the id of a trace; none where it is no such id."""
    try:
        found = bytes.fromhex(text)
    except (TypeError, ValueError):
        return b""
    return found if len(found) == 16 else b""


def _severity(row: Row) -> "SeverityNumber.ValueType":
    """Return it for what says so; the line of a model may be of any."""
    status = row.get("ResponseCode")
    if isinstance(status, int):
        if status >= 500 or status == 424:
            return SeverityNumber.SEVERITY_NUMBER_ERROR
        if status >= 400 or status == 0:
            return SeverityNumber.SEVERITY_NUMBER_WARN
        return SeverityNumber.SEVERITY_NUMBER_INFO
    if name := row.get("Name"):
        warns = name in _WARNINGS
        return SeverityNumber.SEVERITY_NUMBER_WARN if warns else SeverityNumber.SEVERITY_NUMBER_INFO
    return SeverityNumber.SEVERITY_NUMBER_UNSPECIFIED


def _called(row: Row) -> str:
    words = (row.get(name, "-") for name in ("Method", "Path", "ResponseCode"))
    return " ".join(map(str, words)) if "ResponseCode" in row else str(row.get(TYPE, ""))


def _nanoseconds(text: Any) -> int:
    """Return a time; 0, which OTLP has for unknown, where it is none that it can tell."""
    try:
        found = int(datetime.fromisoformat(text).timestamp() * 1000) * 1_000_000
    except (TypeError, ValueError, OverflowError, OSError):
        return 0
    return found if 0 <= found < 2**64 else 0


def _attributes(named: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in named.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and abs(value) < 2**63:
        return AnyValue(int_value=value)
    text = str(value).encode(errors="replace").decode()  # half a surrogate is no text of protobuf
    return AnyValue(string_value=text)
