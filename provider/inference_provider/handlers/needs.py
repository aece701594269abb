"""What a resource needs -> a fault for each need that neither exists nor is declared.

The program's resources are known once they are checked; the target is asked about others. Without
this, a weight on an undeclared deployment would be found only half way through an `up`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inference_provider.errors import Fault
from inference_provider.handlers.fields import is_unknown
from inference_provider.handlers.held import Fields
from inference_provider.handlers.places import Located, Site
from inference_provider.handlers.program import Program
from inference_provider.observed import Kind, Presence, ResourceId

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
        workspace, endpoint = fields.get("workspace"), fields.get("endpoint")
        if kind == Kind.WORKSPACE or is_unknown(workspace):
            return
        if not self._found(Kind.WORKSPACE, str(workspace), str(workspace)):
            yield from self._other_workspaces(str(workspace))
            return
        if kind not in (Kind.DEPLOYMENT, Kind.TRAFFIC) or is_unknown(endpoint):
            return
        if not self._found(Kind.ENDPOINT, str(workspace), str(endpoint)):
            yield Fault("endpoint", f"Endpoint '{workspace}/{endpoint}' is not there", _EARLIER)
            return
        for field in ("traffic", "mirror_traffic"):
            shares = fields.get(field)
            for name, share in shares.items() if isinstance(shares, Mapping) else ():
                deployment = f"{endpoint}/{name}"
                wanted = not is_unknown(share) and share
                if wanted and not self._found(Kind.DEPLOYMENT, str(workspace), deployment):
                    reason = f"Deployment '{workspace}/{deployment}' is not there"
                    yield Fault(f"{field}.{name}", reason, _EARLIER)

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
        return self.site.target.observe_one(needed).presence != Presence.ABSENT
