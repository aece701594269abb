"""What a deployment reaches as its endpoint's identity -> the roles that this lacks. Pure.

Goes in: a deployment, its workspace, environment and endpoint, and the role assignments. Comes out:
a sentence for each missing role, with the line that gives it. `access.py` decides.

Source: roles of an endpoint's identity in Azure ML (features.md 1.8): a user-assigned one has them
before its deployment is made; a system-assigned one gets them with its endpoint, those for secrets
only where that is enforced and the deployer has them too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import SecretStr

from inference_provider.access import Assignment, Principal, Role, Scope, decide, roles_with
from inference_provider.injection import injected, vault_secret
from inference_provider.serving.image import is_brought
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.roles import (
    ACR_PULL,
    BLOB_READER,
    GET_SECRET,
    LIST_SECRETS,
    METRICS_WRITER,
    PULL,
    READ_BLOBS,
    SECRETS_READER,
    VAULT_READER,
)

_LONGEST_NAME = 32
_ENFORCED = "properties: {enforce_access_to_default_secret_stores: enabled}"

Fields = Mapping[str, Any]
"""JSON values by field, of a spec, a record or a program."""


class RoleNeed(NamedTuple):
    """A role that an identity needs."""

    role: str
    """The built-in role that has no more than is needed."""
    action: str
    """What it is needed for; any role with it will do."""
    scope: Scope
    purpose: str
    """`to pull its image`."""


@dataclass(frozen=True)
class Reach:
    """What a deployment reaches as its endpoint's identity."""

    registry: str = ""
    """Registry that its image comes from, if that is the workspace's."""
    store: str = ""
    """Bucket and prefix that its model and code come from."""
    connections: tuple[str, ...] = ()
    """Connections whose credentials it gets, by name."""
    vault_secrets: tuple[str, ...] = ()
    """Secrets of Key Vaults that it gets, by their scopes."""


@dataclass(frozen=True)
class Grants:
    """The role assignments of a workspace, and what their roles mean."""

    assignments: tuple[Assignment, ...]
    roles: Mapping[str, Role]

    @classmethod
    def of(cls, assignments: Iterable[Fields], workspace: Fields) -> "Grants":
        """Read the fields of role assignments and of their workspace."""
        return cls(tuple(map(Assignment.of, assignments)), roles_with(workspace.get("roles")))


def reach_of(deployment: Fields, workspace: Fields, environment: EnvironmentSpec | None) -> Reach:
    """Return what a deployment reaches.

    Args:
        deployment: Its environment's variables in clear text, or as SecretStr.
        workspace: Its workspace.
        environment: Its environment; None while that is not known.
    """
    registry = workspace.get("registry") or ""
    pulled = registry and environment is not None and _is_from(environment, registry)
    url = ((workspace.get("cluster") or {}).get("storage") or {}).get("url") or ""
    stored = deployment.get("model") or deployment.get("code_configuration")
    return Reach(
        registry=registry if pulled else "",
        store=url.partition("://")[2].strip("/") if stored else "",
        connections=connections_in(deployment.get("environment_variables") or {}),
        vault_secrets=vault_scopes_in(deployment.get("environment_variables") or {}),
    )


def _is_from(environment: EnvironmentSpec, registry: str) -> bool:
    """Whether an environment's image is pulled from a registry; built ones are pushed there."""
    return not is_brought(environment) or (environment.image or "").startswith(f"{registry}/")


def connections_in(variables: Fields) -> tuple[str, ...]:
    """Return the connections that environment variables name, sorted."""
    found = map(injected, _texts(variables))
    return tuple(sorted({one.connection for one in found if one}))


def vault_scopes_in(variables: Fields) -> tuple[str, ...]:
    """Return the scopes of the Key Vaults' secrets that environment variables name, sorted."""
    found = map(vault_secret, _texts(variables))
    return tuple(sorted({one.scope for one in found if one}))


def _texts(variables: Fields) -> Iterator[str]:
    for value in variables.values():
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str):
            yield text


def needs_of(reach: Reach) -> Iterator[RoleNeed]:
    """Yield the roles that an identity needs for what is reached as it."""
    if reach.registry:
        scope = Scope.parse(f"registries/{reach.registry}")
        yield RoleNeed(ACR_PULL, PULL, scope, "to pull its image")
    if reach.store:
        scope = Scope.parse(f"stores/{reach.store}")
        yield RoleNeed(BLOB_READER, READ_BLOBS, scope, "to read its model and code")
    for name in reach.connections:
        scope = Scope(("connections", name))
        yield RoleNeed(SECRETS_READER, LIST_SECRETS, scope, "to read its credentials")
    for text in reach.vault_secrets:
        yield RoleNeed(VAULT_READER, GET_SECRET, Scope.parse(text), "to read it")


def lacking(
    endpoint: Fields, reach: Reach, grants: Grants, deployer: Principal | None = None
) -> Iterator[str]:
    """Yield a sentence for each role that the identity of a deployment's endpoint lacks.

    Args:
        endpoint: The fields of the endpoint.
        reach: What the deployment reaches.
        grants: Of the workspace.
        deployer: Who deploys; None where that is not known, so nothing is held against them.
    """
    who = identity_of(endpoint)
    given = _with_automatic(endpoint, grants, deployer)
    for need in needs_of(reach):
        found = decide(who, (), need.action, need.scope, assignments=given, roles=grants.roles)
        if not found.allowed:
            yield _sentence(endpoint, who, need, deployer)


def identity_of(endpoint: Fields) -> Principal:
    """Return the identity of an endpoint: a user-assigned one, or its own."""
    return Principal("identity", endpoint.get("identity") or f"endpoints/{endpoint['name']}")


def automatic_assignments(
    endpoint: Fields, grants: Grants, deployer: Principal | None
) -> tuple[Assignment, ...]:
    """Return what a system-assigned identity gets with its endpoint; nothing for another one."""
    if endpoint.get("identity"):
        return ()
    roles = [ACR_PULL, BLOB_READER, METRICS_WRITER]
    if is_enforced(endpoint) and (deployer is None or _may_read_secrets(deployer, grants)):
        roles.append(SECRETS_READER)
    who = identity_of(endpoint)
    return tuple(Assignment("automatic", who, role, Scope()) for role in roles)


def is_enforced(endpoint: Fields) -> bool:
    """Whether the system-assigned identity gets the connections' secrets with its endpoint."""
    said = endpoint.get("properties") or {}
    return bool(said.get("enforce_access_to_default_secret_stores") == "enabled")


def _with_automatic(
    endpoint: Fields, grants: Grants, deployer: Principal | None
) -> tuple[Assignment, ...]:
    return (*grants.assignments, *automatic_assignments(endpoint, grants, deployer))


def _may_read_secrets(deployer: Principal, grants: Grants) -> bool:
    held, roles = grants.assignments, grants.roles
    return decide(deployer, (), LIST_SECRETS, Scope(), assignments=held, roles=roles).allowed


def _sentence(endpoint: Fields, who: Principal, need: RoleNeed, deployer: Principal | None) -> str:
    own = not endpoint.get("identity")
    named = f"the system-assigned identity of endpoint '{endpoint['name']}'" if own else str(who)
    missing = f"{named} has no role '{need.role}' on {need.scope}, {need.purpose}"
    line = _line(endpoint, who.name, need)
    if not own:
        return f"{missing}; add to role_assignments: {line}"
    if deployer and is_enforced(endpoint):
        return f"{missing}, nor has its deployer, {deployer}; add to role_assignments: {line}"
    told = f"{missing}; add to role_assignments: {line}"
    return f"{told}, or give it to yourself and write {_ENFORCED} on the endpoint"


def _line(endpoint: Fields, principal: str, need: RoleNeed) -> str:
    """Return the item of a stack file that gives a role."""
    ends = {ACR_PULL: "acr-pull", BLOB_READER: "blob-reader"}
    end = ends.get(need.role, f"secrets-{need.scope.parts[-1]}")
    end = re.sub(r"[^A-Za-z0-9]+", "-", end)
    start = principal.rpartition("/")[2][: max(0, _LONGEST_NAME - 1 - len(end))].rstrip("-")
    name = f"{start}-{end}".strip("-")[:_LONGEST_NAME].rstrip("-")
    space = endpoint.get("workspace", "default")
    place = "" if space == "default" else f"workspace: {space}, "
    role, scope = need.role, need.scope
    return f"- {{{place}name: {name}, principal: {principal}, role: {role}, scope: {scope}}}"
