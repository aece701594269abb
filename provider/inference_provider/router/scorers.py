"""Records of a workspace -> whose tokens its endpoints take, and who of them may score. Pure.

Who may is decided in `access.py`; this only asks once for everything that is decided alike.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from inference_provider.access import (
    SCORE,
    Assignment,
    Principal,
    Scope,
    allowed_callers,
    roles_with,
)
from inference_provider.observed import Record
from inference_provider.router.table import ProviderCheck, Scorers


class Access:
    """Who may score the endpoints of one workspace.

    Args:
        workspace: Its record; None for one that is lost, whose endpoints let in nobody.
        assignments: Records of its role assignments.
    """

    def __init__(self, workspace: Record | None, assignments: Iterable[Record]) -> None:
        fields = workspace.properties if workspace else {}
        self.provider = provider_check(fields.get("identity_provider"))
        self._roles = roles_with(fields.get("roles"))
        self._wide: list[Assignment] = []
        self._within: dict[str, list[Assignment]] = {}
        for one in map(Assignment.of, (record.properties for record in assignments)):
            role = self._roles.get(one.role)
            if role and role.allows(SCORE):
                self._place_of(one).append(one)
        self._everywhere = allowed_callers(Scope(), self._wide, self._roles)

    def _place_of(self, one: Assignment) -> list[Assignment]:
        """Return where an assignment is kept: beside those of its endpoint, or of no endpoint."""
        if one.scope.parts[:1] == ("endpoints",) and one.scope.parts[1:]:
            return self._within.setdefault(one.scope.parts[1].lower(), [])
        return self._wide

    def endpoint(self, name: str) -> Scorers:
        """Return who may score an endpoint, and so each deployment of it."""
        return _scorers(self._everywhere | self._allowed(Scope.endpoint(name), name))

    def deployments(self, endpoint: str, names: Iterable[str]) -> dict[str, Scorers]:
        """Return who else may score one deployment, for those that somebody else may score."""
        whole = self._everywhere | self._allowed(Scope.endpoint(endpoint), endpoint)
        found = {
            name: self._allowed(Scope.endpoint(endpoint, name), endpoint) - whole for name in names
        }
        return {name: _scorers(callers) for name, callers in found.items() if callers}

    def _allowed(self, scope: Scope, endpoint: str) -> frozenset[Principal]:
        return allowed_callers(scope, self._within.get(endpoint.lower(), ()), self._roles)


def provider_check(fields: Any) -> ProviderCheck | None:
    """Return the check of a recorded identity provider; None for a workspace without one."""
    if not fields:
        return None
    return ProviderCheck(
        issuer=fields["issuer"],
        audiences=tuple(fields["audience"]),
        jwks=_key_set(fields["jwks"]),
        jwks_uri=fields["jwks_uri"] or "",
        refresh_s=fields["jwks_refresh_s"],
        principal_claim=fields["principal_claim"],
        groups_claim=fields["groups_claim"],
    )


def _key_set(keys: Mapping[str, str]) -> str:
    """Return keys as one JSON Web Key Set; empty where there are none."""
    return f'{{"keys": [{", ".join(keys.values())}]}}' if keys else ""


def _scorers(callers: Iterable[Principal]) -> Scorers:
    """Return callers as tokens name them; an identity of the workspace has none."""
    by_kind: dict[str, list[str]] = {"user": [], "group": []}
    for one in sorted(callers):
        by_kind.setdefault(one.kind, []).append(one.name)
    return Scorers(principals=tuple(by_kind["user"]), groups=tuple(by_kind["group"]))
