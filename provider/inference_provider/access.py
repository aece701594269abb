"""Who may do what, where: role assignments -> decisions. Pure.

Goes in: a principal, an action, a scope, and the role assignments and roles of one workspace. Comes
out: whether it is allowed, by which assignment, or why not. The router asks `allowed_callers`, a
plan `decide`, and a person is answered from the same code.

Roles are sets of actions (`spec/roles.py`). A role in a scope holds in everything inside it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from inference_provider.spec.roles import (
    BUILT_IN_ROLES,
    MANAGE,
    SCORE,
    Role,
    action_name,
    role_name,
)

__all__ = [
    "BUILT_IN_ROLES",
    "SCORE",
    "Assignment",
    "Decision",
    "Principal",
    "Role",
    "Scope",
    "allowed_callers",
    "allowing",
    "decide",
    "manager_note",
    "no_manager",
    "roles_with",
]

PrincipalKind = Literal["user", "group", "identity"]


@dataclass(frozen=True, order=True)
class Principal:
    """Somebody, or something, that acts."""

    kind: PrincipalKind
    name: str
    """A token's `sub` or one of its groups, the name of an identity, or `endpoints/<name>` for the
    system-assigned identity of an endpoint. Case matters."""

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'"


@dataclass(frozen=True, order=True)
class Scope:
    """A workspace, or something in it."""

    parts: tuple[str, ...] = ()
    """`endpoints`, `iris`, `deployments`, `blue`; none for the whole workspace."""

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """Read `endpoints/iris/deployments/blue`; empty, and `workspace`, stand for all of it."""
        parts = tuple(part for part in text.strip().split("/") if part)
        return cls() if parts == ("workspace",) else cls(parts)

    @classmethod
    def endpoint(cls, name: str, deployment: str = "") -> "Scope":
        """Return an endpoint, or one of its deployments."""
        return cls(("endpoints", name, *(("deployments", deployment) if deployment else ())))

    def covers(self, other: "Scope") -> bool:
        """Return whether what holds here holds there, because that is the same, or inside.

        Case does not matter, as `Blue` and `blue` are one deployment.
        """
        inside = other.parts[: len(self.parts)]
        return [part.lower() for part in inside] == [part.lower() for part in self.parts]

    def __str__(self) -> str:
        return "/".join(self.parts) or "the workspace"


@dataclass(frozen=True)
class Assignment:
    """A principal has a role in a scope."""

    name: str
    principal: Principal
    role: str
    scope: Scope

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Assignment":
        """Read the fields of a RoleAssignment, as a spec or a record has them."""
        principal = Principal(fields.get("principal_type") or "identity", fields["principal"])
        scope = Scope.parse(fields.get("scope") or "")
        return cls(fields["name"], principal, role_name(fields["role"]), scope)

    def __str__(self) -> str:
        return f"role assignment '{self.name}': {self.role} on {self.scope}"


@dataclass(frozen=True)
class Decision:
    """Whether a principal may do something."""

    allowed: bool
    reason: str
    """One sentence, which names the assignment or says what is missing."""
    by: Assignment | None = None
    """What allows it."""


def roles_with(custom: Mapping[str, Mapping[str, Any]] | None) -> Mapping[str, Role]:
    """Return the built-in roles and the workspace's own, by name.

    Args:
        custom: The workspace's field `roles`, as its spec or record has it.
    """
    own = {
        name: Role(name, tuple(fields["actions"]), tuple(fields.get("not_actions") or ()))
        for name, fields in (custom or {}).items()
    }
    return {**own, **BUILT_IN_ROLES}


def decide(
    principal: Principal,
    groups: Collection[str],
    action: str,
    scope: Scope,
    *,
    assignments: Iterable[Assignment],
    roles: Mapping[str, Role],
) -> Decision:
    """Decide whether a principal may do an action in a scope.

    Args:
        principal: Who acts.
        groups: Groups that it is a member of, by name.
        action: `Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action`.
        scope: Where.
        assignments: All of the workspace; the first that allows it is named.
        roles: By name (`roles_with`).
    """
    held = [one for one in assignments if _is_of(one, principal, groups)]
    for one in held:
        role = roles.get(one.role)
        if role and one.scope.covers(scope) and role.allows(action):
            return Decision(True, f"{principal} is allowed by {one}{_through(one, principal)}", one)
    missing = f"no role assignment of {principal} allows {action_name(action)} on {scope}"
    misses = [_miss(one, action, scope, roles) for one in held]
    return Decision(False, "; ".join([missing, *misses]))


def allowed_callers(
    scope: Scope, assignments: Iterable[Assignment], roles: Mapping[str, Role]
) -> frozenset[Principal]:
    """Return who may score an endpoint, or one of its deployments.

    A group stands for all its members. Who may score an endpoint may score each of its deployments,
    so the answer for a deployment contains the one for its endpoint.

    Args:
        scope: `Scope.endpoint("iris")`, or `Scope.endpoint("iris", "blue")`.
        assignments: All of the workspace.
        roles: By name (`roles_with`).
    """
    return frozenset(one.principal for one in allowing(SCORE, scope, assignments, roles))


def allowing(
    action: str, scope: Scope, assignments: Iterable[Assignment], roles: Mapping[str, Role]
) -> Iterator[Assignment]:
    """Yield the assignments that allow an action in a scope, in their order."""
    for one in assignments:
        role = roles.get(one.role)
        if role and one.scope.covers(scope) and role.allows(action):
            yield one


def no_manager(one: Assignment, roles: Mapping[str, Role]) -> str:
    """Say why an assignment does not let an identity deploy by itself; empty where it does.

    A workspace's records are read and written as a whole, and its keys are among them.
    """
    role = roles.get(one.role)
    if one.principal.kind != "identity" or "/" in one.principal.name:
        return f"{one.principal} is not an identity of the workspace"
    if one.scope != Scope():
        return f"it holds on {one.scope}, and not on the whole workspace"
    if role is None:
        return "its role is not there"
    lacks = [action for action in MANAGE if not role.allows(action)]
    return f"its role does not allow {lacks[0]}" if lacks else ""


def manager_note(
    one: Assignment, roles: Mapping[str, Role], deploys_as: Callable[[str], str] | None
) -> str:
    """Say whether an assignment lets an identity deploy by itself; empty where none ever does.

    Args:
        one: The assignment.
        roles: By name (`roles_with`).
        deploys_as: Says as what of the target's own an identity does; None where none does.
    """
    if deploys_as is None or one.principal.kind != "identity":
        return ""
    if reason := no_manager(one, roles):
        return f"it does not let {one.principal} deploy by itself: {reason}"
    name = one.principal.name
    return f"it lets {one.principal} deploy by itself, as {deploys_as(name)}, and read all keys"


def _is_of(one: Assignment, principal: Principal, groups: Collection[str]) -> bool:
    through = one.principal.kind == "group" and one.principal.name in groups
    return one.principal == principal or through


def _through(one: Assignment, principal: Principal) -> str:
    return "" if one.principal == principal else f", as a member of {one.principal}"


def _miss(one: Assignment, action: str, scope: Scope, roles: Mapping[str, Role]) -> str:
    role = roles.get(one.role)
    if role is None:
        return f"{one} names a role that is not there"
    if not role.allows(action):
        return f"{one} does not include it"
    return f"{one} does not reach {scope}"
