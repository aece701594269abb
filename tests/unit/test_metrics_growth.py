"""What several processes of one router have counted, as one: counters, bins, gauges."""

import pytest

from inference_provider.metrics.growth import growth, there
from inference_provider.metrics.series import Reading, series
from inference_provider.router.counters import Counted, counted

ANSWERS = "azml.requests.endpoint.iris.deployment.blue.code.200"
LATENCY = "azml.latency.endpoint.iris.deployment.blue"


def process(requests=0, bins=(), members=None, connections=None, connected=None) -> Counted:
    """Return what one has counted: bins of 1 ms, and who is healthy of how many."""
    found = {ANSWERS: requests}
    if members:
        names = zip(("healthy", "total"), members, strict=True)
        found |= {f"cluster.iris/blue.membership_{name}": count for name, count in names}
    if connections is not None:
        found["http.ingress.downstream_cx_active"] = connections
    if connected is not None:
        found["http.ingress.downstream_cx_total"] = connected
    totals = [{"lower_bound": ms, "width": 1, "count": n} for ms, n in bins]
    return counted(found, [{"name": LATENCY, "totals": totals}])


def values(before, now, seconds=60):
    found = series(Reading(0, before), Reading(seconds, now))
    return {(one.metric.name, *one.labels): one.value for one in found}


def rate(before, now):
    return values(before, now).get(("RequestsPerMinute", "iris", "blue", "200", "2xx", ""))


def test_what_each_has_counted_since_the_look_before_is_added_up():
    before = {"a": process(100, [(10, 100)]), "b": process(1000, [(10, 1000)])}
    now = {"a": process(130, [(10, 130)]), "b": process(1090, [(10, 1000), (40, 90)])}
    found = values(before, now)
    assert found["RequestsPerMinute", "iris", "blue", "200", "2xx", ""] == 120.0
    assert found["RequestLatency", "iris", "blue"] == pytest.approx(33.0)
    assert found["RequestLatency_P50", "iris", "blue"] == 40.5


def test_of_one_that_has_come_since_all_requests_count():
    before, now = {"a": process(100)}, {"a": process(110), "b": process(7)}
    assert rate(before, now) == 17.0


def test_of_one_that_did_not_answer_before_none_counts():
    # its requests may be of hours: a rate of them would be huge
    before = {"a": process(100), "b": None}
    assert rate(before, {"a": process(110), "b": process(50_000)}) == 10.0
    assert rate(before, {"a": None, "b": process(50_000)}) is None


def test_one_that_has_gone_takes_its_count_with_it_and_no_rate_is_negative():
    before = {"a": process(100), "b": process(50_000)}
    assert rate(before, {"a": process(110)}) == 10.0
    assert rate(before, {"a": process(110), "b": None}) == 10.0
    assert rate(before, {"c": process(3)}) == 3.0


def test_one_that_was_started_again_under_its_name_counts_from_0():
    before = {"a": process(100, connected=9), "b": process(50_000, connected=50)}
    now = {"a": process(110, connected=9), "b": process(5, connected=3)}
    assert rate(before, now) == 15.0
    assert values(before, now)["NewConnectionsPerSecond",] == pytest.approx(0.05)


def test_an_instance_that_all_of_them_send_requests_to_is_one():
    now = {"a": process(members=(2, 3)), "b": process(members=(3, 3)), "c": process()}
    assert there(now).instances == {("iris", "blue"): (2, 3)}


def test_open_connections_are_those_of_all():
    found = there({"a": process(connections=2), "b": process(connections=5), "c": None})
    assert found.connections == 7
    assert there({"a": process()}).connections is None


def test_where_none_answers_nothing_is_known():
    assert there({"a": None, "b": None}) is there({}) is None
    assert growth({"a": process(1)}, {"a": None}) is growth({}, {}) is None
