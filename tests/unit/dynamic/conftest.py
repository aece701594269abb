"""Memory targets under the dynamic providers."""

import pytest
from tests.memory import with_workspace
from tests.providers import checked

from inference_provider.dynamic import base
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.targets.memory import MemoryTarget
from inference_provider.targets.registry import open_target


@pytest.fixture
def open_on():
    """Makes the providers open every place as one target; until the test ends."""
    yield lambda target: base.open_targets_with(lambda _place: target)
    base.open_targets_with(open_target)


@pytest.fixture
def target(open_on):
    """A target with a workspace that another stack than the program's owns."""
    memory = with_workspace(MemoryTarget())
    open_on(memory)
    return memory


@pytest.fixture
def empty(open_on):
    memory = MemoryTarget()
    open_on(memory)
    return memory


@pytest.fixture
def echo(target):
    """A target with an endpoint `echo` that is the program's own."""
    EndpointProvider().create(checked(EndpointProvider(), name="echo"))
    return target
