"""When an alert fires and when it is resolved, over curves of what was measured."""

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.alerts.watch import Watch


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


def test_one_that_is_turned_off_is_resolved_and_fires_no_more():
    watch = Watch()
    for _ in range(5):
        watch.look(watch.answers(_503=50))
    watch.rule = watch.rule.model_copy(update={"enabled": False})
    for _ in range(5):
        watch.look(watch.answers(_503=50))
    assert watch.turns == [(20, "Fired"), (30, "Resolved")]
    assert watch.standing.why == "it was turned off"


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
