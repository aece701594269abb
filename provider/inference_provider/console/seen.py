"""An observed workspace -> what the pages say of its endpoints. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from inference_provider.observed import Kind, ObservedResource, ObservedState, Presence, ResourceId
from inference_provider.workspace.statuses import ComputeStatus, InstanceStatus


class Health(NamedTuple):
    """How something is, in a word and in a sentence."""

    word: str
    """`ok`, `not ready`, `degraded` or `unknown`; a page's style is named for it."""
    reason: str = ""


class Instance(NamedTuple):
    """One instance of a deployment."""

    name: str
    generation: str
    health: Health
    restarts: int
    """Since the target first started it."""


class Deployment(NamedTuple):
    """One deployment behind an endpoint."""

    id: ResourceId
    name: str
    """Without its endpoint's."""
    health: Health
    status: str
    share: int
    mirrored: int
    """Percent of the endpoint's requests that it gets copies of."""
    fields: dict[str, object]
    instances: tuple[Instance, ...] = ()


class Seen(NamedTuple):
    """One endpoint and what is behind it."""

    id: ResourceId
    there: ObservedResource
    health: Health
    deployments: tuple[Deployment, ...]

    @property
    def shares(self) -> int:
        """What the shares are together."""
        return sum(one.share for one in self.deployments)


_NOTHING = ComputeStatus()


def health_of(there: ObservedResource) -> Health:
    """Say how one resource is."""
    if there.presence == Presence.UNKNOWN:
        return Health("unknown", there.reason or "it did not answer")
    if there.degraded:
        return Health("degraded", there.degraded)
    if few := _fewer(there):
        return Health("degraded", few)
    return Health("not ready", there.unready) if there.unready else Health("ok")


def _fewer(there: ObservedResource) -> str:
    """Say that fewer instances run than are recorded; empty when they do not."""
    runs, recorded = there.live.get("instance_count"), there.record
    wanted = recorded.properties.get("instance_count", 0) if recorded else 0
    return "" if runs is None or runs >= wanted else f"{runs} of {wanted} instances run"


def worst(found: Iterable[Health]) -> Health:
    """Return the worst of some; ok when there are none."""
    order = ("unknown", "degraded", "not ready", "ok")
    return min(found, key=lambda one: order.index(one.word), default=Health("ok"))


def endpoints(observed: ObservedState, workspace: str) -> tuple[Seen, ...]:
    """Return the endpoints of a workspace, sorted by name."""
    found = [
        seen(there, observed)
        for there in observed.resources.values()
        if there.id.kind == Kind.ENDPOINT and there.id.workspace == workspace
    ]
    return tuple(sorted(found, key=lambda one: one.id.name))


def seen(
    there: ObservedResource, observed: ObservedState, compute: ComputeStatus = _NOTHING
) -> Seen:
    """Return an endpoint with its deployments; with their instances where those are given."""
    traffic = observed.get(there.id.model_copy(update={"kind": Kind.TRAFFIC}))
    behind = [
        _deployment(one, traffic, compute)
        for one in observed.resources.values()
        if one.id.kind == Kind.DEPLOYMENT
        and one.id.workspace == there.id.workspace
        and one.id.endpoint == there.id.name
    ]
    of_traffic = [health_of(traffic)] if traffic.presence != Presence.ABSENT else []
    health = worst([health_of(there), *of_traffic, *(one.health for one in behind)])
    return Seen(there.id, there, health, tuple(sorted(behind, key=lambda one: one.name)))


def _deployment(
    there: ObservedResource, traffic: ObservedResource, compute: ComputeStatus
) -> Deployment:
    name = there.id.name.partition("/")[2]
    instances = compute.instances.get(there.id.name, ())
    return Deployment(
        id=there.id,
        name=name,
        health=health_of(there),
        status=there.status,
        share=(traffic.properties.get("traffic") or {}).get(name, 0),
        mirrored=(traffic.properties.get("mirror_traffic") or {}).get(name, 0),
        fields=there.properties,
        instances=tuple(_instance(one) for one in instances),
    )


def _instance(one: InstanceStatus) -> Instance:
    if not one.runs:
        health = Health("degraded", "not running")
    elif one.fault:
        health = Health("degraded", one.fault)
    else:
        health = Health("ok") if one.answers else Health("not ready", "starts again")
    return Instance(one.name, one.generation, health, one.endings.total)
