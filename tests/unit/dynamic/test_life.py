"""What create, read, update and delete of a dynamic provider answer."""

import pytest
from tests.memory import with_workspace
from tests.providers import checked

from inference_provider.dynamic import host
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.workspace import WorkspaceProvider
from inference_provider.errors import (
    InferenceError,
    OwnedByAnother,
    TargetUnreachable,
)
from inference_provider.observed import ObservedResource, Presence
from inference_provider.targets.memory import MemoryTarget


class SilentTarget(MemoryTarget):
    """Answers UNKNOWN for everything."""

    def observe_one(self, resource):
        return ObservedResource(id=resource, presence=Presence.UNKNOWN, reason="no answer")


class LameTarget(MemoryTarget):
    """Says of everything that it does not run as recorded."""

    def observe_one(self, resource):
        there = super().observe_one(resource)
        return there.model_copy(update={"degraded": "the router does not run"})


def test_the_life_of_an_endpoint(target):
    provider = EndpointProvider()
    inputs = checked(provider, name="echo")
    made = provider.create(inputs)
    again = provider.create(inputs)

    assert made.id == "Endpoint/default/echo"
    assert again.outs["primary_key"] == made.outs["primary_key"]
    read = provider.read(made.id, again.outs)
    assert read.inputs == inputs
    assert read.outs == again.outs
    provider.delete(made.id, again.outs)
    gone = provider.read(made.id, again.outs)
    assert (gone.id, gone.outs) == ("", {})


def test_what_another_stack_owns_is_not_taken(target):
    inputs = checked(EndpointProvider(), name="echo")
    EndpointProvider().create(inputs)

    with pytest.raises(OwnedByAnother, match="belongs to stack 's', not to 'other'"):
        EndpointProvider().create({**inputs, "stack": "other"})


def test_what_did_not_answer_is_never_read_as_gone(open_on):
    open_on(SilentTarget())
    with pytest.raises(TargetUnreachable, match="no answer; try again, or let `pulumi up"):
        WorkspaceProvider().read("Workspace/default/default", {})


def test_what_does_not_run_as_recorded_is_an_input_until_the_next_update(open_on):
    open_on(with_workspace(LameTarget()))
    provider = EndpointProvider()
    inputs = checked(provider, name="echo")
    made = provider.create(inputs)
    read = provider.read(made.id, made.outs)
    assert read.inputs == {**inputs, "degraded": "the router does not run"}
    assert "degraded" not in provider.update(made.id, read.outs, inputs).outs


def test_an_error_of_several_lines_ends_in_its_summary():
    with pytest.raises(InferenceError) as caught, host.readable_errors():
        raise InferenceError("create Deployment 'x': did not start\n  last log line")

    assert str(caught.value).splitlines()[-1] == "create Deployment 'x': did not start"
