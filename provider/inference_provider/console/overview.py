"""The first page: workspaces and their endpoints."""

from typing import NamedTuple

from starlette.responses import Response

from inference_provider.console.opened import Asked
from inference_provider.console.seen import Health, Seen, endpoints, health_of
from inference_provider.observed import ObservedState, Presence, ResourceId


class Space(NamedTuple):
    """One workspace."""

    name: str
    health: Health
    status: str
    endpoints: tuple[Seen, ...]


def overview(asked: Asked) -> Response:
    console = asked.console
    names = console.workspaces()
    observed = console.target.observe(names)
    return asked.page("overview", spaces=[_space(name, observed) for name in names])


def _space(name: str, observed: ObservedState) -> Space:
    there = observed.get(ResourceId.of_workspace(name))
    absent = there.presence == Presence.ABSENT
    health = Health("unknown", "there is none yet") if absent else health_of(there)
    return Space(name, health, there.status, endpoints(observed, name))
