"""What a router's statistics say of deployments, as autoscale rules go by it."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from urllib.parse import quote

from inference_provider.autoscale_samples import Sample, Timed
from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.spec.resources import ResourceAmounts
from inference_provider.targets.local import usage
from inference_provider.targets.local.usage import Usage
from inference_provider.targets.samples import GpuUse, Samples, Spent
from inference_provider.workspace.ruled import Ruled

SPIN = "import time; until = time.process_time() + {}\nwhile time.process_time() < until: pass\n"


def stepped(metric: str, name="iris/blue", min_instances=1, **given) -> Ruled:
    """Return a deployment with a rule of a step by one metric."""
    step = {"metric": metric, "operator": "greater_than", "threshold": 70, "change": 1}
    step |= given
    one = ruled(name, min_instances=min_instances)
    rule = one.rule.model_dump() | {"targets": (), "metrics": [step]}
    return replace(one, rule=AutoscaleRuleSpec.model_validate(rule))


def ruled(name="iris/blue", metric="RequestsInFlight", min_instances=1, **requests) -> Ruled:
    endpoint, deployment = name.split("/")
    rule = AutoscaleRuleSpec(
        endpoint=endpoint,
        deployment=deployment,
        min_instances=min_instances,
        max_instances=3,
        targets=[{"metric": metric, "target": 50}],
    )
    id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name=name)
    return Ruled(id_, rule, 1, ("iris.blue.g.0", "iris.blue.g.1"), ResourceAmounts(**requests))


class Router:
    """Statistics that a test sets, and a clock that it moves."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.found = {}
        self.answers = True
        self.longest = 0
        self.pids: dict[str, int] = {}
        self.usage = Usage(lambda: self.at_s)
        self.waiting: dict[str, int] | None = {}
        self.bins: dict[str, dict[float, int]] = {}
        self.tells_latency = True
        self.gpus: dict[str, list[GpuUse]] = {}
        self.gpus_asked = 0
        asked = self._statistics, self._used, lambda: self.at_s, lambda: self.waiting
        self.samples = Samples(*asked, histograms=self._histograms, gpus=self._gpus)

    def _used(self, names):
        return self.usage.look({n: pid for n, pid in self.pids.items() if n in names})

    def _statistics(self, pattern):
        self.longest = max(self.longest, len(quote(pattern)))
        if not self.answers:
            raise TargetUnreachable("ask", "the router", "it does not answer")
        return self.found

    def _histograms(self, pattern):
        if not self.tells_latency:
            raise TargetError("ask", "the router", "its image is of an older release")
        found = []
        for name, bins in self.bins.items():
            endpoint, deployment = name.split("/")
            tagged = f"azml.latency.endpoint.{endpoint}.deployment.{deployment}"
            if re.search(pattern, tagged):
                totals = [
                    {"lower_bound": ms - 0.5, "width": 1, "count": n} for ms, n in bins.items()
                ]
                found.append({"name": tagged, "totals": totals})
        return found

    def _gpus(self, names):
        self.gpus_asked += 1
        return {name: self.gpus[name] for name in names if name in self.gpus}

    def has(self, cluster="iris/blue", **statistics) -> None:
        self.found |= {f"cluster.{cluster}.{name}": one for name, one in statistics.items()}

    def sample(self, after_s: float, of: Ruled | None = None) -> Sample:
        self.at_s += after_s
        one = of or ruled()
        return self.samples([one])[one.id.name]


def test_requests_in_flight_and_of_a_minute_include_those_of_a_mirror():
    router = Router()
    router.has(membership_healthy=2, upstream_rq_active=3, upstream_rq_total=100)
    router.has("iris/blue/mirror", membership_healthy=2, upstream_rq_active=1, upstream_rq_total=50)
    first = router.sample(after_s=1)
    assert (first.ready, first.values) == (2, {"RequestsInFlight": 4})
    router.has(upstream_rq_total=108)
    router.has("iris/blue/mirror", upstream_rq_total=52)
    assert router.sample(after_s=2).values == {"RequestsInFlight": 4, "RequestsPerMinute": 300}


def test_many_deployments_are_asked_for_in_parts_that_a_router_takes():
    router, many = Router(), [ruled(f"iris/{'d-' * 14}{i}") for i in range(1000)]
    router.has(many[999].id.name, membership_healthy=1, upstream_rq_active=3, upstream_rq_total=9)
    assert router.samples(many)[many[999].id.name].values == {"RequestsInFlight": 3}
    assert router.longest < 60 * 1024


def test_a_router_that_does_not_answer_says_nothing_and_no_rate_spans_that_time():
    router = Router()
    router.has(membership_healthy=1, upstream_rq_active=1, upstream_rq_total=100)
    router.sample(after_s=1)
    router.answers = False
    silent = router.sample(after_s=1)
    assert (silent.values, silent.ready) == ({}, 0)
    router.answers = True
    assert router.sample(after_s=1).values == {"RequestsInFlight": 1}


def test_a_router_that_counts_from_zero_again_has_no_rate_at_first():
    router = Router()
    router.has(membership_healthy=1, upstream_rq_active=0, upstream_rq_total=100)
    router.sample(after_s=1)
    router.has(upstream_rq_total=3)
    assert router.sample(after_s=1).values == {"RequestsInFlight": 0}
    router.has(upstream_rq_total=4)
    assert router.sample(after_s=1).values["RequestsPerMinute"] == 60


def test_a_deployment_that_the_router_does_not_know_is_not_measured():
    router = Router()
    assert router.sample(after_s=1) == Sample(at_s=1, ready=0)
    router.has("iris/blue/mirror", membership_healthy=1, upstream_rq_active=3, upstream_rq_total=3)
    router.has(membership_healthy=1, upstream_rq_active=0)
    assert router.sample(after_s=1) == Sample(at_s=2, ready=0)
    router.has(upstream_rq_total=0)
    assert router.sample(after_s=1).values == {"RequestsInFlight": 3}


def test_a_deployment_that_never_had_an_instance_has_no_requests_but_those_that_wait():
    router = Router()
    router.has(membership_healthy=0)
    assert router.sample(after_s=1).values == {"RequestsInFlight": 0}
    asleep = ruled(min_instances=0)
    assert router.sample(after_s=1, of=asleep).values["RequestsInFlight"] == 0
    router.waiting = {"iris/blue": 7, "iris/green": 1}
    assert router.sample(after_s=1, of=asleep).values["RequestsInFlight"] == 7
    router.has(upstream_rq_active=2, upstream_rq_total=2)
    assert router.sample(after_s=1, of=asleep).values["RequestsInFlight"] == 9


def test_while_nobody_knows_who_waits_no_instance_of_those_goes_that_may_have_none():
    router = Router()
    router.has(membership_healthy=1, upstream_rq_active=0, upstream_rq_total=5)
    router.waiting = None
    assert router.sample(after_s=1, of=ruled(min_instances=0)).values == {}
    assert router.sample(after_s=1).values["RequestsInFlight"] == 0


def queued(max_concurrent: int, **given) -> Ruled:
    return replace(stepped("RequestsQueued", **given), max_concurrent=max_concurrent)


def test_what_is_queued_is_beyond_what_the_instances_work_on_or_waits_for_a_connection():
    router = Router()
    router.has(membership_healthy=2, upstream_rq_active=7, upstream_rq_total=100)
    assert router.sample(1, queued(4)).values == {"RequestsInFlight": 7, "RequestsQueued": 0}
    assert router.sample(1, queued(3)).values["RequestsQueued"] == 1
    router.has(upstream_rq_pending_active=5)
    assert router.sample(1, queued(4)).values["RequestsQueued"] == 5
    router.has("iris/blue/mirror", membership_healthy=2, upstream_rq_active=3, upstream_rq_total=3)
    router.has("iris/blue/mirror", upstream_rq_pending_active=1)
    assert router.sample(1, queued(4)).values["RequestsQueued"] == 8
    assert "RequestsQueued" not in router.sample(1).values, "no rule goes by it"


def test_who_waits_for_the_first_instance_is_queued_and_unknown_while_nobody_knows_who_waits():
    router, asleep = Router(), queued(4, min_instances=0)
    router.has(membership_healthy=0)
    router.waiting = {"iris/blue": 9}
    assert router.sample(1, asleep).values == {"RequestsInFlight": 9, "RequestsQueued": 9}
    router.waiting = None
    assert "RequestsQueued" not in router.sample(1, asleep).values
    assert router.sample(1, queued(4)).values["RequestsQueued"] == 0


def test_processor_time_is_a_share_of_what_is_asked_with_that_of_children_that_have_ended():
    router, asked = Router(), ruled(metric="CpuUtilizationPercentage", cpu="500m")
    code = "import subprocess, sys\ninput()\nsubprocess.run([sys.executable, '-c', sys.argv[1]])\n"
    code += "print('done', flush=True)\ninput()"
    command = [sys.executable, "-c", code, SPIN.format(1.25)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as parent:
        router.pids = {"iris.blue.g.0": parent.pid, "other.red.g.0": os.getpid()}
        assert "CpuUtilizationPercentage" not in router.sample(1, asked).values
        print(file=parent.stdin, flush=True)
        assert parent.stdout.readline() == "done\n"
        assert "CpuUtilizationPercentage" not in router.sample(after_s=4, of=asked).values
        share = router.sample(after_s=1, of=asked).values["CpuUtilizationPercentage"]
        print(file=parent.stdin, flush=True)
    # 1.25 s of 5 s of half a core, and the start of an interpreter
    assert 50 <= share < 150


def test_memory_is_the_mean_of_instances_in_percent_of_what_each_asks_for():
    router, asked = Router(), ruled(metric="CpuMemoryUtilizationPercentage", memory="1Ti")
    router.pids = dict.fromkeys(asked.serving, os.getpid())
    assert 0 < router.sample(1, asked).values["CpuMemoryUtilizationPercentage"] < 5


def test_what_no_rule_goes_by_or_nothing_is_asked_of_is_not_measured():
    router = Router()
    router.has(membership_healthy=1, upstream_rq_active=0, upstream_rq_total=0)
    router.pids = dict.fromkeys(ruled().serving, os.getpid())
    assert router.sample(1, ruled(cpu="1", memory="1Gi")).values == {"RequestsInFlight": 0}
    nothing = ruled(metric="CpuMemoryUtilizationPercentage")
    assert "CpuMemoryUtilizationPercentage" not in router.sample(1, nothing).values


def test_an_instance_that_has_ended_counts_for_nothing():
    router, asked = Router(), ruled(metric="CpuMemoryUtilizationPercentage", memory="1Gi")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    router.pids = {"iris.blue.g.0": ended.pid}
    assert router.sample(1, asked).values == {}


def test_processor_time_is_the_mean_of_fifteen_seconds():
    spent, told = Spent(1), []
    for at_s in range(61):
        told.append(spent.cores(at_s, min(max(at_s - 30, 0), 15)))  # one core from 30 to 45
    assert told[4] is None
    assert (told[5], told[30], told[36], told[45]) == (0, 0, 0.4, 1)
    assert told[60] == 0


def test_children_are_found_also_where_all_processes_have_to_be_listed():
    at_s = [0.0]
    with subprocess.Popen(["sleep", "60"]) as child:
        listed = usage._Listed(lambda: at_s[0])
        assert child.pid in listed(os.getpid())
        if usage._TELLS_CHILDREN:
            assert child.pid in [*usage._children_of(os.getpid())]
        child.kill()
    assert child.pid in listed(os.getpid())
    at_s[0] = 10
    assert child.pid not in listed(os.getpid())


def test_latency_is_told_by_all_that_the_router_has_ever_timed_of_the_deployment():
    router, asked = Router(), stepped("RequestLatency")
    router.has(membership_healthy=1, upstream_rq_active=0, upstream_rq_total=0)
    first = router.sample(1, asked)
    assert first.timed == Timed(requests=0, total_ms=0)  # no request yet, and that is known
    assert "RequestLatency" in first.measured
    router.bins = {"iris/blue": {20.5: 3, 500.0: 1}, "iris/blue2": {9.0: 99}, "rose/blue": {1: 1}}
    assert router.sample(1, asked).timed == Timed(requests=4, total_ms=561.5)


def test_of_a_percentile_the_requests_within_its_threshold_are_told():
    router, asked = Router(), stepped("RequestLatency", percentile=95, threshold=100)
    router.has(membership_healthy=1, upstream_rq_active=0, upstream_rq_total=0)
    assert router.sample(1, asked).timed == Timed(requests=0, total_ms=0, within={100: 0})
    router.bins = {"iris/blue": {20.5: 3, 99.5: 1, 105.0: 2}}
    assert router.sample(1, asked).timed == Timed(requests=6, total_ms=371, within={100: 4})


def test_latency_is_asked_for_where_a_rule_goes_by_it_alone():
    router = Router()
    router.has(membership_healthy=1, upstream_rq_active=0, upstream_rq_total=0)
    router.bins = {"iris/blue": {20.5: 3}}
    assert router.sample(1).timed is None
    router.tells_latency = False
    assert router.sample(1).values["RequestsInFlight"] == 0


def test_a_router_that_cannot_tell_latency_tells_the_rest():
    router, asked = Router(), stepped("RequestLatency")
    router.has(membership_healthy=1, upstream_rq_active=2, upstream_rq_total=2)
    router.tells_latency = False
    sample = router.sample(1, asked)
    assert (sample.timed, sample.values) == (None, {"RequestsInFlight": 2})
    assert "RequestLatency" not in sample.measured


def test_a_router_that_times_from_zero_again_is_not_measured_for_a_look():
    router, asked = Router(), stepped("RequestLatency")
    router.has(membership_healthy=1, upstream_rq_active=0, upstream_rq_total=0)
    router.bins = {"iris/blue": {20.5: 3}}
    router.sample(1, asked)
    router.bins = {"iris/blue": {20.5: 1}}
    assert router.sample(1, asked).timed is None
    assert router.sample(1, asked).timed == Timed(requests=1, total_ms=20.5)


def test_latency_of_a_silent_router_or_of_a_deployment_that_it_does_not_know_is_unknown():
    router, asked = Router(), stepped("RequestLatency")
    router.bins = {"iris/blue": {20.5: 3}}
    assert router.sample(1, asked).timed is None
    router.answers = False
    assert router.sample(1, asked).timed is None


def test_gpus_are_the_mean_of_instances_each_of_its_own_and_one_that_does_not_tell_is_no_zero():
    router, asked = Router(), stepped("GpuUtilizationPercentage")
    assert "GpuUtilizationPercentage" not in router.sample(1, asked).values
    router.gpus = {
        "iris.blue.g.0": [GpuUse(90.0), GpuUse(30.0)],
        "iris.blue.g.1": [GpuUse(10.0), GpuUse()],
    }
    assert router.sample(5, asked).values == {"GpuUtilizationPercentage": 35}
    router.gpus = {"iris.blue.g.0": [GpuUse(90.0)], "iris.blue.g.1": [GpuUse()]}
    assert router.sample(5, asked).values == {"GpuUtilizationPercentage": 90}


def test_gpus_are_looked_at_each_five_seconds_and_where_a_rule_goes_by_them():
    router, asked = Router(), stepped("GpuUtilizationPercentage")
    for _ in range(20):
        router.sample(1)
    assert router.gpus_asked == 0
    for _ in range(20):
        router.sample(1, asked)
    assert router.gpus_asked == 4
