"""When a new router of a Docker host reaches enough to take over."""

import pytest

from inference_provider.router.table import Backend, DeploymentEntry, EndpointEntry
from inference_provider.targets.docker.succession import behind

BLUE = DeploymentEntry(
    name="blue",
    backends=(Backend(host="172.18.0.2", port=5001),),
    timeout_ms=5000,
    max_concurrent=1,
    health_timeout_ms=2000,
)
IRIS = EndpointEntry(name="iris", keys=(), deployments=(BLUE,))


@pytest.mark.parametrize(
    ("wanted", "found", "spent_s", "expected"),
    [
        pytest.param(2, 2, 0.0, [], id="all are reached"),
        pytest.param(2, 1, 8.9, ["iris/blue"], id="one is asked for the third time"),
        pytest.param(2, 1, 9.1, [], id="one hangs"),
        pytest.param(2, 0, 50.0, ["iris/blue"], id="all hang"),
        pytest.param(0, 0, 0.0, [], id="the old one reaches none"),
    ],
)
def test_one_that_hangs_is_not_waited_for_where_another_answers(wanted, found, spent_s, expected):
    told = behind((IRIS,), {"iris/blue": wanted}, {"iris/blue": found}, spent_s)
    assert [*told] == expected
