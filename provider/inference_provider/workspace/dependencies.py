"""What a resource depends on, and what depends on it.

A change asks inside its edit, where nobody else can take away what it depends on; one that first
starts something asks before that too. What a resource names is read from the marks of its fields;
whether the content of a model or environment is kept is asked elsewhere.
"""

from collections.abc import Iterable, Iterator

from inference_provider.desired import DesiredResource
from inference_provider.errors import StillHolds, StillServing, TargetError
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.router.build import has_provider
from inference_provider.spec.identity_provider import NAME_A_PROVIDER
from inference_provider.spec.kinds import NAMED_BY, RANK, ROWS
from inference_provider.spec.names import Named
from inference_provider.workspace.shifts import share_on_the_way
from inference_provider.workspace.state import State

_SHOWN = 5
_IN_SCOPES = (Kind.CONNECTION, Kind.DEPLOYMENT, Kind.ENDPOINT)
"""Kinds whose names are parts of a scope, in which case does not matter."""

# -- before something is made ----------------------------------------------------------------------


def refuse_unmet(state: State, desired: DesiredResource) -> None:
    """Raise TargetError when something that a resource names is not recorded."""
    row = ROWS[desired.id.kind]
    for named in row.references(desired.spec):
        resource = _beside(desired.id, named.kind, named.name)
        if not ROWS[named.kind].is_asset and state.record(resource) is None:
            operation = "split" if desired.id.kind == Kind.TRAFFIC else "create"
            reason = f"{resource} is not there"
            raise TargetError(operation, str(desired.id), reason, _remedy(named))
    _refuse_without_provider(state, desired)
    _refuse_other_case(state, desired.id)


def _refuse_other_case(state: State, resource: ResourceId) -> None:
    """Refuse a new name that differs from another in case alone: a role on one holds on both."""
    if resource.kind not in _IN_SCOPES or state.record(resource) is not None:
        return
    lower = resource.name.lower()
    for name in state.recorded(resource.kind) - {resource.name}:
        if name.lower() == lower:
            reason = f"{_beside(resource, resource.kind, name)} differs from it in case alone"
            remedy = "use another name: roles on the one would hold on the other"
            raise TargetError("create", str(resource), reason, remedy)


def _refuse_without_provider(state: State, desired: DesiredResource) -> None:
    if desired.id.kind != Kind.ENDPOINT or desired.variant != "online":
        return
    workspace = state.record(_beside(desired.id, Kind.WORKSPACE, desired.id.workspace))
    known = workspace and workspace.properties.get("identity_provider")
    if has_provider(desired.properties) and not known:
        reason = f"auth_mode is aad_token, and {workspace.id if workspace else 'its workspace'}"
        said = f"{reason} names no identity_provider"
        raise TargetError("create", str(desired.id), said, NAME_A_PROVIDER)


def refuse_taken_from_others(state: State, desired: DesiredResource) -> None:
    """Raise StillHolds when a workspace would lose what resources of other stacks stand on."""
    if desired.id.kind != Kind.WORKSPACE:
        return
    own = desired.properties.get("roles") or {}
    before = state.record(desired.id)
    gone = {*((before.properties.get("roles") if before else None) or {})} - {*own}
    provided = bool(desired.properties.get("identity_provider"))
    for record in state.of_kinds((Kind.ENDPOINT, Kind.ROLE_ASSIGNMENT)):
        fields, what = record.properties, ""
        if record.id.kind == Kind.ROLE_ASSIGNMENT and fields["role"] in gone:
            what = f"names its role '{fields['role']}'"
        if record.id.kind == Kind.ENDPOINT and has_provider(fields) and not provided:
            what = "takes tokens of its identity_provider"
        if what and record.owner != desired.owner:
            reason = f"{record.id} of stack '{record.owner}' {what}"
            raise StillHolds("update", str(desired.id), reason, "keep it until that is changed")


def _remedy(named: Named) -> str:
    if named.kind == Kind.DEPLOYMENT:
        return "create it first (in a Pulumi program: name it in depends_on)"
    return "declare it first"


# -- before something is deleted -------------------------------------------------------------------


def refuse_while_needed(state: State, resource: ResourceId) -> None:
    """Refuse to delete what something else depends on.

    Raises:
        StillHolds: A workspace is not empty, or another record names the resource.
        StillServing: A deployment carries weight, or is mirrored to.
    """
    if resource.kind == Kind.DEPLOYMENT:
        _refuse_while_serving(state, resource)
    found: dict[tuple[str, str], list[str]] = {}
    for record in _dependents(state, resource):
        found.setdefault(_relation(record.id, resource), []).append(str(record.id))
    if found:
        reason = ", and ".join(_sentence(names, how) for how, names in found.items())
        raise StillHolds("delete", str(resource), reason, "delete that first")


def _sentence(names: list[str], how: tuple[str, str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more} {how[len(names) > 1]}"


def _relation(dependent: ResourceId, resource: ResourceId) -> tuple[str, str]:
    """Return how a resource depends on another, as said of one and of several."""
    if resource.kind == Kind.WORKSPACE:
        return "is in it", "are in it"
    if resource.kind == Kind.ENDPOINT and dependent.endpoint:
        return "is behind it", "are behind it"
    return "names it", "name it"


def _dependents(state: State, resource: ResourceId) -> Iterable[Record]:
    if resource.kind == Kind.WORKSPACE:
        return (record for record in state.records() if record.id != resource)
    return _naming(state, resource)


def _naming(state: State, resource: ResourceId) -> Iterator[Record]:
    """Yield the records that name a resource; an asset's content outlives its record."""
    kinds = () if ROWS[resource.kind].is_asset else NAMED_BY[resource.kind]
    ids = {kind: _only_candidate(kind, resource) for kind in kinds}
    scanned = [kind for kind, only in ids.items() if only is None]
    records = state.of_kinds(scanned) if scanned else []
    records += [record for only in ids.values() if only and (record := state.record(only))]
    found = (record for record in records if _names(record, resource))
    yield from sorted(found, key=lambda record: RANK[record.id.kind])


def _only_candidate(kind: Kind, resource: ResourceId) -> ResourceId | None:
    """Return the one resource of a kind that can name another, if its own name says which.

    At a thousand endpoints, reading all records of a kind takes longer than the deletion.
    """
    row, parts = ROWS[kind], []
    for field in row.identity[1:]:
        mark = row.names.get(field)
        known = {Kind.ENDPOINT: resource.endpoint, resource.kind: resource.name.rpartition("/")[2]}
        parts.append(known.get(mark.kinds[0], "") if mark else "")
    return _beside(resource, kind, row.separator.join(parts)) if all(parts) else None


def _names(record: Record, resource: ResourceId) -> bool:
    if record.id.endpoint and resource.endpoint not in ("", record.id.endpoint):
        return False
    return any(
        named.kind == resource.kind and named.name == resource.name
        for named in ROWS[record.id.kind].references(record.properties)
    )


def _refuse_while_serving(state: State, resource: ResourceId) -> None:
    _, _, name = resource.name.partition("/")
    traffic = state.record(_beside(resource, Kind.TRAFFIC, resource.endpoint))
    shares = traffic.properties if traffic else {}
    if weight := shares.get("traffic", {}).get(name, 0):
        reason = f"it carries {weight} % of the traffic"
        raise StillServing("delete", str(resource), reason, "move its weight first")
    if traffic and (weight := share_on_the_way(state, traffic, name)):
        reason = f"the rollout of its endpoint's traffic leaves it {weight} %, or may give it back"
        remedy = "run this again when the rollout has ended"
        raise StillServing("delete", str(resource), reason, remedy)
    if share := shares.get("mirror_traffic", {}).get(name, 0):
        reason = f"it gets a copy of {share} % of the traffic"
        raise StillServing("delete", str(resource), reason, "take it out of mirror_traffic first")


def _beside(resource: ResourceId, kind: Kind, name: str) -> ResourceId:
    """Return the id of a resource in the same workspace."""
    return ResourceId(kind=kind, workspace=resource.workspace, name=name)
