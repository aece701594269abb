"""What role assignments allow, as far as a program and its target are known -> faults.

The program's resources are known once they are checked; the target is asked about others. What is
not known yet is not refused: the target checks again when the program is applied.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from inference_provider.errors import Fault, TargetError
from inference_provider.handlers.fields import is_unknown, of_spec
from inference_provider.handlers.held import Fields
from inference_provider.handlers.places import Located, Site
from inference_provider.handlers.program import Program
from inference_provider.observed import Kind, ResourceId
from inference_provider.role_needs import Grants, Reach, lacking, reach_of
from inference_provider.spec import EnvironmentSpec, Reference
from inference_provider.spec.identity_provider import NAME_A_PROVIDER
from inference_provider.spec.kinds import ROWS
from inference_provider.spec.roles import unknown_role


@dataclass(frozen=True)
class Rights:
    """Looks for roles that are not there, and for roles that an identity lacks."""

    program: Program
    site: Site

    def faults(self, kind: Kind, fields: Fields) -> Iterator[Fault]:
        """Yield faults of an assignment's role, an endpoint's mode, or a deployment's identity."""
        place = fields.get("workspace")
        if is_unknown(place):
            return
        try:
            space = self._known(Kind.WORKSPACE, str(place), str(place))
            if kind == Kind.ROLE_ASSIGNMENT:
                yield from _unknown(fields.get("role"), space)
            elif kind == Kind.ENDPOINT and fields.get("kind", "online") == "online":
                yield from _unprovided(fields.get("auth_mode"), str(place), space)
            elif kind == Kind.DEPLOYMENT and fields.get("kind", "online") == "online":
                yield from self._lacking(fields, str(place), space)
        except (OSError, TargetError):  # what cannot be asked is not absent
            return

    def _lacking(self, fields: Fields, place: str, space: Fields | None) -> Iterator[Fault]:
        name, asked = fields.get("endpoint"), fields.get("environment")
        if space is None or not isinstance(name, str):
            return
        environment = self._environment(place, asked) if space.get("registry") else None
        reach = Reach() if is_unknown(space) else reach_of(fields, space, environment)
        if reach == Reach():
            return
        endpoint, given = self._known(Kind.ENDPOINT, place, name), self._assignments(place)
        if endpoint is None or is_unknown([endpoint.get("identity"), given]):
            return
        for sentence in lacking(endpoint, reach, Grants.of(given, space)):
            yield Fault("", sentence, "in a program, declare it above this")

    def _known(self, kind: Kind, place: str, name: str) -> Fields | None:
        """Return the fields of a resource, of the program first; None where it is not there."""
        resource = ResourceId(kind=kind, workspace=place, name=name)
        fields = self.program.checked_fields(Located(self.site.place, resource))
        if fields is None:
            record = self.site.target.record(resource)
            return record.properties if record else None
        return fields

    def _assignments(self, place: str) -> list[Fields]:
        kind, target = Kind.ROLE_ASSIGNMENT, self.site.target
        found: dict[str, Fields] = {
            one.id.name: one.properties for one in target.of_kind(kind, place)
        }
        checked = self.program.all_checked(kind, self.site.place, place)
        return [*{**found, **{one.name: fields for one, fields in checked.items()}}.values()]

    def _environment(self, place: str, asked: object) -> EnvironmentSpec | None:
        if not isinstance(asked, str):
            return None
        fields = self._known(Kind.ENVIRONMENT, place, Reference.parse(asked).asset)
        if fields is None or is_unknown(fields):
            return None
        known: dict[str, Any] = of_spec(ROWS[Kind.ENVIRONMENT].model, fields)
        return EnvironmentSpec.model_construct(**known)


def _unknown(role: object, space: Fields | None) -> Iterator[Fault]:
    own = (space or {}).get("roles") or {}
    if isinstance(role, str) and space is not None and not is_unknown(own):
        unknown = unknown_role(role, own)
        if unknown:
            yield Fault("role", *unknown)


def _unprovided(mode: object, place: str, space: Fields | None) -> Iterator[Fault]:
    """Refuse tokens of an identity provider that the workspace does not name."""
    if mode == "aad_token" and space is not None and not space.get("identity_provider"):
        reason = f"aad_token, and workspace '{place}' names no identity_provider"
        yield Fault("auth_mode", reason, NAME_A_PROVIDER)
