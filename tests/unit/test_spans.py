"""Where a router sends spans, as its table has it."""

import pytest

from inference_provider.errors import TargetError
from inference_provider.router.table import RouterTable
from inference_provider.spec.traces import TraceSettings
from inference_provider.targets.envoy.spans import said_of_traces, traces_to, with_authorities

URL = "https://otel.example.org"
SETTINGS = TraceSettings(otlp_endpoint=URL, sample_percent=10)


def table(url: str = URL) -> RouterTable:
    traces = traces_to(SETTINGS.model_copy(update={"otlp_endpoint": url}), "lab")
    return RouterTable(folder="/r", host="127.0.0.1", port=1, metrics_port=2, traces=traces)


def test_whom_a_router_trusts_is_what_its_own_machine_has():
    assert table().traces.ca_file == ""
    assert with_authorities(table(), lambda: "/ca.pem").traces.ca_file == "/ca.pem"
    plain = table("http://127.0.0.1:4318")
    assert with_authorities(plain, lambda: "/ca.pem") == plain


def test_a_collector_that_nobody_could_check_is_refused():
    with pytest.raises(TargetError) as refused:
        with_authorities(table(), lambda: "")
    assert str(refused.value) == (
        "send spans to https://otel.example.org: the router's machine has no certificates of"
        " authorities, so none can be checked; install its package ca-certificates (a container: in"
        " its base_image), or use a collector of http://"
    )
    assert with_authorities(table("http://otel:4318"), lambda: "").traces.url == "http://otel:4318"


def test_a_router_that_says_nothing_of_spans_is_told_nothing_of():
    assert traces_to(None, "lab") is None
    assert said_of_traces(None, lambda _pattern: {"cluster.traces.membership_healthy": 1}) == ""
    assert said_of_traces(SETTINGS, lambda _pattern: {}) == ""
