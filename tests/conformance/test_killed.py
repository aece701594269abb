"""Who is killed between the records and the router leaves a note: it is seen, and mended."""

import pytest
from pydantic import SecretStr

from inference_provider.errors import RouterRejected
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.workspace.state import UNPUBLISHED
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
    assert killed.ask(key=FRESH.get_secret_value()) == 401
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
