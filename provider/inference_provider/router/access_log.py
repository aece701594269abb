"""What the router logs about each request: a line of JSON, and counters. Pure.

Envoy does not rotate the file itself; a target does.
"""

from pathlib import PurePosixPath
from typing import Any

from inference_provider.router.resource import API, CLIENT_HEADER, Resource

# At most this many characters of a value from a caller or a model are logged: a line stays under
# 8 KiB even where JSON escapes each as six.
_ID_LENGTH = 128
_PATH_LENGTH = 512
_AGENT_LENGTH = 256
_WORD_LENGTH = 16
_MODEL_STATUS = "%RESP(MS-AZUREML-MODEL-ERROR-STATUSCODE):3%"
_FIELDS = {
    "ts": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "request_id": f"%REQ(X-REQUEST-ID):{_ID_LENGTH}%",
    "client_request_id": "%REQ(X-MS-CLIENT-REQUEST-ID):40%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "endpoint": "%METADATA(ROUTE:azml:endpoint)%",
    "deployment": "%CLUSTER_METADATA(azml:deployment)%",
    "protocol": "%PROTOCOL%",
    "method": f"%REQ(:METHOD):{_WORD_LENGTH}%",
    "path": f"%PATH(NQ:ORIG_OR_PATH):{_PATH_LENGTH}%",
    "user_agent": f"%REQ(USER-AGENT):{_AGENT_LENGTH}%",
    "status": "%RESPONSE_CODE%",
    "model_status": _MODEL_STATUS,
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "ms": "%DURATION%",
    "request_ms": "%REQUEST_DURATION%",
    "ttfb_ms": "%RESPONSE_DURATION%",
    "upstream": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "trace_id": "%TRACE_ID%",
}
_PEER = {"peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"}
"""Who has connected, where `client` is what a header says."""
_ENDPOINT = {"name": "endpoint", "value_format": _FIELDS["endpoint"]}
_DEPLOYMENT = {"name": "deployment", "value_format": _FIELDS["deployment"]}
_REFUSED_EARLY = (400, 426, 431)
"""Statuses of requests refused before they get an id: for path, HTTP version or headers."""
_ANSWERS_ID = {
    "request_id": '%COALESCE({"operators": [{"command": "REQ", "param": "X-REQUEST-ID"},'
    ' {"command": "RESP", "param": "X-REQUEST-ID"}]})' + f":{_ID_LENGTH}%"
}


def access_logs(folder: str, *, behind_proxies: bool = False) -> list[Resource]:
    """Return all access logs.

    Two logs write the JSON lines of one file, because the identity may be logged only where it was
    checked. A request refused for its path, host or form still carries the identity that its caller
    claimed, and has no id of ours. A model's error never has such a status: it becomes 424.

    Args:
        folder: The router's.
        behind_proxies: Whether a caller's address is what a header says.
    """
    fields = _FIELDS | (_PEER if behind_proxies else {})
    early = _any_of([status_filter(status) for status in _REFUSED_EARLY])
    late = _all_of([status_filter(status, "NE") for status in _REFUSED_EARLY])
    # most answers are not errors: one question each
    good, bad = status_filter(399, "LE"), status_filter(400, "GE")
    checked = {"identity": f"%REQ({CLIENT_HEADER.upper()}):{_ID_LENGTH}%"}
    return [
        json_log(folder, fields | checked, _any_of([good, late])),
        json_log(folder, fields | _ANSWERS_ID, _all_of([bad, early])),
        _statistics_log(),
        _model_errors_log(),
    ]


def status_filter(status: int, comparison: str = "EQ") -> Resource:
    """Return a filter, for logs and local replies.

    Args:
        status: Compared with that of the answer; 0 where the caller got none.
        comparison: `EQ`, `NE`, `LE` or `GE`.
    """
    value = {"default_value": status, "runtime_key": f"none.{status}"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}


def _any_of(filters: list[Resource]) -> Resource:
    return {"or_filter": {"filters": filters}}


def _all_of(filters: list[Resource]) -> Resource:
    return {"and_filter": {"filters": filters}}


def json_log(folder: str, fields: dict[str, str], chosen: Resource | None = None) -> Resource:
    """Return what writes lines of JSON to the router's access log.

    Args:
        folder: The router's.
        fields: Format of each field, by name.
        chosen: The filter of requests that it writes; None for all.
    """
    typed: dict[str, Any] = {
        "@type": f"{API}extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(PurePosixPath(folder) / "access.log"),
        "log_format": {"json_format": fields},
    }
    filtered = {"filter": chosen} if chosen else {}
    return {"name": "json", **filtered, "typed_config": typed}


def _statistics_log() -> Resource:
    """Return the counters of all requests; they include 401, 404, 413 and 429.

    `counters.py` reads them.
    """
    code = {"name": "code", "value_format": "%RESPONSE_CODE%"}
    latency = {"name": "latency", "tags": [_ENDPOINT, _DEPLOYMENT]}
    requests = {"name": "requests", "tags": [_ENDPOINT, _DEPLOYMENT, code]}
    lengths = {"bytes_in": "%BYTES_RECEIVED%", "bytes_out": "%BYTES_SENT%"}
    return _counting(
        "stats",
        [
            {"value_fixed": 1, "stat": requests},
            *(
                {"value_format": said, "stat": {"name": name, "tags": [_ENDPOINT]}}
                for name, said in lengths.items()
            ),
        ],
        histograms=[{"unit": "Milliseconds", "value_format": "%DURATION%", "stat": latency}],
    )


def _model_errors_log() -> Resource:
    """Return the counter of what models answered in place of 424.

    Only of answers with that status: there the router itself writes the header, so that no model
    can make counters by what it writes.
    """
    code = {"name": "code", "value_format": _MODEL_STATUS}
    counter = {"name": "model_errors", "tags": [_ENDPOINT, _DEPLOYMENT, code]}
    counting = _counting("model errors", [{"value_fixed": 1, "stat": counter}])
    return {**counting, "filter": status_filter(424)}


def _counting(name: str, counters: list[Resource], **more: Any) -> Resource:
    return {
        "name": name,
        "typed_config": {
            "@type": f"{API}extensions.access_loggers.stats.v3.Config",
            "stats_scope": {"prefix": "azml"},
            "counters": counters,
            **more,
        },
    }
