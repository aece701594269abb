"""Images that a target refuses, and those that it needs no more."""

import pytest
from tests.stacks import stack
from tests.unit.capabilities.offers import DOCKER

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.refusals import refusals


def test_an_image_the_target_cannot_use_is_refused():
    able = TargetCapabilities(
        name="docker", images=True, image_fault=lambda image: f"{image} is for mips"
    )
    found = refusals(resolve(stack(environments=[{"name": "env", "image": "a:1"}], **DOCKER)), able)
    assert [str(one) for one in found] == [
        "Environment 'default/env:1' on target 'docker': image: 'a:1': a:1 is for mips; use"
        " another image, or load it on the host"
    ]


MISSING = "the host does not have it"
REMEDY = "use another image, or load it on the host"


@pytest.mark.parametrize(
    ("workspace", "environment", "refused"),
    [
        ({"base_image": "b:1"}, {}, ["Workspace 'default'", "Environment 'default/env:1'"]),
        ({"base_image": "b:1"}, {"image": "a:1"}, ["Workspace 'default'"]),
        ({"runtime_image": "b:1"}, {}, ["Workspace 'default'"]),
        ({"base_image": "b:1", "runtime_image": "r:1"}, {}, ["Environment 'default/env:1'"]),
        ({}, {"image": "b:1"}, ["Environment 'default/env:1'"]),
        ({}, {}, []),
    ],
)
def test_an_image_that_something_is_made_of_is_refused_unless_that_is_there(
    workspace, environment, refused
):
    made = {"name": "env", "dependencies": ["six"], **environment}
    wanted = resolve(stack(workspaces=[{"target": "docker", **workspace}], environments=[made]))
    able = TargetCapabilities(
        name="docker",
        images=True,
        base_images=True,
        image_fault=lambda image: MISSING if image == "b:1" else "",
        has_image_of=lambda _resource, _workspace: False,
    )
    found = refusals(wanted, able)
    assert [one.place.partition(" on target")[0] for one in found] == refused
    assert all(str(one).endswith(f"'b:1': {MISSING}; {REMEDY}") for one in found)
    there = able.model_copy(update={"has_image_of": lambda _resource, _workspace: True})
    assert refusals(wanted, there) == ()
