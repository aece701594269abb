"""Counts that steps of a rule want: by load, by latency and its percentiles, by GPUs."""

import json

from tests.autoscale_runs import AZURE, Run, rule, step

from inference_provider.autoscale import Memory


def test_a_step_out_takes_a_whole_window_and_comes_once_in_it():
    run = Run(AZURE, 2)
    assert run.over(300, CpuUtilizationPercentage=90, RequestLatency=10) == 2
    assert run.look(CpuUtilizationPercentage=90, RequestLatency=10) == 4
    assert run.why == ("CpuUtilizationPercentage is 90, above 70 for 300 s: +2",)
    assert run.over(296, CpuUtilizationPercentage=90, RequestLatency=10) == 4
    assert run.over(4, CpuUtilizationPercentage=90, RequestLatency=10) == 5
    assert "the rule allows 2 to 5" in run.why


def test_a_queue_is_its_mean_over_the_window_and_an_idle_one_leaves_busy_instances():
    queue = rule(
        metrics=[
            step(1, 4.0, "RequestsQueued", window_s=60),
            step(-1, 1.0, "RequestsQueued", window_s=120),
            step(-1, 30.0, window_s=120),
        ]
    )
    run = Run(queue, 2)
    run.over(30, RequestsQueued=0, CpuUtilizationPercentage=90)
    run.over(30, RequestsQueued=8, CpuUtilizationPercentage=90)
    assert run.look(RequestsQueued=8, CpuUtilizationPercentage=90) == 3
    assert run.why == ("RequestsQueued is 4.267, above 4 for 60 s: +1",)
    assert run.over(600, RequestsQueued=0, CpuUtilizationPercentage=90) == 3
    assert run.over(122, RequestsQueued=0, CpuUtilizationPercentage=9) == 2


def test_any_step_out_is_enough_and_the_largest_counts():
    run = Run(AZURE, 2)
    assert run.over(302, CpuUtilizationPercentage=50, RequestLatency=80) == 3
    run = Run(AZURE, 2)
    assert run.over(302, CpuUtilizationPercentage=90, RequestLatency=80) == 4


def test_all_steps_in_have_to_agree():
    slow = rule(metrics=[step(-1, 30.0), step(-1, 5.0, "RequestLatency")])
    assert Run(slow, 3).over(302, CpuUtilizationPercentage=10, RequestLatency=50) == 3
    assert Run(slow, 3).over(302, CpuUtilizationPercentage=10, RequestLatency=1) == 2


def test_latency_is_the_mean_of_the_requests_that_were_answered_in_the_window():
    run = Run(rule(metrics=[step(1, 100.0, "RequestLatency", window_s=60)]))
    run.over(30, RequestLatency=88, answered=9)
    run.over(30, RequestLatency=190, answered=1)
    assert run.look(RequestLatency=190, answered=1) == 1  # 99.5 ms; the mean of its looks is 142
    assert run.look(RequestLatency=190, answered=1) == 2
    assert run.why == ("RequestLatency is 100.9, above 100 for 60 s: +1",)


def test_one_slow_request_in_a_window_is_its_latency():
    run = Run(rule(metrics=[step(1, 100.0, "RequestLatency", window_s=60)]))
    run.over(60, RequestLatency=0, answered=0)
    run.look(RequestLatency=101, answered=1)
    assert run.look(RequestLatency=0, answered=0) == 2


def test_without_a_request_there_is_no_latency_and_no_instance_goes_for_it():
    quick = rule(metrics=[step(-1, 50.0, "RequestLatency", window_s=60)])
    run = Run(quick, 3)
    assert run.over(600, RequestLatency=0, answered=0) == 3
    assert run.over(4, RequestLatency=10, answered=1) == 2
    busy_too = rule(metrics=[*quick.metrics, step(-1, 30.0, window_s=60)])
    idle = Run(busy_too, 3)
    assert idle.over(600, RequestLatency=0, answered=0, CpuUtilizationPercentage=1) == 3


def test_latency_that_was_not_measured_for_a_look_says_nothing_of_its_window():
    run = Run(rule(metrics=[step(1, 100.0, "RequestLatency", window_s=60)]))
    run.over(58, RequestLatency=900)
    run.look()
    assert run.over(60, RequestLatency=900) == 1
    assert run.over(4, RequestLatency=900) == 2


def test_one_look_without_latency_is_not_thinned_out_of_a_long_window():
    run = Run(rule(metrics=[step(1, 100.0, "RequestLatency", window_s=3600)]))
    run.over(1806, RequestLatency=900)
    run.look()
    assert run.over(3500, RequestLatency=900) == 1
    assert run.over(120, RequestLatency=900) == 2


def test_a_window_of_latency_begins_again_with_each_change():
    run = Run(rule(metrics=[step(1, 100.0, "RequestLatency", window_s=60)]))
    assert run.over(62, RequestLatency=900) == 2
    assert run.over(58, RequestLatency=900) == 2
    assert run.over(600, RequestLatency=20) == 3
    assert run.changes() == 2


def answers(slow: int, of: int = 100, **given) -> Run:
    """Return what a rule by the 95th percentile does of so many above 500 ms in a minute."""
    p95 = step(threshold=500.0, metric="RequestLatency", percentile=95, window_s=60, **given)
    run = Run(rule(metrics=[p95]), 3)
    run.over(60, RequestLatency=400, answered=0)
    run.look(RequestLatency=400, answered=of - slow)
    run.look(RequestLatency=501, answered=slow)
    return run


def test_a_step_out_by_a_percentile_comes_when_more_than_its_rest_took_longer():
    slow = answers(6, change=1)
    assert (slow.count, slow.why) == (
        4,
        (
            "RequestLatency, percentile 95, is above 500 for 60 s,"
            " 6 % of the requests took longer: +1",
        ),
    )
    assert answers(5, change=1).count == 3
    assert answers(0, of=0, change=1).count == 3


def test_a_step_in_by_a_percentile_comes_when_no_more_than_its_rest_took_longer():
    def rarely_slow(slow: int) -> int:
        p95 = step(-1, 500.0, "RequestLatency", percentile=95, window_s=60)
        run = Run(rule(metrics=[p95]), 3)
        run.over(30, RequestLatency=400, answered=0)
        run.look(RequestLatency=501, answered=slow)
        run.look(RequestLatency=400, answered=100 - slow)
        return run.over(28, RequestLatency=400, answered=0)

    assert rarely_slow(6) == 3
    assert rarely_slow(5) == 2


def test_a_percentile_of_another_threshold_says_nothing_before_its_own_window():
    p95 = step(1, 500.0, "RequestLatency", percentile=95, window_s=60)
    run = Run(rule(metrics=[p95]))
    run.over(50, RequestLatency=400)
    run.rule = rule(metrics=[{**p95, "threshold": 300.0}])
    assert run.over(60, RequestLatency=400) == 1
    assert run.over(4, RequestLatency=400) == 2


def test_a_memory_with_percentiles_is_written_and_read_as_it_is():
    p95 = step(1, 0.5, "RequestLatency", percentile=95, window_s=60)
    run = Run(rule(metrics=[p95]))
    run.over(20, RequestLatency=400)
    written = json.dumps(run.memory.model_dump(exclude_none=True))
    assert Memory.model_validate(json.loads(written)) == run.memory


def test_fewer_instances_whose_gpus_would_be_too_busy_do_not_come():
    gpu = "GpuUtilizationPercentage"
    close = rule(metrics=[step(1, 70.0, gpu), step(-1, 60.0, gpu)])
    assert Run(close, 2).over(900, GpuUtilizationPercentage=50) == 2
    assert Run(close, 2).over(302, GpuUtilizationPercentage=30) == 1


def test_fewer_instances_that_would_be_too_busy_at_once_do_not_come():
    close = rule(metrics=[step(1, 70.0), step(-1, 60.0)])
    run = Run(close, 2)
    assert run.over(900, CpuUtilizationPercentage=50) == 2
    assert run.why == ("with 1 CpuUtilizationPercentage would be 100, above 70",)
    assert Run(close, 2).over(302, CpuUtilizationPercentage=30) == 1


def test_a_window_with_a_hole_says_nothing():
    run = Run(AZURE, 2)
    run.over(200, CpuUtilizationPercentage=90)
    run.look()
    assert run.over(290, CpuUtilizationPercentage=90) == 2
    assert run.over(12, CpuUtilizationPercentage=90) == 4


def test_a_step_never_ends_the_last_instance():
    assert (
        Run(rule(min_instances=0, metrics=[step(-3, 30.0)])).over(900, CpuUtilizationPercentage=1)
        == 1
    )
