"""Which value an alert has in its window, and how that is told."""

import pytest
from tests.unit.alerts.watch import EVERY_S, Watch, counts

from inference_provider.alert_words import compared
from inference_provider.spec.alert import AlertRule


@pytest.mark.parametrize(
    ("answers", "value"),
    [
        ({"_200": 90, "_424": 10}, 10.0),
        ({"_200": 90, "_408": 10}, 10.0),
        ({"_200": 90, "_0": 10}, 10.0),
        ({"_200": 90, "_401": 10, "_429": 10}, 0.0),
    ],
)
def test_what_a_caller_did_wrong_is_no_error(answers, value):
    watch = Watch()
    for _ in range(5):
        watch.look(watch.answers(**answers))
    assert watch.verdict.value == value


def test_a_router_that_is_started_again_counts_from_nothing():
    watch = Watch()
    for _ in range(5):
        watch.look(watch.answers(_200=50, _503=1))
    watch.total = {}
    watch.look(watch.answers(_200=40))
    assert watch.verdict.value == pytest.approx(100 * 2 / 142)


def test_processors_are_averaged_over_looks_and_instances():
    watch = Watch(metric="CpuUtilizationPercentage", threshold=80)
    for cpu in (0, 10, 20, 30):
        watch.used(cpu)
    assert watch.verdict.value == 20
    assert watch.verdict.why == "CpuUtilizationPercentage 20 % not above 80 % in 15 s"


@pytest.mark.parametrize(("aggregation", "value"), [("maximum", 30), ("minimum", 10)])
def test_the_extreme_of_a_window_is_that_of_its_looks(aggregation, value):
    fields = {"metric": "CpuUtilizationPercentage", "threshold": 80, "aggregation": aggregation}
    watch = Watch(**fields)
    for cpu in (99, 10, 20, 30):
        watch.used(cpu)
    assert watch.verdict.value == value


def test_a_total_is_what_was_counted_in_the_window():
    watch = Watch(metric="RequestsPerMinute", aggregation="total", threshold=100)
    for _ in range(5):
        watch.look(watch.answers(_200=30))
    assert watch.verdict.why == "total RequestsPerMinute 90 not above 100 in 15 s"


def test_requests_in_a_minute_are_those_of_the_dimensions_alone():
    watch = Watch(
        metric="RequestsPerMinute",
        threshold=0,
        dimensions={"deployment": ["blue"], "statusCodeClass": ["5xx"]},
    )
    for _ in range(5):
        watch.answers("green", _503=500)
        watch.look(watch.answers(_200=50, _503=1, _500=1))
    assert watch.verdict.value == pytest.approx(24)


def test_no_request_is_a_rate_of_nothing_and_no_latency():
    rate = Watch(metric="RequestsPerMinute", threshold=1, operator="less_than")
    slow = Watch(metric="RequestLatency_P95", threshold=1)
    for _ in range(5):
        rate.look(rate.answers())
        slow.look(slow.answers())
    assert rate.turns == [(20, "Fired")]
    assert slow.verdict.why == "0 requests in 15 s, needs 10"


@pytest.mark.parametrize(
    ("metric", "value"), [("RequestLatency", 370), ("RequestLatency_P95", 1000)]
)
def test_durations_are_of_all_requests_of_a_window(metric, value):
    watch, took = Watch(metric=metric, threshold=500), {10.0: 0, 1000.0: 0}
    for ms, count in ((1000.0, 5), (10.0, 7), (10.0, 7), (1000.0, 8)):
        took = {**took, ms: took[ms] + count}
        watch.look(counts(latency={("iris", "blue"): took}))
    assert watch.verdict.value == pytest.approx(value)


def test_healthy_instances_of_all_deployments_are_added():
    watch = Watch(
        metric="DeploymentCapacity",
        dimensions={"State": ["Healthy"]},
        threshold=3,
        operator="less_than_or_equal",
    )
    for _ in range(4):
        watch.look(counts(instances={("iris", "blue"): (1, 2), ("iris", "green"): (2, 2)}))
    assert watch.verdict.why == "DeploymentCapacity 3 at or below 3 in 15 s"
    assert watch.standing.has_fired


@pytest.mark.parametrize(
    ("operator", "beyond"),
    [
        ("greater_than", False),
        ("greater_than_or_equal", True),
        ("less_than", False),
        ("less_than_or_equal", True),
    ],
)
def test_a_value_that_is_the_threshold_is_beyond_it_where_the_operator_says_so(operator, beyond):
    watch = Watch(metric="CpuUtilizationPercentage", threshold=20, operator=operator)
    for _ in range(4):
        watch.used(20)
    assert watch.verdict.beyond is beyond


@pytest.mark.parametrize(
    ("threshold", "operator", "value", "said"),
    [
        (123456789, "greater_than", 123456790, "123456790 B/s above 123456789 B/s"),
        (0.1, "greater_than", 2400, "2400 B/s above 0.1 B/s"),
        (1e16, "less_than", 2400, "2400 B/s below 10000000000000000 B/s"),
        (5e-324, "greater_than", 2, "2 B/s above 5e-324 B/s"),
        (2400.25, "less_than", 2400, "2400 B/s below 2400.25 B/s"),
        (2400, "greater_than", 2400.125, "2400.125 B/s above 2400 B/s"),
        (5, "greater_than", 5.00001, "5.00001 B/s above 5 B/s"),
        (9, "greater_than", 1 / 3, "0.3333 B/s not above 9 B/s"),
    ],
)
def test_no_digit_of_a_threshold_is_lost(threshold, operator, value, said):
    rule = AlertRule(metric="NetworkBytes", operator=operator, threshold=threshold)
    found = compared(rule, value, is_beyond=not said.count("not"))
    assert found == f"NetworkBytes {said}"


def test_a_day_is_remembered_in_about_60_looks():
    watch = Watch(metric="CpuUtilizationPercentage", threshold=80, window_s=86_400)
    for at in range(90_000 // EVERY_S):
        watch.used(float(at % 2))
        assert len(watch.looks) < 130
    assert watch.verdict.value == pytest.approx(0.5, rel=1e-3)
