"""What becomes of an alert whose rule, endpoint or measure changes or goes."""

import pytest
from tests.unit.alerting.watched import FIRED, RESOLVED, counted, rule

from inference_provider.errors import TargetError
from inference_provider.workspace.alert_states import read


def test_one_that_is_removed_is_forgotten_and_that_is_told(service):
    service.look(95)
    service.rules = {}
    service.look(95)
    assert read(service.file.read_bytes()) == {}
    assert service.events[-1] == (
        "iris",
        "AlertRemoved",
        "alert 'busy' is declared no more; nobody is told that it is resolved",
    )
    service.rules = {"iris": {"busy": rule()}}
    service.look(95)
    assert service.got == [FIRED, FIRED]


def test_one_of_an_instance_that_is_gone_is_resolved_while_the_router_answers(service):
    service.look(95)
    service.is_there = False
    service.look(95, 20)
    assert service.got == [FIRED]  # nobody says that it is gone
    service.router = counted()
    service.look(95, 2)
    assert service.got == [FIRED]
    service.look(95, 1)
    assert service.got == [FIRED, RESOLVED]
    assert service.state.standing.why == "it is no longer measured"
    service.is_there = True
    service.look(95)
    assert service.got == [FIRED, RESOLVED, FIRED]


def test_one_of_instances_stays_as_it_is_while_nobody_tells_what_they_use(service):
    service.look(95)
    service.is_there, service.told, service.router = False, False, counted()
    service.look(95, 20)
    assert service.got == [FIRED]
    assert service.state.said == "it is not measured now; metrics.k8s.io does not answer"
    service.told = True
    service.look(95, 4)
    assert service.got == [FIRED, RESOLVED]


def test_errors_of_an_endpoint_that_nobody_calls_any_more_are_resolved(service):
    service.rules = {"iris": {"busy": rule(metric="ErrorRate", threshold=5)}}
    for at in range(6):
        service.router = counted(**{"503": 20 * at})
        service.look(0, 1)
    assert service.got == [FIRED]
    service.look(0, 4)
    assert service.got == [FIRED]
    service.look(0, 1)
    assert service.got == [FIRED, RESOLVED]
    assert service.state.standing.why == "it is no longer measured: 0 requests in 15 s, needs 10"


def test_one_that_cannot_be_read_is_kept_as_it_is(service):
    service.look(95)
    service.rules, service.unreadable = {}, {"iris"}
    service.look(95)
    assert service.state.standing.has_fired
    service.rules, service.unreadable = {"iris": {"busy": rule()}}, set()
    service.look(95)
    assert service.got == [FIRED]


def test_one_that_is_turned_off_is_resolved(service):
    service.look(95)
    service.rules = {"iris": {"busy": rule(enabled=False)}}
    service.look(95)
    assert service.got == [FIRED, RESOLVED]
    assert service.state.said == "it is turned off"


def test_another_threshold_fires_no_second_time(service):
    service.look(95)
    service.rules = {"iris": {"busy": rule(threshold=90)}}
    service.look(95)
    service.rules = {"iris": {"busy": rule(threshold=99)}}
    service.look(95)
    assert service.got == [FIRED, RESOLVED]


def test_what_another_metric_has_said_counts_no_more(service):
    service.look(95)
    service.rules = {"iris": {"busy": rule(metric="GpuUtilizationPercentage")}}
    service.look(5)
    assert service.state.said == "it is not measured now"
    assert service.got == [FIRED, RESOLVED]
    assert service.state.standing.why == "it is another rule now"
    [condition] = service.bodies[1]["data"]["alertContext"]["condition"]["allOf"]
    assert (condition["metricName"], condition["threshold"]) == ("CpuUtilizationPercentage", "80")


@pytest.mark.parametrize(
    "fields",
    [
        {"dimensions": {"deployment": ["blue"]}},
        {"aggregation": "maximum"},
        {"operator": "less_than", "threshold": 99},
    ],
)
def test_one_that_is_another_rule_fires_anew_also_where_the_service_was_killed_meanwhile(
    service, fields
):
    service.look(95)
    service.rules = {"iris": {"busy": rule(**fields)}}
    service.start()
    service.look(95)
    assert service.got == [FIRED, RESOLVED, FIRED]
    assert len({one["data"]["essentials"]["alertId"] for one in service.bodies}) == 2


def test_what_another_rule_had_resolved_is_said_of_none(service):
    service.look(95)
    service.look(5)
    service.rules = {"iris": {"busy": rule(metric="GpuUtilizationPercentage")}}
    service.look(5, 1)
    assert service.state.standing.since is None
    assert service.got == [FIRED, RESOLVED]


def test_one_of_an_endpoint_that_is_made_again_begins_anew(service):
    service.look(95)
    service.incarnations = {"iris": "1"}  # it was made before Pulumi held it
    service.look(95)
    assert service.got == [FIRED]
    service.incarnations = {"iris": "2"}
    service.look(95)
    assert service.got == [FIRED, RESOLVED, FIRED]


def test_a_fault_of_the_meter_is_raised_and_resolves_nothing(service):
    service.look(95)
    service.fault = TargetError("read", "records", "file is corrupt")
    with pytest.raises(TargetError):
        service.look(5, 1)
    assert service.state.standing.has_fired
    assert service.state.said == "it is not measured now"
