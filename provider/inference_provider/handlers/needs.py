"""What a resource needs -> a fault for each need that neither exists nor is declared.

The program's resources are known once they are checked; the target is asked about others. Without
this, a weight on an undeclared deployment would be found only half way through an `up`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from inference_provider.errors import Fault, TargetError
from inference_provider.handlers.fields import is_unknown
from inference_provider.handlers.held import UNKNOWN, Fields
from inference_provider.handlers.places import Located, Site
from inference_provider.handlers.program import Program
from inference_provider.injection import Injected, injected, missing, value_of
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.connection import ConnectionSpec
from inference_provider.spec.kinds import ROWS
from inference_provider.spec.secret_store import misfit, store_kind

_EARLIER = "declare it in the program, above this, or correct the name"


@dataclass(frozen=True)
class Needs:
    """Looks for the resources that others of one site need."""

    program: Program
    site: Site

    def missing(self, kind: Kind, fields: Fields) -> Iterator[Fault]:
        """Yield a fault for each needed resource that has a known name and is found nowhere.

        A program that declares no workspace gets no fault for a missing one: its target may not
        need one.
        """
        workspace = fields.get("workspace")
        if kind == Kind.WORKSPACE or is_unknown(workspace):
            return
        if not self._found(Kind.WORKSPACE, str(workspace), str(workspace)):
            yield from self._other_workspaces(str(workspace))
            return
        for named in ROWS[kind].references(fields):
            # an asset is looked for by its content, when that is used
            if ROWS[named.kind].is_asset or is_unknown(named.parts):
                continue
            if not self._found(named.kind, str(workspace), named.name):
                reason = f"{named.kind.value} '{workspace}/{named.name}' is not there"
                yield Fault(named.field, reason, _EARLIER)
                if named.kind == Kind.ENDPOINT:
                    return  # nor is anything behind it
        yield from self._not_held(fields)
        if kind == Kind.CONNECTION:
            yield from self._misfit(fields)

    def _misfit(self, fields: Fields) -> Iterator[Fault]:
        """Yield where credentials are not where the workspace's secret store has them."""
        place = str(fields["workspace"])
        space = ResourceId.of_workspace(place)
        there = self._fields(space)
        given, stored = (fields.get(n) or {} for n in ("credentials", "stored_credentials"))
        if there is None or is_unknown(there.get("secret_store")) or UNKNOWN in (given, stored):
            return
        known = {name: where for name, where in stored.items() if not is_unknown(where)}
        asked = ConnectionSpec.model_construct(name="", credentials=given, stored_credentials=known)
        if found := misfit(store_kind(there.get("secret_store")), asked):
            yield Fault(*found)

    def _fields(self, resource: ResourceId) -> Fields | None:
        """Return those of a resource, of the program first; None while they are not known."""
        fields = self.program.checked_fields(Located(self.site.place, resource))
        try:
            record = self.site.target.record(resource) if fields is None else None
        except (OSError, TargetError):  # what cannot be asked is not absent
            return None
        return record.properties if record else fields

    def _not_held(self, fields: Fields) -> Iterator[Fault]:
        """Yield what variables ask of a connection that it does not have."""
        variables = fields.get("environment_variables")
        for variable, text in variables.items() if isinstance(variables, Mapping) else ():
            asked = injected(text) if isinstance(text, str) else None
            held = self._held(str(fields["workspace"]), asked) if asked else None
            if asked and held is not None and value_of(held, asked) is None:
                place = f"environment_variables.{variable}"
                yield Fault(place, missing(held, asked), "correct one of the two")

    def _held(self, workspace: str, asked: Injected) -> Mapping[str, Any] | None:
        """Return the part of a connection that is asked for; None while that is not known."""
        if not asked.part:
            return None  # all of it: there is always something
        named = ResourceId(kind=Kind.CONNECTION, workspace=workspace, name=asked.connection)
        fields = self._fields(named)
        part = None if fields is None else fields.get(asked.part, {})
        if asked.part == "credentials" and fields and not part:
            part = fields.get("stored_credentials", {})
        return None if part is None or is_unknown(part) else {asked.part: part}

    def _other_workspaces(self, missing_name: str) -> Iterator[Fault]:
        declared = self.program.workspaces(self.site.place)
        if declared:
            names = ", ".join(f"'{name}'" for name in declared)
            reason = f"Workspace '{missing_name}' is not there; this program declares {names}"
            yield Fault("workspace", reason, f"write workspace={declared[0]!r}")

    def _found(self, kind: Kind, workspace: str, name: str) -> bool:
        needed = ResourceId(kind=kind, workspace=workspace, name=name)
        if self.program.has_checked(Located(self.site.place, needed)):
            return True
        try:
            return self.site.target.is_recorded(needed)
        except (OSError, TargetError):  # what cannot be asked is not absent
            return True
