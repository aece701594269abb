"""The instances of a workspace that are measured, and what each asks for."""

from collections.abc import Callable
from typing import NamedTuple

from inference_provider.metrics.series import Reading
from inference_provider.observed import Kind
from inference_provider.spec.resources import ResourceAmounts
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ruled import requests_of

Meter = Callable[[], Reading]
"""Looks at a workspace; what it cannot look at is left out of what it returns."""


class Running(NamedTuple):
    """One instance that a deployment admits."""

    deployment: str
    """`<endpoint>/<deployment>`."""
    name: str
    requests: ResourceAmounts


def running(workspace: Workspace) -> tuple[Running, ...]:
    """Return the instances of all online deployments."""
    if not workspace.ports.records.exists():
        return ()
    there = workspace.ports.compute.instances()
    return tuple(
        Running(record.id.name, instance.name, requests_of(record))
        for record in workspace.state.of_kind(Kind.DEPLOYMENT, "online")
        for instance in there.get(record.id.name, ())
        if record.admits(instance.name, instance.generation)
    )
