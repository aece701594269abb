"""What a router's statistics say of deployments, as autoscale rules go by it."""

from inference_provider.autoscale import Sample
from inference_provider.errors import TargetUnreachable
from inference_provider.targets.local.samples import LocalSamples


class Router:
    """Statistics that a test sets, and a clock that it moves."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.found = {}
        self.answers = True
        self.samples = LocalSamples(self._statistics, lambda: self.at_s)

    def _statistics(self, _pattern):
        if not self.answers:
            raise TargetUnreachable("ask", "the router", "it does not answer")
        return self.found

    def has(self, cluster="iris/blue", **statistics) -> None:
        self.found |= {f"cluster.{cluster}.{name}": one for name, one in statistics.items()}

    def sample(self, after_s: float) -> Sample:
        self.at_s += after_s
        return self.samples(["iris/blue"])["iris/blue"]


def test_requests_in_flight_and_of_a_minute_include_those_of_a_mirror():
    router = Router()
    router.has(membership_healthy=2, upstream_rq_active=3, upstream_rq_total=100)
    router.has("iris/blue/mirror", upstream_rq_active=1, upstream_rq_total=50)
    first = router.sample(after_s=1)
    assert (first.ready, first.values) == (2, {"RequestsInFlight": 4})
    router.has(upstream_rq_total=108)
    router.has("iris/blue/mirror", upstream_rq_total=52)
    assert router.sample(after_s=2).values == {"RequestsInFlight": 4, "RequestsPerMinute": 300}


def test_a_router_that_does_not_answer_says_nothing_and_no_rate_spans_that_time():
    router = Router()
    router.has(membership_healthy=1, upstream_rq_active=1, upstream_rq_total=100)
    router.sample(after_s=1)
    router.answers = False
    assert (router.sample(after_s=1).values, router.samples(["a/b"])["a/b"].ready) == ({}, 0)
    router.answers = True
    assert router.sample(after_s=1).values == {"RequestsInFlight": 1}


def test_a_router_that_counts_from_zero_again_has_no_rate_at_first():
    router = Router()
    router.has(upstream_rq_total=100)
    router.sample(after_s=1)
    router.has(upstream_rq_total=3)
    assert router.sample(after_s=1).values == {"RequestsInFlight": 0}
    router.has(upstream_rq_total=4)
    assert router.sample(after_s=1).values["RequestsPerMinute"] == 60


def test_a_deployment_that_was_never_asked_has_no_request_in_flight():
    assert Router().sample(after_s=1) == Sample(at_s=1, ready=0, values={"RequestsInFlight": 0})
