"""The first page: workspaces and their endpoints."""

from typing import NamedTuple

from starlette.responses import Response

from inference_provider.console.opened import Asked, Console
from inference_provider.console.seen import Health, Seen, endpoints, health_of
from inference_provider.errors import InferenceError
from inference_provider.observed import ObservedState, Presence, ResourceId
from inference_provider.secret_text import hidden


class Space(NamedTuple):
    """One workspace."""

    name: str
    health: Health
    status: str
    endpoints: tuple[Seen, ...]


def overview(asked: Asked) -> Response:
    console = asked.console
    names, told = console.workspaces()
    return asked.page("overview", told=told, spaces=[_space(console, name) for name in names])


def _space(console: Console, name: str) -> Space:
    """Return a workspace; one that cannot be read hides no other."""
    try:
        return _seen(name, console.target.observe((name,)))
    except Exception as exc:  # noqa: BLE001 - its reason is shown
        reason = str(exc) if isinstance(exc, InferenceError) else f"{type(exc).__name__}: {exc}"
        return Space(name, Health("unknown", hidden(reason)), "", ())


def _seen(name: str, observed: ObservedState) -> Space:
    there = observed.get(ResourceId.of_workspace(name))
    absent = there.presence == Presence.ABSENT
    health = Health("unknown", "there is none yet") if absent else health_of(there)
    return Space(name, health, there.status, endpoints(observed, name))
