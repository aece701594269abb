"""Dimensions of alert rules that leave nothing to watch: refused, or told in the plan."""

import pytest
import yaml
from tests.stacks import stack

from inference_provider.desired import resolve
from inference_provider.gpus import Ledger
from inference_provider.refusals import refusals
from inference_provider.targets.kubernetes.capabilities import Asked, kubernetes_capabilities
from inference_provider.targets.local.capabilities import local_capabilities

RATE = {"metric": "RequestsPerMinute", "threshold": 5}
CPU = {"metric": "CpuUtilizationPercentage", "threshold": 90}
CAPACITY = {"metric": "DeploymentCapacity", "threshold": 1, "operator": "less_than"}


def refused(rule, **dimensions):
    alerts = {"busy": {**rule, "dimensions": dimensions}}
    document = stack(endpoints=[{"name": "iris", "alerts": alerts}])
    found = refusals(resolve(document), local_capabilities(Ledger))
    return [str(one.fault) for one in found]


@pytest.mark.parametrize(
    ("rule", "dimension", "value", "remedy"),
    [
        (CAPACITY, "State", "healthy", "use Healthy or Unhealthy"),
        (RATE, "statusCodeClass", "5XX", "use 1xx or 2xx or 3xx or 4xx or 5xx"),
        (RATE, "statusCodeClass", "500", "use 1xx or 2xx or 3xx or 4xx or 5xx"),
        (RATE, "statusCode", "5xx", "use digits, such as 503"),
        (RATE, "statusCode", "5003", "use digits, such as 503"),
        (RATE, "statusCode", "0503", "use digits, such as 503"),
        (RATE, "statusCode", "٥٠٣", "use digits, such as 503"),
        (RATE, "modelStatusCode", "0", "use digits, such as 503"),
        (RATE, "deployment", "iris/blue", "use the name of a deployment, such as blue"),
        (RATE, "deployment", "", "use the name of a deployment, such as blue"),
        ({"metric": "CpuUtilizationPercentage", "threshold": 9}, "instanceId", "", "name one"),
    ],
)
def test_a_value_that_no_series_has_is_refused(rule, dimension, value, remedy):
    assert refused(rule, **{dimension: [value]}) == [
        f"alerts.busy.dimensions.{dimension}: '{value}' is none of it, so it would never fire;"
        f" {remedy}"
    ]


def test_all_values_that_are_wrong_are_told_at_once():
    assert len(refused(RATE, statusCode=["200", "x", "y"], statusCodeClass=["5XX"])) == 3


def test_what_a_series_has_is_taken():
    codes = {"statusCode": ["0", "503"], "statusCodeClass": ["2xx", "5xx"]}
    assert refused(RATE, **codes, modelStatusCode=["400"], deployment=["blue"]) == []
    assert refused(CAPACITY, State=["Healthy", "Unhealthy"]) == []


@pytest.fixture
def planned(cli):
    def note(*names: str) -> str:
        document = yaml.safe_load(cli.file.read_text())
        alerts = {"busy": {**RATE, "dimensions": {"deployment": [*names]}}}
        document["endpoints"] = [{"name": "iris", "alerts": alerts}]
        cli.file.write_text(yaml.safe_dump(document))
        return " ".join(cli("plan").stdout.split())

    return note


def test_the_plan_says_of_which_deployment_an_alert_is_that_is_not_there(planned):
    said = planned("blue", "blu")
    assert (
        "Endpoint 'default/iris': alerts.busy is about deployment 'blu', which is not there" in said
    )
    assert "'blue', which" not in said


def test_one_that_the_plan_deletes_is_not_there(planned, cli):
    planned("blue")
    assert cli("up").exit_code == 0
    assert "which is not there" not in planned("blue")
    document = yaml.safe_load(cli.file.read_text())
    document["deployments"], document["traffic"] = [], []
    cli.file.write_text(yaml.safe_dump(document))
    assert "deployment 'blue', which is not there" in planned("blue")


@pytest.mark.parametrize(
    ("rule", "groups", "told"),
    [
        (
            CPU,
            [],
            [
                "alerts.busy.metric: CpuUtilizationPercentage needs metrics.k8s.io, which the"
                " cluster does not serve; install metrics-server, or use another metric, such as"
                " RequestLatency_P95, or an alert of your Prometheus"
            ],
        ),
        (CPU, ["metrics.k8s.io"], []),
        (CPU | {"enabled": False}, [], []),
        (
            {"metric": "GpuUtilizationPercentage", "threshold": 90},
            ["metrics.k8s.io"],
            [
                "alerts.busy.metric: no API of a cluster tells the GpuUtilizationPercentage of"
                " instances; use another metric, such as RequestLatency_P95, or an alert of your"
                " Prometheus"
            ],
        ),
        ({"metric": "DiskUtilization", "threshold": 90, "enabled": False}, [], []),
        (CAPACITY, [], []),
    ],
)
def test_a_cluster_refuses_an_alert_by_what_it_does_not_measure(rule, groups, told):
    endpoint = {"name": "iris", "alerts": {"busy": rule}}
    [spec] = stack(endpoints=[endpoint]).endpoints
    can = kubernetes_capabilities(lambda: None, lambda: None, Asked(groups=lambda: groups))
    assert [str(one) for one in can.endpoint_faults(spec, None)] == told
