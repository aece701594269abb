"""What a router's statistics say of requests, as rollouts go by it."""

import re
from pathlib import Path
from urllib.parse import quote

from inference_provider.canary import Counts
from inference_provider.router.request_counts import count_stats, counts_of
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.request_counts import RequestCounts

OF_GREEN = "azml.requests.endpoint.iris.deployment.green.code."


def test_what_a_deployment_failed_and_what_was_refused_for_it_counts_and_callers_faults_do_not():
    statistics = {
        **{f"{OF_GREEN}{code}": 1 for code in (400, 401, 403, 404, 405, 413)},
        **{f"{OF_GREEN}{code}": 10 for code in (0, 408, 424, 500, 503)},
        f"{OF_GREEN}200": 100,
        f"{OF_GREEN}429": 9,  # four of them beyond the endpoint's limit of a minute
        "cluster.iris/green.upstream_rq_active_overflow": 5,
    }
    latency = {"azml.latency.endpoint.iris.deployment.green": ((5.0, 90), (10.0, 160))}
    assert counts_of(["iris/green"], statistics, latency) == {
        "iris/green": Counts(
            requests=155, failed=55, timed=160, within=((5.0, 90), (10.0, 160)), refused=10
        )
    }


def test_what_a_model_refuses_of_its_caller_is_no_failure_of_the_version():
    of_model = "azml.model_errors.endpoint.iris.deployment.green.code."
    statistics = {
        f"{OF_GREEN}424": 66,
        **{f"{of_model}{code}": 10 for code in (400, 404, 408, 422, 429, 500)},
        f"{of_model}": 6,  # it broke off
    }
    found = counts_of(["iris/green"], statistics, {})["iris/green"]
    assert (found.requests, found.failed) == (66, 36)


def test_a_version_that_hangs_fails_all_whose_callers_give_up_first():
    found = counts_of(["iris/green"], {f"{OF_GREEN}0": 50}, {})["iris/green"]
    assert (found.requests, found.failed) == (50, 50)


class Admin(RouterAdmin):
    """Answers as a router does: nothing to a query of more than 60 KiB."""

    def __init__(self) -> None:
        super().__init__(Path("admin.sock"))
        self.longest = 0

    def counted(self, pattern):
        self.longest = max(self.longest, len(quote(pattern)))
        return {}, {}


def test_many_deployments_are_asked_for_in_parts():
    admin, names = Admin(), [f"{'e-' * 16}{i}/{'d-' * 16}{i}" for i in range(2000)]
    assert RequestCounts(admin.counted)(names) == dict.fromkeys(names, Counts())
    assert admin.longest < 60 * 1024
    assert RequestCounts(admin.counted)([]) == {}


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
