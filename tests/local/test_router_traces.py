"""Spans that the router makes, at a real collector; and `traceparent` without any."""

from collections.abc import Iterator

import pytest

from inference_provider.router.table import Traces
from inference_provider.spec.traces import TraceSettings
from inference_provider.targets.envoy.spans import said_of_traces
from tests.collector import Collector, collecting, named
from tests.local.server.load import constant_load
from tests.local.server.model import Model, until
from tests.local.server.routing import Served, deployment, endpoint, serving
from tests.ports import own_port

pytestmark = [pytest.mark.local, pytest.mark.envoy]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, LEFT_OUT = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def traced_by(url: str, models: dict[str, Model], percent: float = 100, **values):
    traces = Traces(url=url, sample_percent=percent, workspace="lab")
    blue = deployment("blue", models["blue"])
    return serving(endpoint("chat", {"blue": 100}, blue), traces=traces, **values)


@pytest.fixture(scope="module")
def traced(models: dict[str, Model], collector: Collector) -> Iterator[Served]:
    with traced_by(collector.url, models) as found:
        until(lambda: found.ask("chat/score").status_code == 200)
        yield found


def spans_of(collector: Collector, request_id: str) -> list:
    def found() -> list:
        ids = [(named(one.attributes)["guid:x-request-id"], one) for one in [*collector.spans]]
        return [one for known, one in ids if known == request_id]

    collector.wait_for(lambda: bool(found()), 15)
    return found()


def test_a_span_says_who_was_asked_and_how_it_ended_and_nothing_secret(
    traced: Served, collector: Collector
):
    headers = {"x-request-id": "r-1", "user-agent": "me", "cookie": "a=secret-c"}
    answer = traced.ask(
        "chat/score?key=secret-q", method="POST", content="secret-b", headers=headers
    )
    assert answer.status_code == 200
    (span,) = spans_of(collector, "r-1")
    assert span.name == "POST chat"
    found = named(span.attributes)
    assert {name: found[name] for name in found if name.startswith(("azureml", "url", "http"))} == {
        "azureml.endpoint": "chat",
        "azureml.deployment": "blue",
        "url.path": "/endpoints/chat/score",
        "http.method": "POST",
        "http.protocol": "HTTP/1.1",
        "http.status_code": "200",
        "http.url": f"http://127.0.0.1:{traced.ports[0]}",
    }
    assert "secret" not in str(span)
    assert span.end_time_unix_nano >= span.start_time_unix_nano > 0
    assert collector.resources[-1]["service.name"] == "inference"
    assert collector.resources[-1]["service.instance.id"] == "lab"
    assert "/v1/traces" in collector.paths


def test_the_status_says_where_spans_go(traced: Served, collector: Collector):
    settings = TraceSettings(otlp_endpoint=collector.url)
    said = f"spans go to {collector.url}"
    until(lambda: said_of_traces(settings, traced.router.admin.stats) == said)
    assert said_of_traces(None, traced.router.admin.stats) == ""


def test_a_call_that_is_refused_has_a_span_too(traced: Served, collector: Collector):
    headers = {"x-request-id": "r-2", "authorization": "Bearer secret-k"}
    traced.client.get("/endpoints/chat/score", headers=headers)
    (span,) = spans_of(collector, "r-2")
    assert named(span.attributes)["http.status_code"] == "401"
    assert "secret" not in str(span)


def test_a_model_that_fails_is_told_with_its_own_status(
    traced: Served, collector: Collector, models: dict[str, Model]
):
    traced.ask("chat/status/500", headers={"x-request-id": "r-3"})
    (span,) = spans_of(collector, "r-3")
    found = named(span.attributes)
    assert (found["http.status_code"], found["azureml.model_status"]) == ("424", "500")


def test_a_trace_goes_on_in_the_model_with_the_routers_span_in_it(
    traced: Served, collector: Collector
):
    answer = traced.ask(
        "chat/score",
        headers={"x-request-id": "r-4", "traceparent": SAMPLED, "tracestate": "a=1"},
    )
    (span,) = spans_of(collector, "r-4")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert [one["trace_id"] for one in traced.logged() if one["request_id"] == "r-4"] == [TRACE]
    seen = answer.json()["headers"]
    assert seen["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert seen["tracestate"] == "a=1"


@pytest.mark.parametrize("request_id", ["mine", "63bdebbe-dad3-479f-88f7-523f6be07187"])
def test_an_id_of_the_callers_stays_as_it_came_with_traces(traced: Served, request_id: str):
    answer = traced.ask("chat/score", headers={"x-request-id": request_id})
    assert answer.headers["x-request-id"] == request_id
    assert answer.json()["headers"]["x-request-id"] == request_id


def test_who_sends_no_decision_is_sampled_and_who_does_decides(
    models: dict[str, Model], collector: Collector
):
    with traced_by(collector.url, models, percent=0) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        asked = {"none": {}, "no": {"traceparent": LEFT_OUT}, "yes": {"traceparent": SAMPLED}}
        asked["forced"] = {"x-client-trace-id": "1", "x-envoy-force-trace": "1"}
        for request_id, headers in asked.items():
            served.ask("chat/score", headers={"x-request-id": request_id, **headers})
        spans_of(collector, "yes")
    ids = {named(one.attributes)["guid:x-request-id"] for one in collector.spans}
    assert ids & asked.keys() == {"yes"}


@pytest.mark.parametrize("parent", [SAMPLED, LEFT_OUT, "00-zz", "x" * 500])
def test_without_traces_a_callers_traceparent_is_passed_on_as_it_came(served: Served, parent: str):
    answer = served.ask("chat/score", headers={"traceparent": parent, "tracestate": "a=1,b=2"})
    seen = answer.json()["headers"]
    assert (seen["traceparent"], seen["tracestate"]) == (parent, "a=1,b=2")


def test_without_traces_none_is_begun(served: Served):
    answer = served.ask("chat/score", headers={"x-request-id": "r-5"})
    assert "traceparent" not in answer.json()["headers"]
    assert [one["trace_id"] for one in served.logged() if one["request_id"] == "r-5"] == [None]


@pytest.mark.parametrize("host", ["127.0.0.1", "nobody.invalid"])
def test_a_collector_that_is_away_harms_no_request(models: dict[str, Model], host: str):
    with traced_by(f"http://{host}:{own_port()}", models) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        assert {served.ask("chat/score").status_code for _ in range(300)} == {200}
        assert "exporter" not in (served.folder / "log").read_text()
        url = f"http://{host}:1"
        settings = TraceSettings(otlp_endpoint=url)
        said = f"spans are dropped: nothing listens at {url}"
        until(lambda: said_of_traces(settings, served.router.admin.stats) == said)


def test_traces_come_and_go_without_a_failed_request(
    models: dict[str, Model], collector: Collector
):
    chat = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    every = Traces(url=collector.url, sample_percent=100, workspace="lab")
    few = every.model_copy(update={"sample_percent": 1})
    with serving(chat) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        with constant_load(served) as counted:
            for traces in (every, few, None):
                before = counted.total()
                served.values = {"traces": traces}
                served.router.publish(served.table(chat))
                enough = before + 100
                until(lambda: counted.total() > enough)  # noqa: B023 - it ends before the next
    assert {*counted} == {200}
