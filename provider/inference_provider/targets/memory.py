"""The memory target: the protocol with nothing behind it, for tests of plans and of the SDK.

It keeps the rules every target keeps (owner label, a deployment with weight stays)
and runs nothing.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

from pydantic import SecretStr

from inference_provider.desired import DesiredResource
from inference_provider.errors import TargetError
from inference_provider.observed import (
    Actor,
    Claim,
    JournalEntry,
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    Record,
    ResourceId,
)
from inference_provider.ownership import (
    is_superseded,
    owned_by_another,
    record_of,
    without_older,
)
from inference_provider.plan import TargetCapabilities
from inference_provider.targets.base import (
    KEPT,
    Progress,
    refuse_what_holds,
    silent,
    still_serving,
)


class MemoryTarget:
    """Keeps resources in a dictionary."""

    def __init__(self, gpu_count: int = 0) -> None:
        self._resources: dict[str, ObservedResource] = {}
        self._journal: list[JournalEntry] = []
        self.capabilities = TargetCapabilities(name="memory", gpu_count=gpu_count)

    def workspaces(self) -> tuple[str, ...]:
        return tuple(sorted({there.id.workspace for there in self._resources.values()}))

    def observe(self, workspaces: Iterable[str]) -> ObservedState:
        wanted = set(workspaces)
        mine = {k: v for k, v in self._resources.items() if v.id.workspace in wanted}
        return ObservedState(resources=mine, journal=tuple(self._journal))

    def observe_one(self, resource: ResourceId) -> ObservedResource:
        return ObservedState(resources=self._resources).get(resource)

    def record(self, resource: ResourceId) -> Record | None:
        return self.observe_one(resource).record

    def holds(self, kind: Kind, workspace: str, pinned: str) -> bool:
        name, _, digest = pinned.partition("@sha256:")
        there = self.observe_one(ResourceId(kind=kind, workspace=workspace, name=name))
        return bool(there.properties.get("content_hash") == digest)

    def apply(
        self, desired: DesiredResource, actor: Actor, progress: Progress = silent
    ) -> ObservedResource:
        there = self.observe_one(desired.id)
        now = datetime.now(UTC)
        record = record_of(desired, there.record, actor, now)
        keys = there.secret_outputs or _new_keys(desired.id)
        applied = ObservedResource(
            id=desired.id, presence=Presence.PRESENT, record=record, secret_outputs=keys
        )
        self._resources[desired.id.address] = applied
        action = "update" if there.record else "create"
        self._journal.append(JournalEntry(time=now, actor=actor, action=action, id=desired.id))
        progress(desired.id, f"{action}d")
        return applied

    def delete(
        self,
        resource: ResourceId,
        owner: str,
        actor: Actor,
        progress: Progress = silent,
        incarnation: str | None = None,
    ) -> None:
        there = self.observe_one(resource)
        if there.record is None:
            return
        if incarnation is not None and is_superseded(there.record, incarnation):
            claim = without_older(there.record, incarnation)
            if claim:
                self.transfer(resource, there.record.owner, actor, claim)
            progress(resource, KEPT)
            return
        if there.record.owner != owner:
            raise owned_by_another("delete", resource, there.record, owner)
        if resource.kind == Kind.DEPLOYMENT:
            self._refuse_while_serving(resource)
        others = (found.record for found in self._resources.values())
        refuse_what_holds(resource, [record for record in others if record])
        del self._resources[resource.address]
        now = datetime.now(UTC)
        self._journal.append(JournalEntry(time=now, actor=actor, action="delete", id=resource))
        progress(resource, "deleted")

    def _refuse_while_serving(self, resource: ResourceId) -> None:
        endpoint, _, name = resource.name.partition("/")
        traffic = self.observe_one(
            ResourceId(kind=Kind.TRAFFIC, workspace=resource.workspace, name=endpoint)
        )
        weight = traffic.properties.get("traffic", {}).get(name, 0)
        if weight:
            raise still_serving(resource, weight)

    def transfer(
        self, resource: ResourceId, owner: str, actor: Actor, claim: Claim | None = None
    ) -> None:
        there = self.observe_one(resource)
        if there.record is None:
            return
        record = there.record.model_copy(update={"owner": owner, "claim": claim})
        self._resources[resource.address] = there.model_copy(update={"record": record})
        now = datetime.now(UTC)
        self._journal.append(JournalEntry(time=now, actor=actor, action="transfer", id=resource))

    def hold(self, workspaces: Iterable[str], actor: Actor) -> AbstractContextManager[None]:
        return nullcontext()

    def rotate_key(self, endpoint: ResourceId, which: str, actor: Actor) -> ObservedResource:
        there = self.observe_one(endpoint)
        if there.presence != Presence.PRESENT:
            raise TargetError("rotate the key of", str(endpoint), "it is not there", "declare it")
        fresh = {**there.secret_outputs, f"{which}_key": SecretStr(secrets.token_urlsafe(32))}
        rotated = there.model_copy(update={"secret_outputs": fresh})
        self._resources[endpoint.address] = rotated
        self._journal.append(
            JournalEntry(
                time=datetime.now(UTC),
                actor=actor,
                action=f"rotate {which} key",
                id=endpoint,
            )
        )
        return rotated

    def start(self, workspace: str, actor: Actor, progress: Progress = silent) -> None:
        """Nothing to start."""

    def stop(self, workspace: str, actor: Actor, progress: Progress = silent) -> None:
        """Nothing to stop."""

    def has_logs(self, deployment: ResourceId) -> bool:
        return self.observe_one(deployment).presence == Presence.PRESENT

    def logs(
        self, deployment: ResourceId, *, lines: int = 100, follow: bool = False
    ) -> Iterator[str]:
        return iter(())


def _new_keys(resource: ResourceId) -> dict[str, SecretStr]:
    if resource.kind != Kind.ENDPOINT:
        return {}
    names = ("primary_key", "secondary_key")
    return {name: SecretStr(secrets.token_urlsafe(32)) for name in names}
