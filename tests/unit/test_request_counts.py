"""What a router's statistics say of requests, as rollouts go by it."""

import re

from inference_provider.canary import Counts
from inference_provider.router.request_counts import count_stats, counts_of

OF_GREEN = "azml.requests.endpoint.iris.deployment.green.code."


def test_what_a_deployment_failed_and_what_was_refused_for_it_counts_and_callers_faults_do_not():
    statistics = {
        **{f"{OF_GREEN}{code}": 1 for code in (400, 401, 403, 404, 405, 413)},
        **{f"{OF_GREEN}{code}": 10 for code in (408, 424, 500, 503)},
        f"{OF_GREEN}200": 100,
        f"{OF_GREEN}429": 9,  # four of them beyond the endpoint's limit of a minute
        "cluster.iris/green.upstream_rq_active_overflow": 5,
    }
    latency = {"azml.latency.endpoint.iris.deployment.green": ((5.0, 90), (10.0, 160))}
    assert counts_of(["iris/green"], statistics, latency) == {
        "iris/green": Counts(requests=145, failed=45, timed=160, within=((5.0, 90), (10.0, 160)))
    }


def test_a_deployment_without_requests_yet_has_zeros():
    assert counts_of(["iris/green"], {}, {}) == {"iris/green": Counts()}


def test_the_statistics_of_no_other_deployment_are_asked_for():
    pattern = re.compile(count_stats(["iris/green", "chat/red"]))
    assert pattern.search(f"{OF_GREEN}200")
    assert pattern.search("azml.latency.endpoint.chat.deployment.red")
    assert pattern.search("cluster.iris/green.upstream_rq_active_overflow")
    assert not pattern.search("azml.requests.endpoint.iris.deployment.green-2.code.200")
    assert not pattern.search("azml.requests.endpoint.iris.deployment.red.code.200")
    assert not pattern.search("cluster.iris/green.upstream_rq_total")
