"""Which metrics an alert may watch, and which rules are refused."""

from typing import get_args

import pytest

from inference_provider.metrics.catalogue import CATALOGUE
from inference_provider.spec.alert import DIMENSIONS, ERROR_RATE, AlertMetric, AlertRule


def test_every_metric_of_an_endpoint_can_be_watched_by_its_own_dimensions():
    of_endpoints = {
        one.name: frozenset(one.dimensions) - {"endpoint"}
        for one in CATALOGUE
        if "endpoint" in one.dimensions
    }
    assert {name: one for name, one in DIMENSIONS.items() if name != ERROR_RATE} == of_endpoints
    assert set(DIMENSIONS) == set(get_args(AlertMetric))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dimensions": {"State": ["Healthy"]}}, "ErrorRate has no dimension State; it has deploy"),
        (
            {"metric": "NetworkBytes", "dimensions": {"deployment": ["blue"]}},
            "NetworkBytes has no dimension deployment; it has none",
        ),
        ({"dimensions": {"deployment": []}}, "at least 1 item"),
        ({"aggregation": "total"}, "ErrorRate has no total; use average, maximum or minimum"),
        ({"threshold": 100}, "ErrorRate is never above 100 percent; lower the threshold"),
        ({"threshold": -1}, "greater than or equal to 0"),
        ({"threshold": 0, "operator": "less_than"}, "ErrorRate is never below 0; raise the thresh"),
        ({"window_s": 14}, "greater than or equal to 15"),
        ({"window_s": 86_401}, "less than or equal to 86400"),
        ({"severity": 5}, "less than or equal to 4"),
        (
            {"metric": "DiskUtilization", "min_requests": 5},
            "min_requests is of ErrorRate and RequestLatency; leave it out",
        ),
        ({"metric": "ConnectionsActive"}, "Input should be 'ErrorRate'"),
    ],
)
def test_a_rule_that_could_not_be_watched_is_refused(fields, reason):
    with pytest.raises(ValueError, match=reason):
        AlertRule(**{"metric": "ErrorRate", "threshold": 5} | fields)
