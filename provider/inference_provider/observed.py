"""What is there: resources by identity, each PRESENT, ABSENT or UNKNOWN, with its record.

Goes in: nothing; these are the words targets answer in. Comparing is `compare.py`'s work.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

from inference_provider.printable import one_line
from inference_provider.spec.kinds import RANK, ROWS, Kind

__all__ = [
    "RANK",
    "Actor",
    "Claim",
    "Frozen",
    "JournalEntry",
    "Kind",
    "ObservedResource",
    "ObservedState",
    "Presence",
    "Properties",
    "Record",
    "ResourceId",
    "Restarts",
    "known_assets",
]

Properties = Mapping[str, Any]
"""JSON values by top-level field name of a spec; secrets stand as digests, never in clear."""


class Frozen(BaseModel):
    """Base of what we read back: frozen, fields of a newer release ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class ResourceId(Frozen):
    """Names one resource on a target.

    `name` is `<endpoint>/<deployment>` for a deployment and an autoscale rule, `<name>:<version>`
    for an asset, the endpoint's name for its traffic.
    """

    kind: Kind
    workspace: str
    name: str

    def __str__(self) -> str:
        place = self.workspace if self.kind == Kind.WORKSPACE else f"{self.workspace}/{self.name}"
        return one_line(f"{self.kind.value} '{place}'")

    @property
    def address(self) -> str:
        """`Kind/workspace/name`: unique on a target; the id Pulumi stores."""
        return f"{self.kind.value}/{self.workspace}/{self.name}"

    @classmethod
    def parse(cls, address: str) -> "ResourceId":
        """Read `address` back. Raises ValueError for any other text."""
        kind, workspace, name = address.split("/", 2)
        return cls(kind=Kind(kind), workspace=workspace, name=name)


class Actor(Frozen):
    """Who changes something."""

    user: str
    """Login name, or the CI system's name of its user."""
    ci_job: str = ""
    """The CI job and its run, where the environment tells."""
    command: str = ""
    """What was run: `inferctl up`, `pulumi`."""

    def __str__(self) -> str:
        job = f" in {self.ci_job}" if self.ci_job else ""
        return one_line(f"{self.user}{job}" + (f" ({self.command})" if self.command else ""))


class Claim(Frozen):
    """One state's hold on a resource; `inferctl` keeps no state and claims nothing."""

    holder: str
    """Whose state: `Pulumi stack 'dev' of project 'shop'`; empty where that is unknown."""
    entry: str
    """What stands for the resource in that state: a URN."""
    incarnation: str
    """Fresh at each creation. A state that knows an older one no longer speaks for the resource."""
    older: str | None = None
    """The incarnation that this one took over, while an entry of the same state may know it."""


class Record(Frozen):
    """What was applied last: the middle column of the drift report."""

    id: ResourceId
    owner: str
    """Stack that made it."""
    claim: Claim | None = None
    """The state that holds it; None for what only `inferctl` or an older release made."""
    properties: dict[str, Any]
    generation: str = ""
    """Hash of all that needs new processes; deployments only."""
    actor: Actor
    time: datetime


class JournalEntry(Frozen):
    """One change the target made, in a journal that only grows."""

    time: datetime
    actor: Actor
    action: str
    id: ResourceId
    fields: tuple[str, ...] = ()
    """Dotted fields that changed; empty for a creation or deletion."""


class Presence(StrEnum):
    """Whether it is there. A target that did not answer gives UNKNOWN, never ABSENT."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Restarts(Frozen):
    """How often one process ended without being asked to, and was started again."""

    since_start: int
    """Since the target first started it."""
    lately: int
    """In the last `minutes` minutes."""
    minutes: int


class ObservedResource(Frozen):
    """One resource as the target sees it now."""

    id: ResourceId
    presence: Presence
    record: Record | None = None
    live: dict[str, Any] = {}
    """Fields read from what runs; a field that cannot be read there is left out."""
    outputs: dict[str, str] = {}
    secret_outputs: dict[str, SecretStr] = {}
    status: str = ""
    """One sentence on its health: `3 of 3 instances ready`."""
    degraded: str = ""
    """What does not run as recorded, in a few words; the next apply fixes it."""
    restarts: dict[str, Restarts] = {}
    """By process; one that never ended is left out."""
    reason: str = ""
    """Why it is UNKNOWN."""

    @property
    def properties(self) -> dict[str, Any]:
        """What is true now: the record, overridden by what was read from the live resource."""
        return {**(self.record.properties if self.record else {}), **self.live}


class ObservedState(Frozen):
    """All of some workspaces, read in a constant number of calls."""

    resources: dict[str, ObservedResource] = {}
    """By `ResourceId.address`."""
    journal: tuple[JournalEntry, ...] = ()
    """Newest last."""

    def get(self, resource: ResourceId) -> ObservedResource:
        """Return what is known of a resource; ABSENT when the state does not have it."""
        absent = ObservedResource(id=resource, presence=Presence.ABSENT)
        return self.resources.get(resource.address, absent)


def known_assets(observed: ObservedState) -> list[str]:
    """Return pinned references of the assets that are there, `kind/workspace/ref`."""
    found = []
    for there in observed.resources.values():
        row = ROWS[there.id.kind]
        if row.is_asset and there.presence == Presence.PRESENT:
            digest = there.properties.get("content_hash", "")
            found.append(f"{row.word}/{there.id.workspace}/{there.id.name}@sha256:{digest}")
    return found
