"""A resource lives where its state says that its workspace is."""

from types import SimpleNamespace

import pytest
from pulumi.output import UNKNOWN
from tests.memory import with_workspace
from tests.providers import GPU, THERE, checked, failures

from inference_provider.dynamic import base
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.workspace import WorkspaceProvider
from inference_provider.errors import (
    TargetError,
    TargetUnreachable,
)
from inference_provider.spec.target import Home
from inference_provider.targets.memory import MemoryTarget
from inference_provider.targets.registry import open_target

PROD = {"kind": "kubernetes", "context": "prod"}


class Places:
    """A memory target with a workspace in it, for each place that is asked for."""

    def __init__(self):
        self.opened = {}

    def __call__(self, place):
        return self.opened.setdefault(str(place), with_workspace(MemoryTarget()))


@pytest.fixture
def places():
    found = Places()
    base.open_targets_with(found)
    yield found
    base.open_targets_with(open_target)


def test_a_resource_lives_and_dies_where_its_state_says_the_workspace_is(places):
    provider = EndpointProvider()
    made = provider.create(checked(provider, name="echo", place=GPU))
    assert made.id == "Endpoint/default/echo"
    assert made.outs["place"] == GPU

    there = places.opened["docker ssh://gpu-1"]
    assert provider.read(made.id, made.outs).inputs["place"] == GPU
    assert provider.update(made.id, made.outs, made.outs).outs["place"] == GPU
    assert made.id in there.observe(["default"]).resources
    provider.delete(made.id, made.outs)
    assert made.id not in there.observe(["default"]).resources
    assert list(places.opened) == ["docker ssh://gpu-1"]


def test_a_state_of_an_older_release_has_no_place_and_is_local(places):
    provider = EndpointProvider()
    inputs = checked(provider, name="echo")
    made = provider.create(inputs)
    provider.read(made.id, made.outs)

    assert "place" not in {**inputs, **made.outs}
    assert list(places.opened) == ["local"]


def test_a_workspace_is_where_its_own_target_says(places):
    provider = WorkspaceProvider()
    inputs = checked(provider, name="mine", target="memory")
    made = provider.create(inputs)
    provider.delete(made.id, made.outs)

    assert "place" not in inputs
    assert list(places.opened) == ["memory"]


def test_another_place_needs_a_new_resource_which_stands_beside_the_old(places):
    provider, address = EndpointProvider(), "Endpoint/default/echo"
    olds = checked(provider, name="echo")
    news = checked(provider, name="echo", place=GPU)

    moved = provider.diff(address, olds, news)
    assert (moved.changes, moved.replaces) == (None, ["place"])
    assert moved.delete_before_replace is False
    waits = provider.diff(address, olds, {**news, "place": UNKNOWN})
    assert waits.replaces == []

    space, address = WorkspaceProvider(), "Workspace/default/default"
    at = [space.check({}, {"stack": "s", "target": t}).inputs for t in ("local", GPU)]
    moved = space.diff(address, *at)
    assert moved.replaces == ["target"]
    assert moved.delete_before_replace is False


LED_AWAY = (
    "its state says cluster 3f2a, and the target leads to 9e1b (cluster 'dev') now; switch the"
    " context or host back; to move the stack then, name the old place in `target`, apply, and name"
    " the new one; if the old one is gone for good: `pulumi state delete`"
)


def test_a_place_that_leads_somewhere_else_is_refused_in_words_and_not_asked(places):
    provider = EndpointProvider()
    places("memory").leads_to = Home({"cluster": "3f2a", "namespace": "77aa"})
    made = provider.create(checked(provider, name="echo", place="memory"))
    assert made.outs["home"] == {"cluster": "3f2a", "namespace": "77aa"}
    same = provider.diff(made.id, made.outs, checked(provider, name="echo", place="memory"))
    assert (same.changes, same.replaces) == (False, [])

    places("memory").leads_to = Home({"cluster": "9e1b"}, "cluster 'dev'")
    assert faults_of_check(provider, made.outs, place="memory") == [LED_AWAY]
    for asked in (provider.read, provider.delete):
        with pytest.raises(TargetError) as refused:
            asked(made.id, made.outs)
        assert str(refused.value) == f"open Endpoint 'default/echo': {LED_AWAY}"


def test_a_move_is_refused_unless_the_old_place_still_leads_where_it_did(places):
    provider = EndpointProvider()
    places("memory").leads_to = Home({"cluster": "3f2a"}, "cluster 'lab'")
    places("kubernetes prod").leads_to = Home({"cluster": "77aa"}, "cluster 'prod'")
    held = checked(provider, name="echo", place="memory")
    news = {"stack": "s", "name": "echo", "place": PROD}
    moved = provider.check(held, news)
    assert moved.failures == []
    found = provider.diff("Endpoint/default/echo", held, moved.inputs)
    assert (found.changes, found.replaces) == (None, ["home"])
    assert found.delete_before_replace is False

    places("memory").leads_to = Home({"cluster": "9e1b"}, "cluster 'dev'")
    assert faults_of_check(provider, held, place=PROD) == [LED_AWAY]
    places("memory").home = gone
    assert faults_of_check(provider, held, place=PROD) == []


def faults_of_check(provider, held, **fields):
    found = provider.check(held, {"stack": "s", "name": "echo", **fields})
    return [failure.reason for failure in found.failures]


def gone():
    raise TargetUnreachable("open", "cluster 'dev'", "it does not answer")


@pytest.mark.parametrize("order", [["cluster", "namespace"], ["namespace", "cluster"]])
def test_ids_of_a_state_in_any_order_are_told_as_one(places, order):
    provider = EndpointProvider()
    places("memory").leads_to = Home({"namespace": "0c11", "cluster": "9e1b"}, "cluster 'dev'")
    known = {"cluster": "3f2a", "namespace": "77aa"}
    held = {"name": "echo", "place": "memory", "home": {name: known[name] for name in order}}
    with pytest.raises(TargetError, match="says cluster 3f2a, and the target leads to 9e1b "):
        provider.read("Endpoint/default/echo", held)


@pytest.mark.parametrize("seen", [{"cluster": "3f2a"}, {"cluster": "3f2a", "namespace": "77aa"}])
def test_other_words_for_the_same_place_change_nothing_but_the_state(places, seen):
    for place in ("memory", str(PROD)):
        places(place).leads_to = Home(seen)
    provider, space = EndpointProvider(), WorkspaceProvider()
    olds = checked(provider, name="echo", place="memory")
    news = {**checked(provider, name="echo", place="memory"), "place": PROD}
    found = provider.diff("Endpoint/default/echo", olds, news)
    assert (found.changes, found.replaces) == (None, [])

    was = checked(space, target="memory")
    found = space.diff("Workspace/default/default", was, {**was, "target": PROD})
    assert (found.changes, found.replaces) == (None, [])


def test_a_state_of_an_older_release_learns_its_home_where_a_refresh_finds_its_resource(places):
    provider, news = EndpointProvider(), {"stack": "s", "name": "echo", **THERE}
    old = checked(provider, name="echo", **THERE)
    made = provider.create(old)
    places("memory").leads_to = Home({"cluster": "9e1b"}, "cluster 'dev'")
    again = provider.check(old, news)
    assert (again.failures, again.inputs) == ([], old)
    assert provider.diff(made.id, made.outs, again.inputs).changes is False

    found = provider.read(made.id, made.outs)
    assert found.outs["home"] == found.inputs["home"] == {"cluster": "9e1b"}
    again = provider.check(found.inputs, news)
    assert (again.failures, again.inputs) == ([], found.inputs)
    assert provider.diff(made.id, found.outs, again.inputs).changes is False
    assert provider.read(made.id, found.outs).outs == found.outs


def test_a_state_that_knows_no_home_learns_none_where_its_resource_is_not(places):
    olds = checked(EndpointProvider(), name="echo", **THERE)
    places("memory").leads_to = Home({"cluster": "9e1b"})
    assert EndpointProvider().read("Endpoint/default/echo", olds).id == ""

    shared = checked(WorkspaceProvider(), target="memory", name="default")
    del shared["home"]
    found = WorkspaceProvider().read("Workspace/default/default", shared)
    assert (found.id, "home" in found.outs) == ("Workspace/default/default", False)


def test_one_address_in_two_places_is_two_resources(places):
    urn = "urn:pulumi:dev::shop::Endpoint::{}"

    def Check(name, place):  # the name of the SDK's method
        request = SimpleNamespace(urn=urn.format(name))  # noqa: F841 - read from the frame
        found = EndpointProvider().check({}, {"stack": "s", "name": "echo", "place": place})
        return [failure.reason for failure in found.failures]

    assert Check("here", "memory") == []
    assert Check("there", GPU) == []
    assert Check("again", GPU) == [
        "Endpoint 'default/echo' is declared twice, by 'there' and by 'again'; remove one of them"
    ]


def test_a_place_of_a_newer_release_is_an_error_and_no_traceback(places):
    with pytest.raises(TargetError, match="a place that this release does not know"):
        EndpointProvider().read("Endpoint/default/echo", {"name": "echo", "place": "moon"})


def test_a_place_that_a_preview_does_not_know_is_not_asked(places):
    inputs = checked(EndpointProvider(), name="echo", place=UNKNOWN)

    assert inputs["place"] is UNKNOWN
    assert inputs["auth_mode"] == "key"
    assert places.opened == {}


def test_a_target_that_is_not_supported_is_refused_at_preview():
    base.open_targets_with(open_target)
    said = [("", "target 'memory' is not supported yet; use 'local', 'docker' or 'kubernetes'")]
    assert failures(WorkspaceProvider(), target="memory") == said
    assert failures(EndpointProvider(), name="echo", place="memory") == said
