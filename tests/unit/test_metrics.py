"""Two looks at a workspace -> series under Azure's names."""

import pytest

from inference_provider.metrics.catalogue import CATALOGUE
from inference_provider.metrics.series import InstanceUse, Reading, series
from inference_provider.router.counters import counted

OF_BLUE = "azml.{}.endpoint.iris.deployment.blue"


def looked(at_s, statistics=(), bins=(), instances=()):
    totals = [{"lower_bound": low, "width": width, "count": n} for low, width, n in bins]
    histograms = [{"name": OF_BLUE.format("latency"), "totals": totals}]
    return Reading(at_s, {"": counted(dict(statistics), histograms)}, instances)


def values(before, now):
    return {(one.metric.name, *one.labels): one.value for one in series(before, now)}


INSTANCE = {f"cluster.iris/blue.membership_{which}": 1 for which in ("healthy", "total")}


def requests(status, count, kind="requests"):
    return {f"{OF_BLUE.format(kind)}.code.{status}": count}


def test_requests_of_a_minute_are_those_since_the_look_before_by_status():
    before = looked(10, requests(200, 100))
    now = looked(40, requests(200, 115) | requests(429, 2))
    assert values(before, now) == {
        ("RequestsPerMinute", "iris", "blue", "200", "2xx", ""): 30.0,
        ("RequestsPerMinute", "iris", "blue", "429", "4xx", ""): 4.0,
    }


def test_a_models_errors_are_told_apart_by_the_status_that_it_gave():
    before = looked(0)
    now = looked(60, requests(424, 7) | requests(500, 4, "model_errors"))
    assert values(before, now) == {
        ("RequestsPerMinute", "iris", "blue", "424", "4xx", ""): 3.0,
        ("RequestsPerMinute", "iris", "blue", "424", "4xx", "500"): 4.0,
    }


def test_who_got_no_answer_has_a_status_of_no_class():
    found = values(looked(0), looked(60, requests(0, 1)))
    assert found == {("RequestsPerMinute", "iris", "blue", "0", "", ""): 1.0}


def test_percentiles_are_of_the_requests_since_the_look_before():
    before = looked(0, bins=[(10, 1, 1000)])
    now = looked(60, bins=[(10, 1, 1000), (20, 1, 90), (300, 10, 10)])
    found = values(before, now)
    assert found["RequestLatency", "iris", "blue"] == pytest.approx(48.95)
    assert {n: v for n, v in found.items() if "_P" in n[0]} == {
        ("RequestLatency_P50", "iris", "blue"): 20.5,
        ("RequestLatency_P90", "iris", "blue"): 20.5,
        ("RequestLatency_P95", "iris", "blue"): 305.0,
        ("RequestLatency_P99", "iris", "blue"): 305.0,
    }


def test_where_no_request_came_there_is_no_latency():
    one = looked(0, requests(200, 5), bins=[(10, 1, 5)])
    later = looked(60, requests(200, 5) | INSTANCE, bins=[(10, 1, 5)])
    assert values(one, later) == {
        ("DeploymentCapacity", "iris", "blue", "Healthy"): 1,
        ("DeploymentCapacity", "iris", "blue", "Unhealthy"): 0,
        ("RequestsPerMinute", "iris", "blue", "200", "2xx", ""): 0.0,
    }


@pytest.mark.parametrize(
    ("there", "of"),
    [
        ((), {("", "")}),
        (("red",), {("", ""), ("iris", "")}),
        (("blue", "red"), {("", ""), ("iris", ""), ("iris", "blue")}),
    ],
)
def test_what_is_gone_has_no_series_once_nothing_of_it_is_counted(there, of):
    names = ("-.deployment.", "iris.deployment.", "iris.deployment.blue")
    counts = {f"azml.requests.endpoint.{name}.code.404": 7 for name in names}
    counts |= {f"azml.bytes_{way}.endpoint.iris": 9 for way in ("in", "out")}
    members = {f"cluster.iris/{name}.membership_total": 1 for name in there}
    found = values(looked(0, counts), looked(60, counts | members))
    assert {one[1:3] for one in found if one[0] == "RequestsPerMinute"} == of
    assert (("NetworkBytes", "iris") in found) == bool(there)
    last = values(looked(0, counts), looked(60, {one: 60 for one in counts}))
    assert {one[1:3] for one in last if one[0] == "RequestsPerMinute"} == {
        ("", ""), ("iris", ""), ("iris", "blue"),
    }  # fmt: skip
    assert last["NetworkBytes", "iris"] > 0


def test_a_router_that_was_started_again_counts_from_0_and_no_rate_is_negative():
    before = looked(0, requests(200, 1000), bins=[(10, 1, 1000)])
    found = values(before, looked(60, requests(200, 6), bins=[(20, 1, 6)]))
    assert found["RequestsPerMinute", "iris", "blue", "200", "2xx", ""] == 6.0
    assert found["RequestLatency_P50", "iris", "blue"] == 20.5


def test_a_router_that_did_not_answer_leaves_series_out_and_none_is_0():
    use = InstanceUse("iris/blue", "iris.blue.g.0", cpu=12.0)
    counts = looked(0, requests(200, 5), instances=(use,))
    silent = Reading(60, {"": None}, (use,))
    of_instance = {("CpuUtilizationPercentage", "iris", "blue", "iris.blue.g.0"): 12.0}
    assert values(counts, silent) == of_instance
    assert values(silent, counts) == of_instance


def test_what_an_instance_uses_has_its_name_and_what_is_unknown_no_series():
    use = InstanceUse("iris/blue", "iris.blue.g.0", memory=40.0, gpu=None, disks=(("/", 64.0),))
    assert values(looked(0), looked(60, instances=(use,))) == {
        ("CpuMemoryUtilizationPercentage", "iris", "blue", "iris.blue.g.0"): 40.0,
        ("DiskUtilization", "iris", "blue", "iris.blue.g.0", "/"): 64.0,
    }


def test_bytes_are_those_received_and_sent():
    names = [f"azml.bytes_{way}.endpoint.iris" for way in ("in", "out")]
    before = looked(0, dict(zip(names, (10, 100), strict=True)))
    now = looked(10, dict(zip(names, (20, 400), strict=True)))
    assert values(before, now) == {("NetworkBytes", "iris"): 31.0}


def test_connections_are_of_the_router_as_a_whole():
    name = "http.ingress.downstream_cx_"
    before = looked(0, {f"{name}active": 2, f"{name}total": 10})
    now = looked(10, {f"{name}active": 3, f"{name}total": 40})
    assert values(before, now) == {
        ("ConnectionsActive",): 3.0,
        ("NewConnectionsPerSecond",): 3.0,
    }


def test_instances_are_counted_by_whether_the_router_sends_requests_to_them():
    name = "cluster.iris/blue.membership_"
    mirror = {"cluster.iris/blue/mirror.membership_healthy": 9}
    now = looked(0, {f"{name}healthy": 2, f"{name}total": 3} | mirror)
    assert values(now, now) == {
        ("DeploymentCapacity", "iris", "blue", "Healthy"): 2,
        ("DeploymentCapacity", "iris", "blue", "Unhealthy"): 1,
    }


def test_two_looks_at_one_moment_have_no_rate():
    now = looked(10, requests(200, 5))
    assert values(now, now) == {}


def test_each_metric_has_a_name_of_its_own_and_as_many_labels_as_dimensions():
    assert len({one.name for one in CATALOGUE}) == len(CATALOGUE)
    use = InstanceUse("a/b", "a.b.g.0", 1, 2, 3, 4, (("/", 5.0),))
    before = looked(0)
    now = looked(60, requests(200, 1), [(1, 1, 1)], (use,))
    found = series(before, now)
    assert all(len(one.labels) == len(one.metric.dimensions) for one in found)
    listed = [one.name for one in CATALOGUE]
    assert [one.metric.name for one in found] == sorted(
        (one.metric.name for one in found), key=listed.index
    )
