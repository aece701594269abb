"""What a resource depends on, and what depends on it.

A change asks inside its edit, where nobody else can take away what it depends on; one that first
starts something asks before that too.
"""

from collections.abc import Callable, Iterator, Mapping

from inference_provider.desired import DesiredResource
from inference_provider.errors import StillHolds, StillServing, TargetError
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.workspace.state import State

_SHOWN = 5


# -- before something is made ----------------------------------------------------------------------


def refuse_unmet(state: State, desired: DesiredResource) -> None:
    """Raise TargetError when something that a resource depends on is not recorded."""
    check = _CHECKS.get(desired.id.kind)
    if check is not None:
        check(state, desired)


def _check_deployment(state: State, desired: DesiredResource) -> None:
    _refuse_without_endpoint(state, desired, "create")


def _check_traffic(state: State, desired: DesiredResource) -> None:
    _refuse_without_endpoint(state, desired, "split")
    shares = {**desired.spec.traffic, **desired.spec.mirror_traffic}
    for name, share in shares.items():
        deployment = _named(desired.id, Kind.DEPLOYMENT, f"{desired.spec.endpoint}/{name}")
        if share and state.record(deployment) is None:
            remedy = "create it first (in a Pulumi program: name it in depends_on)"
            raise TargetError("split", str(desired.id), f"{deployment} is not there", remedy)


def _refuse_without_endpoint(state: State, desired: DesiredResource, operation: str) -> None:
    endpoint = _named(desired.id, Kind.ENDPOINT, desired.spec.endpoint)
    if state.record(endpoint) is None:
        reason = f"{endpoint} is not there"
        raise TargetError(operation, str(desired.id), reason, "declare it first")


_CHECKS: Mapping[Kind, Callable[[State, DesiredResource], None]] = {
    Kind.DEPLOYMENT: _check_deployment,
    Kind.TRAFFIC: _check_traffic,
}


# -- before something is deleted -------------------------------------------------------------------


def refuse_while_needed(state: State, resource: ResourceId) -> None:
    """Refuse to delete what something else depends on.

    Raises:
        StillHolds: A workspace is not empty, or an endpoint has deployments or a split.
        StillServing: A deployment carries weight.
    """
    if resource.kind == Kind.DEPLOYMENT:
        _refuse_while_serving(state, resource)
    rest = [str(record.id) for record in _dependents(state, resource)]
    if not rest:
        return
    more = f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else ""
    where = "in it" if resource.kind == Kind.WORKSPACE else "behind it"
    verb = "is" if len(rest) == 1 else "are"
    reason = f"{', '.join(rest[:_SHOWN])}{more} {verb} {where}"
    raise StillHolds("delete", str(resource), reason, "delete that first")


def _dependents(state: State, resource: ResourceId) -> Iterator[Record]:
    if resource.kind == Kind.WORKSPACE:
        yield from (record for record in state.records() if record.id != resource)
    elif resource.kind == Kind.ENDPOINT:
        yield from (
            record
            for kind in (Kind.DEPLOYMENT, Kind.TRAFFIC)
            for record in state.of_kind(kind)
            if record.id.name.partition("/")[0] == resource.name
        )


def _refuse_while_serving(state: State, resource: ResourceId) -> None:
    endpoint, _, name = resource.name.partition("/")
    traffic = state.record(_named(resource, Kind.TRAFFIC, endpoint))
    weight = traffic.properties["traffic"].get(name, 0) if traffic else 0
    if weight:
        reason = f"it carries {weight} % of the traffic"
        raise StillServing("delete", str(resource), reason, "move its weight first")


def _named(beside: ResourceId, kind: Kind, name: str) -> ResourceId:
    """Return the id of a resource in the same workspace."""
    return ResourceId(kind=kind, workspace=beside.workspace, name=name)
