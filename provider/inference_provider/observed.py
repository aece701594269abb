"""The observed state: resources by id, each PRESENT, ABSENT or UNKNOWN, with its record.

These are the types that targets answer with. `compare.py` compares them.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

from inference_provider.printable import one_line
from inference_provider.spec.kinds import RANK, ROWS, Kind
from inference_provider.spec.reference import Reference

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
    "unreadable",
]

Properties = Mapping[str, Any]
"""JSON values by top-level field name of a spec; secrets are digests, never clear text."""


class Frozen(BaseModel):
    """Base of what we read back: frozen, and ignores fields of a newer release."""

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

    @property
    def endpoint(self) -> str:
        """The endpoint that it is, or belongs to; empty for what belongs to none."""
        if self.kind == Kind.ENDPOINT or "endpoint" in ROWS[self.kind].identity:
            return self.name.partition("/")[0]
        return ""

    @classmethod
    def of_workspace(cls, name: str) -> "ResourceId":
        """Return that of a workspace itself."""
        return cls(kind=Kind.WORKSPACE, workspace=name, name=name)

    @classmethod
    def parse(cls, address: str) -> "ResourceId":
        """Parse an `address`. Raises ValueError for any other text."""
        kind, workspace, name = address.split("/", 2)
        return cls(kind=Kind(kind), workspace=workspace, name=name)


class Actor(Frozen):
    """Who changes something."""

    user: str
    """Login name, or the CI system's name of its user."""
    ci_job: str = ""
    """The CI job and its run; empty outside CI."""
    command: str = ""
    """What was run: `inferctl up`, `pulumi`."""

    def __str__(self) -> str:
        job = f" in {self.ci_job}" if self.ci_job else ""
        return one_line(f"{self.user}{job}" + (f" ({self.command})" if self.command else ""))


class Claim(Frozen):
    """One state's hold on a resource; `inferctl` keeps no state and claims nothing."""

    holder: str
    """Whose state: `Pulumi stack 'dev' of project 'shop'`; empty if unknown."""
    entry: str
    """URN of the entry that stands for the resource in that state."""
    incarnation: str
    """New at each creation. A state that knows an older one no longer stands for the resource."""
    older: str | None = None
    """The incarnation that this one replaced, as long as an entry of the same state may know it."""


class Record(Frozen):
    """What was last applied: the middle column of the drift report."""

    id: ResourceId
    owner: str
    """Stack that owns it."""
    claim: Claim | None = None
    """The state that holds it; None if only `inferctl` or an older release applied it."""
    properties: dict[str, Any]
    generation: str = ""
    """Hash of all fields whose change needs new processes; deployments only."""
    injected: str = ""
    """Keyed digest of what its instances get of connections; empty where they get nothing."""
    admitted: tuple[str, ...] | None = None
    """Names of the instances that get requests; None for all of the generation."""
    actor: Actor
    time: datetime

    def admits(self, name: str, generation: str) -> bool:
        """Whether an instance gets requests."""
        return generation == self.generation if self.admitted is None else name in self.admitted

    @property
    def variant(self) -> str:
        """What kind of endpoint or deployment it is: `online`; empty for other resources."""
        return ROWS[self.id.kind].variant_of(self.properties)

    @property
    def pinned(self) -> str:
        """Reference of an asset with the hash of its content: `name:version@sha256:…`."""
        return _pinned(self.id, self.properties)


class JournalEntry(Frozen):
    """One change that the target made, in an append-only journal."""

    time: datetime
    actor: Actor
    action: str
    id: ResourceId
    fields: tuple[str, ...] = ()
    """Dotted fields that changed; empty for a creation or deletion."""
    why: str = ""
    """The reason, of what nobody asked for at that time; one sentence."""


class Presence(StrEnum):
    """Whether a resource exists. A target that did not answer gives UNKNOWN, never ABSENT."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Restarts(Frozen):
    """How often one process ended by itself and was restarted."""

    since_start: int
    """Restarts since the target first started it."""
    lately: int
    """Restarts in the last `minutes` minutes."""
    minutes: int
    why: str = ""
    """Why it ended last, as an event is named; empty where its target does not tell."""


class ObservedResource(Frozen):
    """One resource as the target sees it now."""

    id: ResourceId
    presence: Presence
    record: Record | None = None
    live: dict[str, Any] = {}
    """Fields read from what runs; a field that cannot be read is left out."""
    outputs: dict[str, str] = {}
    secret_outputs: dict[str, SecretStr] = {}
    status: str = ""
    """One sentence on its health: `3 of 3 instances ready`."""
    degraded: str = ""
    """What does not run as recorded, in a few words; the next apply fixes it."""
    is_outdated: bool = False
    """Whether that is what instances were started with, so that the fix starts new ones."""
    unready: str = ""
    """What runs as recorded and does not serve yet: `1 of 2 instances ready`. No drift; the next
    apply waits for it."""
    note: str = ""
    """What a person should know though it runs as recorded, and no apply changes; no drift."""
    under_way: str = ""
    """On which way it is to what is recorded; neither drift nor anything to apply. It stays the
    same as long as nothing changes, so it has no time."""
    in_force: dict[str, int] = {}
    """The shares that requests go by, of a split that is not as recorded yet."""
    origin: dict[str, int] = {}
    """Those that an alarm gives back, or has."""
    restarts: dict[str, Restarts] = {}
    """Keyed by process; one that never ended is left out."""
    reason: str = ""
    """Why the resource is UNKNOWN."""

    @property
    def is_unreadable(self) -> bool:
        """Whether it has a record that cannot be read, so that its owner is unknown."""
        return self.presence == Presence.UNKNOWN and self.record is None

    @property
    def properties(self) -> dict[str, Any]:
        """The current properties: the record, overridden by what was read from what runs."""
        return {**(self.record.properties if self.record else {}), **self.live}


def unreadable(resource: ResourceId, reason: str) -> ObservedResource:
    """Return a resource whose record cannot be read: nobody knows whose it is."""
    return ObservedResource(id=resource, presence=Presence.UNKNOWN, reason=reason)


class ObservedState(Frozen):
    """Everything in some workspaces, read in a constant number of calls."""

    resources: dict[str, ObservedResource] = {}
    """Keyed by `ResourceId.address`."""
    journal: tuple[JournalEntry, ...] = ()
    """Newest last."""

    def get(self, resource: ResourceId) -> ObservedResource:
        """Return a resource; an ABSENT one when the state does not have it."""
        absent = ObservedResource(id=resource, presence=Presence.ABSENT)
        return self.resources.get(resource.address, absent)

    @property
    def unreadable(self) -> tuple[ObservedResource, ...]:
        """Resources whose record cannot be read."""
        return tuple(there for there in self.resources.values() if there.is_unreadable)

    def owners(self, workspace: str) -> set[str]:
        """Return the stacks that own something in a workspace, as far as records can be read."""
        records = (there.record for there in self.resources.values())
        return {record.owner for record in records if record and record.id.workspace == workspace}


def known_assets(observed: ObservedState) -> list[str]:
    """Return the pinned references of existing assets, `kind/workspace/ref`."""
    found = []
    for there in observed.resources.values():
        row = ROWS[there.id.kind]
        if row.is_asset and there.presence == Presence.PRESENT:
            pinned = _pinned(there.id, there.properties)
            found.append(f"{row.word}/{there.id.workspace}/{pinned}")
    return found


def _pinned(asset: ResourceId, properties: Mapping[str, Any]) -> str:
    digest = properties.get("content_hash", "")
    return str(Reference.parse(asset.name)._replace(digest=digest))
