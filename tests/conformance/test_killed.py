"""What somebody who was killed leaves is seen and mended: half a change, half a start."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from inference_provider.errors import RouterRejected
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.spec.quota import Size
from inference_provider.workspace.reservation import Reservation
from inference_provider.workspace.state import UNPUBLISHED, deployment_lock
from tests.conformance.labs import ANN

FRESH = SecretStr("f" * 43)
KILLED = "the last change was killed before the router served it"


@pytest.fixture
def killed(served):
    """A lab where somebody who turned a key of iris was killed before the router had it."""
    served.state.put_keys("iris", (FRESH, FRESH))
    served.ports.records.put(UNPUBLISHED, "router", "{}")
    return served


def degraded(lab):
    found = lab.target.observe([lab.workspace]).resources.values()
    return {one.id.kind: one.degraded for one in found if one.degraded}


def pending(lab):
    planned = plan(lab.desired, lab.target.observe([lab.workspace]), "demo")
    return [f"{one.kind.value} {one.id.kind}" for one in planned.pending]


def test_a_change_that_was_killed_before_the_router_served_it_is_to_be_mended(killed):
    assert degraded(killed) == {Kind.WORKSPACE: KILLED}
    assert pending(killed) == ["update Workspace"]


def test_applying_the_workspace_serves_what_is_recorded(killed):
    served = 200 if killed.router_follows else 401
    assert killed.ask(key=FRESH.get_secret_value()) == served
    killed.apply(killed.space())
    assert killed.ask(key=FRESH.get_secret_value()) == 200
    assert (degraded(killed), pending(killed)) == ({}, [])


def test_the_next_change_of_anything_serves_what_is_recorded_too(killed):
    killed.apply(killed.endpoint("rose"))
    assert killed.ask(key=FRESH.get_secret_value()) == 200
    assert degraded(killed) == {}


def test_a_change_that_is_refused_leaves_the_note_of_one_that_was_killed(killed):
    def refuse(_endpoints):
        raise RouterRejected("it is of another opinion")

    killed.router.before = refuse
    with pytest.raises(RouterRejected):
        killed.apply(killed.endpoint("rose"))
    assert degraded(killed) == {Kind.WORKSPACE: KILLED}


def test_who_publishes_now_was_not_killed(served):
    seen = []

    def look(_endpoints):
        seen.append((len(served.ports.records.section(UNPUBLISHED)), degraded(served)))

    served.router.before = look
    served.target.rotate_key(served.id(Kind.ENDPOINT, "iris"), "primary", ANN)
    assert seen == [(1, {})]
    assert not served.ports.records.section(UNPUBLISHED)


LEFT = "1 leftover instance of a deleted deployment"


@pytest.fixture
def abandoned(served):
    """A lab where somebody who started iris/green was killed before it was recorded."""
    green = served.deployment("green")
    served.apply(green)
    served.state.drop_record(green.id)
    left = Reservation(size=Size(1, 0), actor=ANN, time=datetime.now(UTC))
    served.state.put_reservation("iris/green", left)
    return served


def test_what_somebody_who_was_killed_had_started_is_left_though_it_is_reserved(abandoned):
    assert degraded(abandoned) == {Kind.WORKSPACE: LEFT}
    abandoned.apply(abandoned.space())
    assert degraded(abandoned) == {}
    assert abandoned.instances("iris/green") == {}
    assert abandoned.documents()["reservations"] == {}


def test_gpus_of_what_a_killed_deletion_had_ended_are_free_after_the_next_apply(served, gpus):
    limits = {"resources": {"limits": {"nvidia.com/gpu": gpus}}}
    green, plum = (served.deployment(name, **limits) for name in ("green", "plum"))
    served.apply(green)
    served.state.drop_record(green.id)
    served.end(*served.instances("iris/green"))
    assert degraded(served) == {Kind.WORKSPACE: LEFT}
    served.apply(served.space(), plum)
    assert len(served.instances("iris/plum")) == 1


def test_what_somebody_starts_now_is_not_left(abandoned):
    with abandoned.ports.records.lock(deployment_lock("iris/green")):
        assert degraded(abandoned) == {}


def test_a_reservation_of_somebody_who_was_killed_goes_with_its_deployment(abandoned):
    abandoned.apply(abandoned.deployment("green"))
    left = Reservation(size=Size(1, 0), actor=ANN, time=datetime.now(UTC))
    abandoned.state.put_reservation("iris/green", left)
    abandoned.delete(abandoned.deployment("green").id)
    assert abandoned.documents()["reservations"] == {}


def test_a_reservation_that_nobody_holds_goes_with_the_next_change_of_the_workspace(abandoned):
    abandoned.apply(abandoned.deployment("green"))
    left = Reservation(size=Size(1, 0), actor=ANN, time=datetime.now(UTC))
    abandoned.state.put_reservation("iris/green", left)
    with abandoned.ports.records.lock(deployment_lock("iris/green")):
        abandoned.apply(abandoned.space())
        assert list(abandoned.documents()["reservations"]) == ["iris/green"]
    abandoned.apply(abandoned.space())
    assert abandoned.documents()["reservations"] == {}
