"""What an agent raises reaches its client as itself."""

import json

import pytest

from inference_provider.errors import (
    InferenceError,
    NotReady,
    RouterRejected,
    StillHolds,
    TargetError,
    TargetUnreachable,
)
from inference_provider.targets.envoy.agent_errors import read, written

PARTS = ("publish", "the router", "no backend is healthy", "look at the logs")


@pytest.mark.parametrize(
    "fault",
    [
        RouterRejected("no such cluster"),
        NotReady(*PARTS),
        TargetUnreachable(*PARTS),
        TargetError(*PARTS),
    ],
)
def test_an_error_is_the_same_after_the_way(fault):
    found = read(json.loads(json.dumps(written(fault))))
    assert (type(found), str(found)) == (type(fault), str(fault))


def test_an_error_that_no_agent_raises_is_still_one_of_ours():
    assert type(read(written(StillHolds(*PARTS)))) is TargetError
    assert str(read(written(InferenceError("odd")))) == "odd"
