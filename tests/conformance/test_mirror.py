"""A share of the requests reaches another deployment too, and the first one alone answers."""

import pytest

from inference_provider.desired import DesiredResource
from inference_provider.observed import Kind
from inference_provider.spec import TrafficSpec
from tests.conformance.conftest import REAL
from tests.conformance.labs import wait_until

REQUESTS = 40
"""So many that one of a billion runs mirrors none of them."""


def mirrored(lab, **shares):
    spec = TrafficSpec(
        workspace=lab.workspace, endpoint="iris", traffic={"blue": 100}, mirror_traffic=shares
    )
    return DesiredResource(id=lab.id(Kind.TRAFFIC, "iris"), spec=spec, owner="demo")


def ask(lab, name: str) -> None:
    path = lab.signals / f"{lab.workspace}-{name}-$NAME"
    assert {lab.asks_to_touch(path) for _ in range(REQUESTS)} == {200}


def got(lab, name: str, deployment: str) -> bool:
    return lab.has_touched(lab.signals / f"{lab.workspace}-{name}-{deployment}")


@pytest.mark.parametrize("opened", REAL, indirect=True)
def test_a_mirror_gets_requests_until_it_is_taken_away(served):
    green = served.deployment("green", environment_variables={"NAME": "green"})
    served.apply(green, mirrored(served, green=50))
    ask(served, "first")
    wait_until(lambda: got(served, "first", "green"))
    assert got(served, "first", "")  # of blue, which answers
    served.apply(mirrored(served))
    ask(served, "second")
    assert (got(served, "second", ""), got(served, "second", "green")) == (True, False)
