"""A program's deployment gets the amounts of its instance type, wherever the type is declared."""

import pytest
from pulumi.output import UNKNOWN
from tests.providers import PLAIN, THERE, checked, failures

from inference_provider.dynamic import base
from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.workspace import WorkspaceProvider
from inference_provider.targets.memory import MemoryTarget

TYPES = {"trainer": {"gpu": 2, "gpu_product": "A100"}, "small": {"gpu": 1}}
BLUE = {**THERE, "endpoint": "echo", "name": "blue", **PLAIN}


@pytest.fixture
def declared(open_on):
    """A program that has declared its workspace, with types, and an endpoint."""
    target = MemoryTarget(gpu_count=2)
    open_on(target)
    space = checked(WorkspaceProvider(), name="default", target="memory", instance_types=TYPES)
    checked(EndpointProvider(), **THERE, name="echo")
    return target, space


def test_the_types_of_the_programs_workspace_are_known_before_it_is_there(declared):
    inputs = checked(DeploymentProvider(), **BLUE, instance_type="small")
    assert inputs["resources"]["limits"] == {"gpu": 1}
    assert inputs["instance_type"] == "small"
    [(_, fault)] = failures(DeploymentProvider(), **BLUE, instance_type="huge")
    assert fault.startswith(
        "instance_type: no instance type 'huge' in workspace 'default'; declare it in the"
        " workspace's instance_types, or use one of: small, trainer, Standard_DS1_v2,"
    )


def test_the_types_of_another_programs_workspace_are_read_from_its_record(declared):
    target, space = declared
    WorkspaceProvider().create(space)
    EndpointProvider().create(checked(EndpointProvider(), **THERE, name="echo"))
    base.open_targets_with(lambda _place: target)  # another program
    inputs = checked(DeploymentProvider(), **BLUE, instance_type="small")
    assert inputs["resources"]["limits"] == {"gpu": 1}


def test_a_preview_that_does_not_know_the_types_says_nothing_of_them(declared):
    types = {"small": {"gpu": UNKNOWN}}
    checked(WorkspaceProvider(), name="default", target="memory", instance_types=types)
    assert failures(DeploymentProvider(), **BLUE, instance_type="small") == []
    assert failures(DeploymentProvider(), **BLUE, instance_type=UNKNOWN) == []


def test_a_check_of_what_was_checked_changes_nothing(declared):
    once = checked(DeploymentProvider(), **BLUE, instance_type="small")
    assert checked(DeploymentProvider(), **once) == once
