"""inferctl metrics, on a target that measures what a test says."""

import json

import pytest

from inference_provider.metrics.series import InstanceUse, Reading
from inference_provider.router.counters import counted
from inference_provider.targets.memory import MemoryTarget

REQUESTS = "azml.requests.endpoint.iris.deployment.{}.code.200"
USE = InstanceUse("iris/green", "iris.green.g.0", cpu=25.0)


def looked(at_s, *notes, **requests):
    counts = {REQUESTS.format(name): count for name, count in requests.items()}
    return Reading(at_s, {"": counted(counts, ())}, (USE,), notes)


class Measured(MemoryTarget):
    """A target whose router answers what a test gives, one look after the other."""

    looks = (looked(0, blue=0, green=0), looked(1, blue=5, green=2))

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
    assert (found["seconds"], found["notes"]) == (1, {"default": []})
    assert [(one["metric"], one["value"]) for one in found["workspaces"]["default"]] == [
        ("RequestsPerMinute", 120.0),
        ("CpuUtilizationPercentage", 25.0),
    ]


def test_a_router_that_does_not_answer_is_told(measured):
    measured.target.looks = (Reading(0, {"": None}), Reading(1, {"": None}))
    assert measured("metrics", "--over", "1").stdout.splitlines()[1:] == [
        "its router does not answer: nothing is known of requests"
    ]


def test_what_could_not_be_measured_is_told_once(measured):
    measured.target.looks = (
        looked(0, "no metrics-server", blue=0), looked(1, "no metrics-server", "a pod", blue=5)
    )  # fmt: skip
    assert measured("metrics", "--over", "1").stdout.splitlines()[1:3] == [
        "no metrics-server", "a pod",
    ]  # fmt: skip
    measured.target.looks = (looked(0, blue=0), looked(1, "a pod", blue=5))
    found = json.loads(measured("metrics", "--over", "1", "--json").stdout)
    assert found["notes"] == {"default": ["a pod"]}


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
