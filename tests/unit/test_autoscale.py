"""Counts that a rule wants: by targets, by schedules, and over whole curves of load."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.autoscale_runs import AZURE, NOON, Run, busy, in_flight, rule, step

from inference_provider.autoscale import Memory, decide, is_open, limits_at
from inference_provider.autoscale_samples import Sample
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.spec.autoscale_rule import ScheduleRule

# -- targets -----------------------------------------------------------------------------------


def test_a_target_gets_as_many_as_its_metric_needs_at_the_first_look():
    run = Run(in_flight())
    assert run.look(RequestsInFlight=30) == 4
    assert run.why == ("RequestsInFlight is 30, its target 8",)


@pytest.mark.parametrize(("cpu", "count"), [(64, 4), (70, 4), (76, 4), (80, 5), (140, 8)])
def test_a_share_near_its_target_changes_nothing(cpu, count):
    assert Run(busy(), 4).look(CpuUtilizationPercentage=cpu) == count


def test_of_two_targets_the_one_that_wants_more_decides():
    both = rule(
        targets=[
            {"metric": "CpuUtilizationPercentage", "target": 50},
            {"metric": "RequestsInFlight", "target": 10},
        ]
    )
    assert Run(both, 2).look(CpuUtilizationPercentage=100, RequestsInFlight=25) == 4
    assert Run(both, 2).look(CpuUtilizationPercentage=50, RequestsInFlight=55) == 6


def test_instances_that_start_are_not_asked_for_again():
    run = Run(busy(), 2)
    assert run.look(CpuUtilizationPercentage=140) == 4
    assert run.over(60, ready=2, CpuUtilizationPercentage=140) == 4


def test_instances_that_start_do_not_make_others_go():
    run = Run(busy(scale_in={"stabilization_s": 0}), 4)
    assert run.look(ready=2, CpuUtilizationPercentage=60) == 4
    assert run.look(ready=4, CpuUtilizationPercentage=30) == 2


def test_at_most_four_or_twice_as_many_come_in_15_seconds():
    run = Run(in_flight(1, max_instances=50))
    assert run.look(RequestsInFlight=50) == 5
    assert run.why == (
        "RequestsInFlight is 50, its target 1",
        "50 wanted, at the pace of scale_out",
    )
    assert run.over(12, RequestsInFlight=50) == 5
    assert run.over(4, RequestsInFlight=50) == 10
    assert run.over(16, RequestsInFlight=50) == 20


def test_instances_that_have_gone_within_the_period_may_come_back_at_once():
    run = Run(in_flight(1, max_instances=3, scale_in={"stabilization_s": 0}))
    for _ in range(4):
        assert run.look(RequestsInFlight=3) == 3
        assert run.look(RequestsInFlight=1) == 1
    slow = Run(in_flight(scale_out={"max_change": 2}, scale_in={"stabilization_s": 0}))
    assert [slow.look(RequestsInFlight=n) for n in (24, 8, 80)] == [3, 1, 3]


def test_scale_out_keeps_the_pace_that_it_says():
    run = Run(in_flight(1, scale_out={"max_change": 1, "period_s": 60}))
    assert run.look(RequestsInFlight=9) == 2
    assert run.over(56, RequestsInFlight=9) == 2
    assert run.over(4, RequestsInFlight=9) == 3


def test_scale_in_keeps_the_pace_that_it_says():
    run = Run(in_flight(scale_in={"max_change": 2, "period_s": 60, "stabilization_s": 0}), 8)
    assert run.look(RequestsInFlight=1) == 6
    assert run.over(56, RequestsInFlight=1) == 6
    assert run.over(4, RequestsInFlight=1) == 4


def test_in_waits_for_five_minutes_in_which_fewer_were_enough():
    run = Run(in_flight(), 4)
    assert run.over(298, RequestsInFlight=8) == 4
    assert run.why[-1] == "not yet for 300 s"
    run.look(RequestsInFlight=24)
    assert run.over(298, RequestsInFlight=8) == 3, "as many as were wanted meanwhile"
    assert run.over(4, RequestsInFlight=8) == 1


def test_in_goes_to_the_most_that_was_wanted_meanwhile():
    run = Run(in_flight(), 6)
    run.over(150, RequestsInFlight=24)
    run.over(148, RequestsInFlight=8)
    assert run.over(4, RequestsInFlight=8) == 3


def test_out_waits_where_the_rule_says_so():
    run = Run(in_flight(scale_out={"stabilization_s": 20}))
    assert run.over(10, RequestsInFlight=40) == 1
    run.look(RequestsInFlight=4)
    assert run.over(18, RequestsInFlight=40) == 1
    assert run.over(4, RequestsInFlight=40) == 5


def test_an_autoscaler_that_starts_ends_nothing_before_it_has_looked():
    run = Run(in_flight(), 5)
    assert run.over(290, RequestsInFlight=0) == 5
    assert run.over(20, RequestsInFlight=0) == 1


# -- to zero -----------------------------------------------------------------------------------


def test_the_last_instance_goes_after_five_minutes_without_a_request():
    run = Run(in_flight(min_instances=0))
    assert run.over(300, RequestsInFlight=0) == 1
    assert run.look(RequestsInFlight=0) == 0


def test_one_that_waits_wakes_an_instance_at_once_and_a_crowd_as_many_as_it_needs():
    asleep = in_flight(min_instances=0, scale_out={"stabilization_s": 600, "max_change": 1})
    assert Run(asleep, 0).look(RequestsInFlight=1) == 1
    assert Run(asleep, 0).look(RequestsInFlight=40) == 5
    assert Run(asleep, 0).look(RequestsInFlight=0) == 0


def test_a_share_of_cpu_keeps_no_idle_instance_awake():
    both = in_flight(min_instances=0, scale_in={"stabilization_s": 0})
    also = {"metric": "CpuUtilizationPercentage", "target": 70}
    given = both.model_dump() | {"targets": [*both.model_dump()["targets"], also]}
    run = Run(AutoscaleRuleSpec(**given))
    run.look(RequestsInFlight=0, CpuUtilizationPercentage=1)
    assert run.look(RequestsInFlight=0, CpuUtilizationPercentage=1) == 0


def test_any_rule_that_allows_none_wakes_one_for_who_waits():
    for asleep in (
        busy(min_instances=0),
        rule(min_instances=0),
        rule(min_instances=0, metrics=[step(1)]),
    ):
        run = Run(asleep, 0)
        assert run.over(600, RequestsInFlight=0) == 0
        assert run.over(60) == 0
        assert run.look(RequestsInFlight=1) == 1
        assert run.why == ("1 request waits for an instance",)
    several = Run(busy(min_instances=0), 0)
    assert several.look(RequestsInFlight=40) == 1
    assert several.why == ("40 requests wait for an instance",)


def test_a_rule_without_targets_ends_its_instances_after_five_minutes_without_a_request():
    run = Run(rule(min_instances=0), 3)
    assert run.over(600, RequestsInFlight=1) == 3
    assert run.over(298, RequestsInFlight=0) == 3
    assert run.over(4, RequestsInFlight=0) == 0
    assert Run(rule(min_instances=1), 3).over(900, RequestsInFlight=0) == 3


def test_steps_end_all_but_the_last_instance_and_idle_time_ends_that():
    quiet = step(-1, 30.0)
    run = Run(rule(min_instances=0, metrics=[quiet]), 2)
    assert run.over(302, CpuUtilizationPercentage=1, RequestsInFlight=0) == 1
    assert run.over(298, CpuUtilizationPercentage=1, RequestsInFlight=0) == 1
    assert run.over(4, CpuUtilizationPercentage=1, RequestsInFlight=0) == 0
    busy_one = Run(rule(min_instances=0, metrics=[quiet]), 1)
    assert busy_one.over(900, CpuUtilizationPercentage=1, RequestsInFlight=1) == 1


def test_a_schedule_that_allows_none_ends_instances_in_its_time_alone():
    night = {"cron": "10 12 * * *", "duration_s": 3600, "min_instances": 0, "max_instances": 2}
    run = Run(rule(schedules=[night]), 3)
    assert run.over(600, RequestsInFlight=0) == 3
    assert run.look(RequestsInFlight=0) == 2
    assert run.over(302, RequestsInFlight=0) == 0
    assert run.look(RequestsInFlight=1) == 1
    assert run.over(4000, RequestsInFlight=0) == 1


# -- what is not measured ----------------------------------------------------------------------


def test_without_any_measurement_the_count_stays():
    run = Run(in_flight(), 3)
    assert run.over(1200) == 3
    run = Run(AZURE, 3)
    assert run.over(1200) == 3


def test_while_a_metric_is_missing_more_come_and_none_go():
    both = rule(
        targets=[
            {"metric": "CpuUtilizationPercentage", "target": 50},
            {"metric": "RequestsInFlight", "target": 10},
        ],
        scale_in={"stabilization_s": 0},
    )
    run = Run(both, 3)
    assert run.over(60, RequestsInFlight=1) == 3
    assert run.why == ("CpuUtilizationPercentage could not be measured: no instance goes",)
    assert run.look(RequestsInFlight=44) == 5


# -- schedules ---------------------------------------------------------------------------------

OFFICE = {
    "cron": "0 8 * * 1-5",
    "duration_s": 36000,
    "time_zone": "Europe/Berlin",
    "min_instances": 4,
    "max_instances": 20,
}


@pytest.mark.parametrize(
    ("when", "limits"),
    [
        ("2026-11-25T06:59:59Z", (1, 10)),
        ("2026-11-25T07:00:00Z", (4, 20)),
        ("2026-11-25T16:59:59Z", (4, 20)),
        ("2026-11-25T17:00:00Z", (1, 10)),
        ("2026-11-28T10:00:00Z", (1, 10)),
        ("2026-07-01T06:00:00Z", (4, 20)),
    ],
)
def test_a_schedule_has_its_limits_by_the_clock_of_its_zone(when, limits):
    found = limits_at(rule(schedules=[OFFICE]), datetime.fromisoformat(when))
    assert (found.least, found.most) == limits


def test_time_zones_are_known_where_the_system_has_none():
    ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=[])
    try:
        berlin = {"cron": "0 8 * * *", "duration_s": 60, "time_zone": "Europe/Berlin"}
        asked = rule(schedules=[{**berlin, "min_instances": 3, "max_instances": 3}])
        assert limits_at(asked, datetime(2026, 7, 1, 6, tzinfo=UTC))[:2] == (3, 3)
    finally:
        zoneinfo.reset_tzpath()
        ZoneInfo.clear_cache()


@pytest.mark.parametrize(
    ("when", "open_"),
    [
        ("2026-03-29T00:59:00Z", False),
        ("2026-03-29T01:30:00Z", True),  # 2:30 is not there on that night: 3:30 is
        ("2026-03-29T02:30:00Z", False),
        ("2026-10-25T00:30:00Z", True),  # 2:30 comes twice: the first
        ("2026-10-25T01:30:00Z", False),
    ],
)
def test_a_start_in_a_night_when_the_clock_changes_comes_once(when, open_):
    given = {"cron": "30 2 * * *", "duration_s": 3600, "min_instances": 2, "max_instances": 3}
    night = ScheduleRule(time_zone="Europe/Berlin", **given)
    assert is_open(night, datetime.fromisoformat(when)) is open_


def test_a_window_that_began_days_ago_is_open():
    weekend = {"cron": "0 18 * * fri", "duration_s": 216000, "min_instances": 0, "max_instances": 1}
    monday = datetime(2026, 11, 30, 5, 59, tzinfo=UTC)
    assert is_open(ScheduleRule(**weekend), monday)
    assert not is_open(ScheduleRule(**weekend), monday + timedelta(minutes=1))


def test_a_schedule_that_begins_moves_the_count_at_once_and_one_that_ends_lets_targets_decide():
    run = Run(in_flight(schedules=[OFFICE | {"cron": "0 13 * * *", "time_zone": "UTC"}]))
    assert run.over(3600, RequestsInFlight=1) == 1
    assert run.look(RequestsInFlight=1) == 4
    assert run.why == (
        "RequestsInFlight is 1, its target 8",
        "schedule '0 13 * * *' allows 4 to 20",
    )
    run.at_s += 36000
    assert run.over(304, RequestsInFlight=1) == 1


# -- curves of load ----------------------------------------------------------------------------


def test_flapping_load_moves_the_count_up_once_and_never_down():
    run = Run(in_flight())
    for _ in range(60):
        run.over(20, RequestsInFlight=40)
        run.over(20, RequestsInFlight=1)
    assert (run.count, run.changes()) == (5, 1)


def test_a_spike_brings_instances_that_stay_for_five_minutes():
    run = Run(in_flight())
    run.over(60, RequestsInFlight=4)
    run.over(4, RequestsInFlight=80)
    assert run.count == 5
    assert run.over(290, RequestsInFlight=4) == 5
    assert run.over(20, RequestsInFlight=4) == 1


def test_a_sawtooth_is_followed_up_at_once_and_down_with_its_peak_in_mind():
    run = Run(in_flight())
    for _ in range(5):
        for load in range(0, 80, 4):
            run.over(20, RequestsInFlight=load)
            assert run.count * 8 * 1.1 >= load
    assert run.count == 9
    assert run.changes() <= 20


def test_a_clock_that_is_set_moves_no_window():
    run = Run(in_flight(), 4)
    run.over(200, RequestsInFlight=8)
    ahead = NOON + timedelta(days=400)
    decision = decide(
        run.rule,
        4,
        Sample(at_s=run.at_s, ready=4, values={"RequestsInFlight": 8}),
        run.memory,
        ahead,
    )
    assert decision.count == 4


def test_memory_stays_as_large_as_its_windows():
    run = Run(AZURE, 2)
    run.over(3000, CpuUtilizationPercentage=50, RequestLatency=1)
    assert len(run.memory.samples) <= 152
    assert len(run.memory.wanted) <= 152


def test_what_is_remembered_of_the_longest_window_is_bounded_and_decides_as_all_of_it_does():
    asked = in_flight(
        metrics=[step(1, window_s=3600)], scale_in={"stabilization_s": 3600}, max_instances=50
    )
    memory, peak, fired = Memory(), 0, []
    for at_s in range(8000):
        flight = 300 if at_s == 4500 else at_s % 97
        values = {"RequestsInFlight": flight, "CpuUtilizationPercentage": 50 + at_s % 60}
        sample = Sample(at_s=at_s, ready=40, values=values)
        decided = decide(asked, 40, sample, memory, NOON)
        memory, peak = decided.memory, max(peak, len(decided.memory.samples))
        fired += [at_s] if decided.count == 41 else []
    assert peak <= 400
    assert len(memory.wanted) < 100
    assert max(count for _, count in memory.wanted) == 40  # of the peak
    assert fired == [3600]


def test_a_memory_written_and_read_again_decides_the_same():
    run = Run(AZURE, 2)
    run.over(298, CpuUtilizationPercentage=90, RequestLatency=10)
    run.memory = Memory.model_validate_json(run.memory.model_dump_json())
    assert run.over(6, CpuUtilizationPercentage=90, RequestLatency=10) == 4
