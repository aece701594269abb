"""What an autoscale rule may say: limits, targets, steps, paces and schedules."""

import re
import zoneinfo

import pytest
from pydantic import ValidationError

from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.spec.autoscale_rule import ScheduleRule, _zones


def test_min_above_max_is_refused():
    with pytest.raises(ValidationError, match="min_instances 3 is above max_instances 2"):
        AutoscaleRuleSpec(endpoint="iris", deployment="blue", min_instances=3, max_instances=2)


CPU = "CpuUtilizationPercentage"


def schedule(**fields) -> dict:
    base = {"cron": "0 8 * * *", "duration_s": 60, "min_instances": 1, "max_instances": 2}
    return {"schedules": [{**base, **fields}]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"targets": [{"metric": CPU, "target": 0}]}, f"{CPU} is 0; expected 1 to 100 percent"),
        ({"targets": [{"metric": CPU, "target": 101}]}, f"{CPU} is 101; expected 1 to 100 percent"),
        ({"targets": [{"metric": CPU, "target": 70.5}]}, f"{CPU} is 70.5; expected a whole number"),
        ({"targets": [{"metric": CPU, "target": True}]}, "expected a number, got true"),
        (
            {"targets": [{"metric": "RequestsInFlight", "target": 0}]},
            "RequestsInFlight is 0; expected more",
        ),
        ({"targets": [{"metric": "RequestsInFlight", "target": "nan"}]}, "finite number"),
        ({"targets": [{"metric": "RequestsInFlight", "target": "inf"}]}, "finite number"),
        (
            {"targets": [{"metric": CPU, "target": 70}, {"metric": CPU, "target": 80}]},
            f"targets has {CPU} 2 times; keep one of them",
        ),
        ({"scale_out": {"stabilization_s": 3601}}, "less than or equal to 3600"),
        ({"scale_in": {"max_change": 0}}, "greater than or equal to 1"),
        ({"scale_in": {"period_s": 30}}, "period_s is 30 without max_change; write that too"),
        (
            {"metrics": [{"metric": CPU, "operator": "less_than", "threshold": 170, "change": 1}]},
            f"{CPU} is 170; expected 0 to 100 percent",
        ),
        (
            {"metrics": [{"metric": CPU, "operator": "less_than", "threshold": 17, "change": 0}]},
            "change is 0; expected instances to add",
        ),
        (
            {
                "metrics": [
                    {
                        "metric": CPU,
                        "operator": "less_than",
                        "threshold": 17,
                        "percentile": 95,
                        "change": 1,
                    }
                ]
            },
            "percentile is of RequestLatency; remove it, or name that metric",
        ),
        (
            {
                "schedules": [
                    {"cron": "0 8 * * *", "duration_s": 60, "min_instances": 3, "max_instances": 2}
                ]
            },
            "min_instances 3 is above max_instances 2",
        ),
        (schedule(cron="0 8 * *"), "cron '0 8 * *' has 4 of 5 fields"),
        (
            schedule(time_zone="Mars/Base"),
            "no time zone 'Mars/Base' is known; expected one such as Europe/Berlin",
        ),
        (schedule(time_zone="../UTC"), "no time zone '../UTC' is known"),
    ],
)
def test_a_rule_that_no_count_could_follow_is_refused(fields, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        AutoscaleRuleSpec.model_validate(
            {"endpoint": "iris", "deployment": "blue", "max_instances": 5, **fields}
        )


def test_a_machine_without_time_zones_takes_the_name_of_one(monkeypatch):
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    _zones.cache_clear()
    try:
        asked = schedule(time_zone="Europe/Berlin")["schedules"][0]
        assert ScheduleRule.model_validate(asked).time_zone == "Europe/Berlin"
    finally:
        _zones.cache_clear()


def test_a_rule_moves_a_count_into_its_limits():
    rule = AutoscaleRuleSpec(endpoint="iris", deployment="blue", min_instances=2, max_instances=4)
    assert [rule.within(count) for count in (0, 2, 3, 4, 9)] == [2, 2, 3, 4, 4]
