"""Ports of a workspace that one of another stack has of the same machine or host.

What else of it has one is found when it is to be listened on: a workspace that is stopped still
has its own.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from pydantic import ValidationError

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, TargetError
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.listens import Listens, listens
from inference_provider.targets.listening import ListenAddress
from inference_provider.workspace.state import State

_DELETE = "use another, or delete that workspace first"
_READ = frozenset({"bind_address", "metrics", "service"})
"""Fields that say where it listens, besides its router, whose port may have been chosen."""
_ROUTER = "router_port"


class Neighbour(NamedTuple):
    """A workspace of the machine."""

    workspace: str
    state: State
    address: Callable[[], ListenAddress | None]
    """Returns where its router listens, if that is chosen; raises TargetError."""


def taken_faults(
    desired: DesiredResource, there: Callable[[], Iterable[Neighbour]]
) -> Iterator[Fault]:
    """Yield each port that a workspace of another stack has, or that was chosen for its own router.

    One of the same stack may be about to give it up.

    Args:
        desired: A workspace.
        there: Returns all workspaces of its machine; asked where it names a port.
    """
    wanted = [*listens(desired.spec)]
    if not wanted:
        return
    others: list[tuple[Listens, str]] = []
    with suppress(TargetError):  # of what cannot be read nothing is known
        for one in there():
            others += _taken(one, desired)
    for own in wanted:
        for other, remedy in others:
            if own.meets(other):
                yield Fault(own.field, own.taken_by(other).reason, remedy)


def _taken(one: Neighbour, desired: DesiredResource) -> list[tuple[Listens, str]]:
    with suppress(TargetError, ValidationError):  # corrupt, or of a newer release: at the start
        if one.workspace == desired.id.name:
            chosen = [*_chosen(one)] if not desired.spec.router_port else []
            return [(listens, "use another") for listens in chosen]
        return [(listens, _DELETE) for listens in _of_another(one, desired.owner)]
    return []


def _of_another(one: Neighbour, owner: str) -> Iterator[Listens]:
    record = one.state.own_record()
    if record is None or record.owner == owner:
        return
    yield from _chosen(one)
    said = {name: record.properties[name] for name in _READ & record.properties.keys()}
    spec = WorkspaceSpec.model_validate({**said, "name": one.workspace})
    yield from (found for found in listens(spec) if found.field != _ROUTER)


def _chosen(one: Neighbour) -> Iterator[Listens]:
    """Yield where its router listens: a port that was chosen for it is its own, too."""
    if address := one.address():
        yield Listens(one.workspace, _ROUTER, address.host, address.port)
