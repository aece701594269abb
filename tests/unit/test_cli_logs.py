"""`inferctl logs`: which lines, and the tables with Azure Monitor's columns."""

import json
from datetime import UTC, datetime

import pytest

from inference_provider.workspace.logged import LogLine
from inference_provider.workspace.statuses import Event

NOON = datetime(2026, 11, 27, 12, 0, 0, 5000, UTC)
CALL = {
    "ts": "2026-11-27T12:00:00.005Z", "request_id": "r-1", "client_request_id": None,
    "client": "127.0.0.1", "endpoint": "iris", "deployment": "blue", "method": "POST",
    "path": "/endpoints/iris/score", "status": 200, "model_status": None, "flags": "-",
    "details": "via_upstream", "bytes_in": 17, "bytes_out": 0, "ms": 8, "ttfb_ms": 7,
    "upstream": "127.0.0.1:21000", "attempts": 1, "identity": "key",
    "protocol": "HTTP/1.1", "user_agent": "curl/8 \x1b[2J", "request_ms": 3,
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
}  # fmt: skip


LINES = (
    LogLine("iris.blue.ab.0", "r-1 started", NOON),
    LogLine("iris.blue.ab.0", "r-2 started", NOON),
    LogLine("iris.blue.ab.0", "r-1 done"),
    LogLine("iris.blue.ab.1", "r-3 \x1b[2Jdone", NOON),
)
STARTED = Event(
    time=NOON, deployment="iris/blue", instance="iris.blue.ab.0", name="Started",
    message="Started instance",
)  # fmt: skip


@pytest.fixture
def told(cli):
    cli("up")
    ports, cli.asked = cli.target.memory.ports("default"), []

    def prints(query):
        cli.asked.append(query)
        return LINES if query.lines else (LogLine("iris.blue.ab.1", "r-1 new"),)

    ports.compute.prints = prints
    ports.compute.happened = [
        STARTED,
        STARTED.model_copy(update={"deployment": "", "instance": "router"}),
    ]
    failed = {"request_id": "r-2", "status": 424, "model_status": "500"}
    ports.router.called = [CALL, {**CALL, **failed}]
    return cli


def rows(result) -> list:
    assert (result.exit_code, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_is_one_object_a_line_with_the_time_where_it_is_known(told):
    assert rows(told("logs", "iris/blue", "--json"))[1:3] == [
        {
            "instance": "iris.blue.ab.0",
            "line": "r-2 started",
            "time": "2026-11-27T12:00:00.005+00:00",
        },
        {"instance": "iris.blue.ab.0", "line": "r-1 done"},
    ]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--grep", "^r-[12]"), ["r-1 started", "r-2 started", "r-1 done"]),
        (("--grep", "done$", "--tail", "1"), ["r-1 done", "r-3 \x1b[2Jdone"]),
        (("--request-id", "r-1"), ["r-1 started", "r-1 done"]),
        (("--request-id", "r-1", "--grep", "done", "--follow"), ["r-1 done"]),
        (("--request-id", "r-"), []),
        (("--request-id", "r-1", "--tail", "1", "--follow"), ["r-1 done", "r-1 new"]),
    ],
)
def test_lines_are_picked_before_the_last_ones_are_counted(told, args, expected):
    found = rows(told("logs", "iris/blue", "--json", *args))
    assert [one["line"] for one in found] == expected


def test_a_target_is_asked_for_what_it_can_choose_itself(told):
    told("logs", "iris/blue", "--tail", "7", "--instance", "iris.blue.ab.1", "--since", "1h",
         "--container", "storage-initializer")  # fmt: skip
    asked = told.asked[-1]
    assert (asked.lines, asked.instance, asked.container, asked.follow) == (
        7, "iris.blue.ab.1", "storage-initializer", False,
    )  # fmt: skip
    assert 3590 < (datetime.now(UTC) - asked.since).total_seconds() < 3660


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--grep", "("), "--grep: '(' is no pattern: missing ), unterminated subpattern"),
        (
            ("--since", "soon"),
            "--since: expected a number from 1 to 999999 and a unit: s, m, h or d;"
            " write 30m, 24h or 7d",
        ),
        (("--table", "events", "-f"), "--follow: a table of events is not followed; leave it out"),
    ],
)
def test_what_is_no_question_is_refused_in_a_sentence(told, args, sentence):
    result = told("logs", "iris/blue", *args)
    assert result.exit_code == 1
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("table", "args", "sentences"),
    [
        ("events", ("--request-id", "r-1"), ["--request-id: an event has no request"]),
        (
            "traffic",
            ("--instance", "iris.blue.ab.0", "--container", "storage-initializer", "-f"),
            [
                "--follow: a table of traffic is not followed",
                "--container: a table of traffic has no lines of a container",
                "--instance: a call has no instance",
            ],
        ),
    ],
)
def test_options_that_choose_nothing_of_a_table_are_refused_all_at_once(
    told, table, args, sentences
):
    result = told("logs", "--table", table, *args)
    assert result.exit_code == 1
    assert [one in result.stderr for one in sentences] == [True] * len(sentences)


@pytest.mark.parametrize("table", ["traffic", "events"])
@pytest.mark.parametrize(("of", "kind"), [("iri", "Endpoint"), ("iris/blu", "Deployment")])
def test_a_name_of_nothing_is_refused_and_what_is_gone_has_rows_yet(told, table, of, kind):
    ports = told.target.memory.ports("default")
    ports.router.called = []  # whatever is asked for, it tells all
    result = told("logs", of, "--table", table)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"find {kind} 'default/{of}': not found" in result.stderr
    ports.router.called = [CALL]
    ports.compute.happened = [
        STARTED.model_copy(update={"deployment": gone}) for gone in ("iri/blue", "iris/blu")
    ]
    assert len(rows(told("logs", of, "--table", table))) == 1
    ports.router.called, ports.compute.happened = [], []
    assert rows(told("logs", "iris/blue", "--table", table)) == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("ü", ["r-1"]), ("Path", []), ("AmlOnline", []), ("^424$", ["r-2"]), ("/score$", ["r-2"])],
)
def test_a_pattern_is_searched_in_the_values_of_rows(told, pattern, expected):
    failed = {"request_id": "r-2", "status": 424}
    called = [{**CALL, "path": "/endpoints/iris/grün"}, {**CALL, **failed}]
    told.target.memory.ports("default").router.called = called
    found = rows(told("logs", "--table", "traffic", "--grep", pattern))
    assert [one["XRequestId"] for one in found] == expected


def test_traffic_has_the_columns_of_azure_monitor(told):
    first, second = rows(told("logs", "--table", "traffic"))
    assert first == {
        "Type": "AmlOnlineEndpointTrafficLog",
        "TimeGenerated": "2026-11-27T12:00:00.005Z",
        "AzureMLWorkspaceName": "default",
        "EndpointName": "iris",
        "DeploymentName": "blue",
        "Method": "POST",
        "Path": "/endpoints/iris/score",
        "ResponseCode": 200,
        "ResponseCodeReason": "via_upstream",
        "ModelStatusCode": 200,
        "RequestPayloadSize": 17,
        "ResponsePayloadSize": 0,
        "TotalDurationMs": 8,
        "RequestDurationMs": 3,
        "ResponseDurationMs": 7,
        "IdentityData": "key",
        "XRequestId": "r-1",
        "TraceId": "0af7651916cd43dd8448eb211c80319c",
        "Protocol": "HTTP/1.1",
        "UserAgent": "curl/8 \x1b[2J",
    }
    assert (second["ResponseCode"], second["ModelStatusCode"]) == (424, 500)
    assert rows(told("logs", "--table", "traffic", "--grep", "^r-2$")) == [second]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"status": 200, "model_status": "abc"}, 200),
        ({"status": 200, "model_status": "500"}, 200),
        ({"status": 424, "model_status": "abc"}, 424),
        ({"status": 424, "model_status": "²"}, 424),
        ({"status": 424, "model_status": "503"}, 503),
    ],
)
def test_a_model_says_its_status_only_where_the_router_wrote_it_down(told, call, expected):
    told.target.memory.ports("default").router.called = [{**CALL, **call}]
    (row,) = rows(told("logs", "--table", "traffic"))
    assert (row["ResponseCode"], row["ModelStatusCode"]) == (call["status"], expected)


def test_events_and_console_have_the_columns_of_azure_monitor(told):
    place = {
        "TimeGenerated": "2026-11-27T12:00:00.005+00:00", "AzureMLWorkspaceName": "default",
        "EndpointName": "iris", "DeploymentName": "blue", "InstanceId": "iris.blue.ab.0",
    }  # fmt: skip
    assert rows(told("logs", "iris", "--table", "events")) == [
        {"Type": "AmlOnlineEndpointEventLog", **place, "Name": "Started",
         "Message": "Started instance"}
    ]  # fmt: skip
    assert len(rows(told("logs", "--table", "events"))) == 2
    console = rows(told("logs", "iris/blue", "--table", "console", "--request-id", "r-2"))
    assert console == [
        {"Type": "AmlOnlineEndpointConsoleLog", **place, "ContainerName": "inference-server",
         "Message": "r-2 started"}
    ]  # fmt: skip
