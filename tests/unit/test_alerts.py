"""When an alert fires and when it is resolved, over curves of what was measured."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_provider import alerts
from inference_provider.alert_words import compared
from inference_provider.alerts import Look, Standing, Verdict
from inference_provider.metrics.catalogue import CATALOGUE
from inference_provider.metrics.series import InstanceUse, Reading, series
from inference_provider.router.counters import Counted
from inference_provider.spec.alert import DIMENSIONS, ERROR_RATE, AlertMetric, AlertRule

EVERY_S = 5
START = datetime(2026, 11, 27, tzinfo=UTC)


def counts(**of: Any) -> Counted:
    empty: dict[str, Any] = {
        "requests": {},
        "model_errors": {},
        "bytes": {},
        "latency": {},
        "instances": {},
        "connections": None,
        "connected": None,
    }
    return Counted(**empty | of)


class Watch:
    """One rule, and what it says at each look."""

    def __init__(self, **fields: Any) -> None:
        usual = {"metric": "ErrorRate", "threshold": 5, "window_s": 15, "resolve_after_s": 0}
        self.rule = AlertRule(**usual | fields)
        self.before: Reading | None = None
        self.last_s: float | None = None
        self.at_s = 1000.0
        self.looks: tuple[Look, ...] = ()
        self.standing = Standing()
        self.well_s = self.silent_s = 0.0
        self.verdict = Verdict(None, None, "")
        self.turns: list[tuple[float, str]] = []
        self.total: dict[str, int] = {}

    def answers(self, of: str = "blue", **by_status: int) -> Counted:
        """Return counters after more answers: `_200=10` for ten with 200."""
        for status, count in by_status.items():
            name = f"{of}/{status[1:]}"
            self.total[name] = self.total.get(name, 0) + count
        found = {("iris", *name.split("/")): n for name, n in self.total.items()}
        return counts(requests=found, instances={("iris", "blue"): (1, 1)})

    def look(self, router: Counted | None = None, *uses: InstanceUse) -> str:
        """Look, 5 s later; return what it says."""
        self.at_s += EVERY_S
        now = Reading(self.at_s, {"": router}, uses)
        known = alerts.of_endpoints(series(self.before or now, now)).get("iris", [])
        if alerts.is_counted(self.rule):
            grown = alerts.grown_between(self.before, now)
            one = None
            if grown is not None:
                growth = grown.get("iris", alerts.Growth())
                one = alerts.looked(self.rule, growth, self.before.at_s, self.at_s, known)
        else:
            one = alerts.seen(self.rule, self.last_s, self.at_s, known)
        looks = (*self.looks, one) if one else self.looks
        self.looks = alerts.remembered(self.rule, looks, self.at_s)
        self.verdict = alerts.judged(
            self.rule,
            self.looks,
            self.at_s,
            is_measured=one is not None,
            answered=router is not None,
        )
        if self.verdict.is_silent:
            self.silent_s += EVERY_S
        elif self.verdict.beyond is not None:
            self.silent_s = 0.0
        if self.verdict.beyond:
            self.well_s = 0.0
        elif one and self.verdict.beyond is False:
            self.well_s += one.seconds
        before = self.standing
        at = START + timedelta(seconds=self.at_s)
        self.standing = alerts.decided(
            self.rule, self.verdict, before, well_s=self.well_s, silent_s=self.silent_s, now=at
        )
        if self.standing.condition != before.condition:
            self.turns.append((self.at_s - 1000, self.standing.condition))
        self.last_s, self.before = self.at_s, now if router else self.before
        return self.verdict.why

    def used(self, cpu: float | None) -> str:
        return self.look(counts(), InstanceUse("iris/blue", "iris.blue.g.0", cpu=cpu))


def test_errors_beyond_the_threshold_fire_once_a_window_is_measured_and_resolve_after_it():
    watch = Watch()
    for _ in range(6):
        watch.look(watch.answers(_200=50, _503=50))
    for _ in range(6):
        watch.look(watch.answers(_200=100))
    assert watch.turns == [(20, "Fired"), (45, "Resolved")]
    assert watch.standing.why == "ErrorRate 0 % not above 5 %, of 300 requests in 15 s"


def test_it_says_what_is_missing_until_a_whole_window_is_measured():
    watch = Watch()
    assert watch.look(watch.answers(_503=9)) == "it is not measured now"
    assert watch.look(watch.answers(_503=9)) == "measured for 5 s of 15 s"
    assert watch.look(watch.answers(_503=9)) == "measured for 10 s of 15 s"
    assert watch.look(watch.answers(_503=9)) == (
        "ErrorRate 100 % above 5 %, of 27 requests in 15 s"
    )


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


def test_a_few_requests_say_nothing_and_resolve_what_has_fired_after_a_whole_window():
    watch = Watch(resolve_after_s=30)
    for _ in range(5):
        watch.look(watch.answers(_503=50))
    for _ in range(7):
        said = watch.look(watch.answers(_200=1))
    assert said == "3 requests in 15 s, needs 10"
    assert watch.standing.has_fired
    for _ in range(10):
        watch.look(watch.answers(_200=1))
    assert watch.turns == [(20, "Fired"), (65, "Resolved")]
    assert watch.standing.why == "it is no longer measured: 3 requests in 15 s, needs 10"
    for _ in range(4):
        watch.look(watch.answers(_503=50))
    assert [what for _, what in watch.turns] == ["Fired", "Resolved", "Fired"]


def test_one_whose_instances_are_gone_is_resolved_after_a_whole_window_and_fires_anew():
    watch = Watch(metric="CpuUtilizationPercentage", threshold=80, window_s=30)
    for _ in range(8):
        watch.used(95)
    for _ in range(5):
        watch.used(None)
    assert watch.turns == [(35, "Fired")]
    watch.used(None)
    assert watch.turns == [(35, "Fired"), (70, "Resolved")]
    assert watch.standing.why == "it is no longer measured"
    for _ in range(8):
        watch.used(95)
    assert [what for _, what in watch.turns] == ["Fired", "Resolved", "Fired"]


def test_a_value_between_begins_the_time_without_one_anew():
    watch = Watch(metric="CpuUtilizationPercentage", threshold=80, resolve_after_s=30)
    for _ in range(5):
        watch.used(95)
    for _ in range(10):
        for cpu in (None, None, 95, 95, 95, 95):
            watch.used(cpu)
    assert watch.turns == [(20, "Fired")]


def test_a_router_that_does_not_answer_neither_fires_nor_resolves():
    watch = Watch()
    for _ in range(5):
        watch.look(watch.answers(_503=50))
    assert {watch.look(None) for _ in range(100)} == {"it is not measured now"}
    assert watch.turns == [(20, "Fired")]
    for _ in range(4):  # what it has counted meanwhile lies in no window
        watch.look(watch.answers(_200=50))
    assert watch.turns == [(20, "Fired"), (545, "Resolved")]


def test_a_router_that_is_started_again_counts_from_nothing():
    watch = Watch()
    for _ in range(5):
        watch.look(watch.answers(_200=50, _503=1))
    watch.total = {}
    watch.look(watch.answers(_200=40))
    assert watch.verdict.value == pytest.approx(100 * 2 / 142)


def test_what_is_beyond_and_well_in_turn_stays_fired():
    watch = Watch(window_s=15, resolve_after_s=60)
    for _ in range(4):
        watch.look(watch.answers(_503=90))
    for _ in range(20):
        for _ in range(8):
            watch.look(watch.answers(_200=100))
        watch.look(watch.answers(_503=90))
    assert watch.turns == [(20, "Fired")]
    for _ in range(30):
        watch.look(watch.answers(_200=100))
    assert [what for _, what in watch.turns] == ["Fired", "Resolved"]


def test_time_that_was_not_measured_does_not_count_as_well():
    watch = Watch(metric="CpuUtilizationPercentage", threshold=80, resolve_after_s=30)
    for _ in range(5):
        watch.used(95)
    for _ in range(8):
        watch.look(None)
    for _ in range(3):
        watch.used(5)
    assert watch.standing.has_fired
    for _ in range(10):
        watch.used(5)
    assert not watch.standing.has_fired


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


def test_one_that_is_turned_off_is_resolved_and_fires_no_more():
    watch = Watch()
    for _ in range(5):
        watch.look(watch.answers(_503=50))
    watch.rule = watch.rule.model_copy(update={"enabled": False})
    for _ in range(5):
        watch.look(watch.answers(_503=50))
    assert watch.turns == [(20, "Fired"), (30, "Resolved")]
    assert watch.standing.why == "it was turned off"


def test_a_day_is_remembered_in_about_60_looks():
    watch = Watch(metric="CpuUtilizationPercentage", threshold=80, window_s=86_400)
    for at in range(90_000 // EVERY_S):
        watch.used(float(at % 2))
        assert len(watch.looks) < 130
    assert watch.verdict.value == pytest.approx(0.5, rel=1e-3)


def test_a_window_of_which_little_was_measured_says_nothing():
    watch = Watch(metric="CpuUtilizationPercentage", threshold=80, window_s=60)
    said = set()
    for at in range(40):
        said.add(watch.used(None if at % 3 else 95))
    assert said == {
        "it is not measured now",
        *(f"measured for {s} s of 60 s" for s in (5, 10, 15, 20)),
    }
    assert watch.turns == []


@given(st.lists(st.one_of(st.none(), st.integers(0, 100)), max_size=80))
def test_it_fires_and_resolves_in_turn_whatever_is_measured(curve):
    watch = Watch(metric="CpuUtilizationPercentage", threshold=50)
    for cpu in curve:
        watch.used(cpu)
    found = [what for _, what in watch.turns]
    assert found == [("Fired", "Resolved")[i % 2] for i in range(len(found))]


def test_every_metric_of_an_endpoint_can_be_watched_by_its_own_dimensions():
    of_endpoints = {
        one.name: frozenset(one.dimensions) - {"endpoint"}
        for one in CATALOGUE
        if "endpoint" in one.dimensions
    }
    assert {name: one for name, one in DIMENSIONS.items() if name != ERROR_RATE} == of_endpoints
    assert set(DIMENSIONS) == set(get_args(AlertMetric))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dimensions": {"State": ["Healthy"]}}, "ErrorRate has no dimension State; it has deploy"),
        (
            {"metric": "NetworkBytes", "dimensions": {"deployment": ["blue"]}},
            "NetworkBytes has no dimension deployment; it has none",
        ),
        ({"dimensions": {"deployment": []}}, "at least 1 item"),
        ({"aggregation": "total"}, "ErrorRate has no total; use average, maximum or minimum"),
        ({"threshold": 100}, "ErrorRate is never above 100 percent; lower the threshold"),
        ({"threshold": -1}, "greater than or equal to 0"),
        ({"threshold": 0, "operator": "less_than"}, "ErrorRate is never below 0; raise the thresh"),
        ({"window_s": 14}, "greater than or equal to 15"),
        ({"window_s": 86_401}, "less than or equal to 86400"),
        ({"severity": 5}, "less than or equal to 4"),
        (
            {"metric": "DiskUtilization", "min_requests": 5},
            "min_requests is of ErrorRate and RequestLatency; leave it out",
        ),
        ({"metric": "ConnectionsActive"}, "Input should be 'ErrorRate'"),
    ],
)
def test_a_rule_that_could_not_be_watched_is_refused(fields, reason):
    with pytest.raises(ValueError, match=reason):
        AlertRule(**{"metric": "ErrorRate", "threshold": 5} | fields)
