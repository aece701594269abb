"""inferctl metrics, on a target that measures what a test says."""

import json

import pytest

from inference_provider.metrics.series import InstanceUse, Reading
from inference_provider.router.counters import counted
from inference_provider.targets.memory import MemoryTarget

REQUESTS = "azml.requests.endpoint.iris.deployment.{}.code.200"
USE = InstanceUse("iris/green", "iris.green.g.0", cpu=25.0)


class Measured(MemoryTarget):
    """A target whose router answers what a test gives, one look after the other."""

    looks = (
        Reading(0, counted({REQUESTS.format("blue"): 0, REQUESTS.format("green"): 0}, ()), (USE,)),
        Reading(1, counted({REQUESTS.format("blue"): 5, REQUESTS.format("green"): 2}, ()), (USE,)),
    )

    def meter(self, workspace):
        del workspace
        return iter(self.looks).__next__


@pytest.fixture
def measured(cli):
    cli.target = Measured()
    assert cli("up").exit_code == 0
    return cli


def test_metrics_are_listed_with_what_they_are_of(measured):
    result = measured("metrics", "--over", "1")
    assert result.stdout.splitlines() == [
        "workspace 'default': rates and latencies are of the last 1 s",
        "RequestsPerMinute         300.0/min  iris/blue  statusCode=200  statusCodeClass=2xx",
        "RequestsPerMinute         120.0/min  iris/green  statusCode=200  statusCodeClass=2xx",
        "CpuUtilizationPercentage      25.0%  iris/green  instanceId=iris.green.g.0",
    ]


def test_metrics_of_one_deployment_are_its_own(measured):
    found = json.loads(measured("metrics", "iris/green", "--over", "1", "--json").stdout)
    assert found["seconds"] == 1
    assert [(one["metric"], one["value"]) for one in found["workspaces"]["default"]] == [
        ("RequestsPerMinute", 120.0),
        ("CpuUtilizationPercentage", 25.0),
    ]


def test_a_router_that_does_not_answer_is_told(measured):
    measured.target.looks = (Reading(0), Reading(1))
    assert measured("metrics", "--over", "1").stdout.splitlines()[1:] == [
        "its router does not answer: nothing is known of requests"
    ]


def test_a_deployment_that_is_not_there_is_told_at_once(measured):
    result = measured("metrics", "iris/red", "--over", "600")
    assert result.exit_code == 1
    assert "find Deployment 'default/iris/red': not found" in result.stderr


def test_a_target_that_measures_nothing_yet_says_so(cli):
    cli("up")
    result = cli("metrics")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: measure workspace 'default': the target 'memory' measures nothing yet\n"
    )
