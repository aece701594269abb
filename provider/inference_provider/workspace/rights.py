"""What role assignments of a workspace allow, read from its records.

A role assignment asks inside its edit, a deployment before anything of it starts, and each start of
instances asks for the connections that they get secrets of.
"""

from collections.abc import Mapping
from typing import Any

from inference_provider.access import Assignment, Principal, no_manager, roles_with
from inference_provider.desired import DesiredResource
from inference_provider.errors import PermissionMissing, SecretsInjectionError, TargetError
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.role_needs import (
    Grants,
    Reach,
    connections_in,
    lacking,
    reach_of,
    vault_scopes_in,
)
from inference_provider.spec.roles import unknown_role
from inference_provider.workspace.content import Content
from inference_provider.workspace.identities import Identities
from inference_provider.workspace.state import State


def refuse_unknown_role(state: State, desired: DesiredResource) -> None:
    """Raise TargetError when a role assignment names a role that its workspace does not have."""
    if desired.id.kind != Kind.ROLE_ASSIGNMENT:
        return
    unknown = unknown_role(desired.spec.role, own_roles(state, desired.id.workspace))
    if unknown:
        raise TargetError("create", str(desired.id), *unknown)


def refuse_lacking_roles(
    state: State, content: Content, desired: DesiredResource, actor: Actor
) -> None:
    """Refuse a deployment whose endpoint's identity lacks a role that it needs.

    Raises:
        PermissionMissing: It lacks some; names each, its scope, and the line to add.
    """
    place, spec = desired.id.workspace, desired.spec
    found = state.record(ResourceId(kind=Kind.ENDPOINT, workspace=place, name=spec.endpoint))
    space = state.record(ResourceId.of_workspace(place))
    if found is None or space is None:
        return  # refused elsewhere
    has_registry = bool(space.properties.get("registry"))  # else its environment does not matter
    known = has_registry and content.holds(Kind.ENVIRONMENT, spec.environment)
    environment = content.environment(spec.environment) if known else None
    reach = reach_of(vars(spec), space.properties, environment)
    if reach == Reach():
        return
    given = (record.properties for record in state.of_kind(Kind.ROLE_ASSIGNMENT))
    grants = Grants.of(given, space.properties)
    missing = [*lacking(found.properties, reach, grants, Principal("user", actor.user))]
    if missing:
        raise PermissionMissing("create", str(desired.id), "; ".join(missing))


def refuse_secret_connections(
    state: State, deployment: ResourceId, variables: Mapping[str, Any]
) -> None:
    """Refuse to give a deployment what its endpoint's identity may not read, at any start.

    Whoever deployed it had the right that an enforced access needs, or it would not be there.

    Raises:
        SecretsInjectionError: Names the connection, or the secret, and the role.
    """
    place = deployment.workspace
    needed = {f"connection '{one}'": Reach(connections=(one,)) for one in connections_in(variables)}
    needed |= {one: Reach(vault_secrets=(one,)) for one in vault_scopes_in(variables)}
    if not needed:
        return
    endpoint = ResourceId(kind=Kind.ENDPOINT, workspace=place, name=deployment.endpoint)
    found = state.record(endpoint)
    if found is None:
        return  # refused elsewhere
    given = (record.properties for record in state.of_kind(Kind.ROLE_ASSIGNMENT))
    grants = Grants.of(given, {"roles": own_roles(state, place)})
    for what, reach in needed.items():
        for reason in lacking(found.properties, reach, grants):
            said = f"{what}: {reason}"
            raise SecretsInjectionError("inject secrets into", str(deployment), said)


def managing(state: State, own: Mapping[str, Any]) -> dict[str, str]:
    """Return the identities that may deploy by themselves, by the role assignment that says so.

    Args:
        state: With all role assignments.
        own: The workspace's own roles.
    """
    roles = roles_with(own)
    held = (Assignment.of(record.properties) for record in state.of_kind(Kind.ROLE_ASSIGNMENT))
    return {one.name: one.principal.name for one in held if not no_manager(one, roles)}


def settle_managers(state: State, identities: Identities, own: Mapping[str, Any]) -> None:
    """Let identities deploy by themselves as far as role assignments say so, and no others.

    Inside the edit that records the workspace's own roles: what is refused leaves them as they are.
    """
    wanted = managing(state, own)
    identities.sweep(wanted)
    for assignment, identity in wanted.items():
        identities.entitle(assignment, identity)


def settle_manager(identities: Identities, assignment: str, identity: str | None) -> None:
    """Do so for one role assignment."""
    if identity is None:
        identities.withdraw(assignment)
    else:
        identities.entitle(assignment, identity)


def own_roles(state: State, workspace: str) -> Mapping[str, Any]:
    """Return the workspace's own roles, as its record has them."""
    record = state.record(ResourceId.of_workspace(workspace))
    roles = record.properties.get("roles") if record else None  # an older release recorded none
    return roles or {}
