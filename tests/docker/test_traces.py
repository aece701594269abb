"""Spans of a router on a real Docker Engine, at a collector on the loopback of its host."""

from collections.abc import Iterator

import pytest

from tests.collector import Collector, collecting, named
from tests.conformance.labs import wait_until
from tests.docker.stack import Stack

pytestmark = pytest.mark.docker


@pytest.fixture
def stack(tmp_path) -> Iterator[Stack]:
    made = Stack(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def test_a_collector_of_the_host_gets_a_span_of_each_request_as_long_as_it_is_declared(
    stack, collector
):
    stack.up()
    [space] = stack.document["workspaces"]
    with stack.load(takes_s=0.05) as load:
        space["traces"] = {"otlp_endpoint": collector.url}
        stack.up()
        wait_until(lambda: len(collector.spans) > 50, 30)
        wait_until(lambda: f"spans go to {collector.url}" in stack.status(), 30)
        assert stack.said("drift")[0] == 0
        assert '"TraceId"' in stack.said("logs", "--table", "traffic", "--json")[1]
        del space["traces"]
        stack.up()
        wait_until(lambda: "spans" not in stack.status(), 30)
    assert set(load.answers) == {200}
    found = named(collector.spans[-1].attributes)
    assert (found["azureml.endpoint"], found["azureml.deployment"]) == ("iris", "blue")
    assert collector.resources[-1]["service.instance.id"] == stack.workspace


def test_a_collector_that_is_away_harms_no_request_and_status_says_so(stack, collector):
    url = collector.url
    collector.end()
    stack.document["workspaces"][0]["traces"] = {"otlp_endpoint": url}
    stack.up()
    with stack.load(takes_s=0.05) as load:
        said = f"spans are dropped: nothing listens at {url}"
        wait_until(lambda: said in stack.status(), 30)
    assert set(load.answers) == {200}
