"""One change at a time: whoever comes second is told who changes the workspace."""

import pytest

from inference_provider.errors import Busy
from inference_provider.targets.local.target import LocalTarget
from tests.local.conftest import ACTOR

pytestmark = pytest.mark.local


def test_two_ups_at_once_are_refused_with_who_and_since(lab):
    lab.up()
    other = LocalTarget.open(lab.state)
    with lab.target.hold(["lab"], ACTOR), pytest.raises(Busy) as fault, other.hold(["lab"], ACTOR):
        pass
    assert "tester (pytest) has been changing it since" in str(fault.value)
