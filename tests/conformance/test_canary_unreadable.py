"""A split on its way of which what is kept cannot be read: it holds up its own endpoint alone."""

import json

import pytest

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.stack import Pipeline
from inference_provider.workspace.shifts import is_any_moving
from tests.conformance.labs.lab import ANN, BOB

LOCAL = pytest.param("local", marks=pytest.mark.local)
pytestmark = pytest.mark.parametrize(
    "opened", ["memory", "toy", LOCAL], indirect=True, scope="module"
)
ABSURD = {"no JSON": "{", "past its steps": {"step": 3}, "too much": {"steps": [1000]}}


@pytest.fixture
def moving(lab):
    """A lab whose endpoint iris is on its way from blue to green, beside an endpoint rose."""
    if not lab.target.capabilities.rollouts:
        pytest.skip("nothing goes on with a rollout on this target yet")
    lab.up()
    lab.apply(lab.deployment("green"), lab.deployment("red"), lab.rollout(green=100))
    lab.apply(lab.endpoint("rose"), lab.deployment("blue", "rose"), lab.deployment("red", "rose"))
    lab.apply(lab.traffic("rose", blue=100))
    assert served(lab) == {"iris": {"blue": 90, "green": 10}, "rose": {"blue": 100}}
    return lab


def served(lab) -> dict[str, dict[str, int]]:
    """Return the shares that the router serves, by endpoint."""
    found = lab.router.status().weights
    return {
        endpoint: {name: share for name, share in shares.items() if share}
        for endpoint, shares in found.items()
    }


def broken(lab, how: str) -> None:
    """Spoil what is kept of a rollout."""
    [found] = lab.target.shifts(lab.workspace)
    known = found.shift.model_dump(mode="json")
    absurd = ABSURD[how]
    if isinstance(absurd, dict):
        steps = [{"share": share, "bake_minutes": 1} for share in absurd.get("steps", [10])]
        absurd = json.dumps({**known, **absurd, "steps": steps})
    with lab.ports.records.edit():
        lab.ports.records.put("shifts", "iris", absurd)


@pytest.mark.parametrize("how", ABSURD)
def test_what_cannot_be_read_is_told_and_its_split_stays_while_others_change(moving, how):
    broken(moving, how)
    assert moving.target.shifts(moving.workspace) == ()
    there = moving.target.observe([moving.workspace]).get(moving.id(Kind.TRAFFIC, "iris"))
    assert there.presence.value == "unknown"
    assert "file is corrupt" in there.reason
    assert "split the traffic of its endpoint by hand, which drops it; until" in there.reason
    assert is_any_moving(moving.state)  # whoever watches is not ended
    moving.apply(moving.traffic("rose", red=100))
    assert served(moving) == {"iris": {"blue": 90, "green": 10}, "rose": {"red": 100}}


def test_its_own_split_is_not_changed_and_no_deployment_of_its_endpoint_deleted(moving):
    broken(moving, "no JSON")
    with pytest.raises(TargetError, match="by hand"):
        moving.apply(moving.rollout(green=100))
    with pytest.raises(TargetError, match="by hand"):
        moving.delete(moving.id(Kind.DEPLOYMENT, "iris/red"))
    moving.delete(moving.id(Kind.DEPLOYMENT, "rose/red"))
    assert served(moving) == {"iris": {"blue": 90, "green": 10}, "rose": {"blue": 100}}


def test_a_router_that_starts_serves_every_endpoint(moving):
    broken(moving, "no JSON")
    moving.target.stop(moving.workspace, ANN)
    moving.target.start(moving.workspace, ANN)
    assert served(moving)["rose"] == {"blue": 100}
    known = {"blue": 90, "green": 10}, {"green": 100}
    assert served(moving)["iris"] in known  # a router of processes forgets it: as is recorded
    there = moving.target.observe([moving.workspace]).get(moving.id(Kind.TRAFFIC, "iris"))
    assert "file is corrupt" in there.reason
    Pipeline(moving.target, BOB).split(moving.id(Kind.ENDPOINT, "iris"), {"blue": 100})
    assert served(moving) == {"iris": {"blue": 100}, "rose": {"blue": 100}}


@pytest.mark.parametrize("how", ABSURD)
def test_a_split_by_hand_drops_what_cannot_be_read(moving, how):
    broken(moving, how)
    Pipeline(moving.target, BOB).split(moving.id(Kind.ENDPOINT, "iris"), {"blue": 100})
    assert served(moving)["iris"] == {"blue": 100}
    moving.apply(moving.rollout(green=100))
    assert served(moving)["iris"] == {"blue": 90, "green": 10}


def test_the_whole_workspace_can_be_deleted(moving):
    broken(moving, "no JSON")
    for kind, name in (
        (Kind.TRAFFIC, "iris"),
        (Kind.DEPLOYMENT, "iris/green"),
        (Kind.DEPLOYMENT, "iris/blue"),
    ):
        moving.delete(moving.id(kind, name))
    assert served(moving)["rose"] == {"blue": 100}
