"""How a workspace changes, on any target: who may change what, and the journal of it.

Goes in: desired resources, and a platform with its four ports. Comes out: observed resources.
`creation.py` has the steps for each kind, `rollout.py` those of a deployment, `removal.py` those of
a deletion, and `convergence.py` decides what is published together.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from inference_provider.canary import Move
from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.errors import CapabilityMissing, OutOfCapacity, TargetError
from inference_provider.gpu_wishes import gpu_refusals, surge_refusals
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
    unreadable,
)
from inference_provider.ownership import (
    is_superseded,
    owned_by_another,
    refuse_others,
    without_older,
)
from inference_provider.refusals import refusals
from inference_provider.spec.target import Home
from inference_provider.workspace import credentials, journal, observe, shifting
from inference_provider.workspace.convergence import Publish
from inference_provider.workspace.creation import Creation
from inference_provider.workspace.desk import Desk
from inference_provider.workspace.image_store import ImageStore
from inference_provider.workspace.measured import Meter
from inference_provider.workspace.observe import Observer, take_snapshot
from inference_provider.workspace.opened import Workspace, open_workspace
from inference_provider.workspace.ports import Clock, Platform, Progress, Way, silent
from inference_provider.workspace.removal import Removal, let_go, remove_unrecorded, sweep
from inference_provider.workspace.rolling import ForEach, in_turn, roll_recorded
from inference_provider.workspace.rollout import Rollout
from inference_provider.workspace.ruled import Ruled, ruled
from inference_provider.workspace.scaling import Scaling
from inference_provider.workspace.secret_store import OpenStore, no_store
from inference_provider.workspace.shifting import UnderWay, under_way
from inference_provider.workspace.system_clock import SystemClock
from inference_provider.workspace.tokens import IssuedToken
from inference_provider.workspace.told import Told

KEPT = "kept: another entry of the same stack stands for it"
"""Progress of a deletion requested by a state entry that no longer stands for the resource."""


class Engine(Told):
    """A target: a platform, and the only way to change its workspaces; repeating a call is safe."""

    def __init__(self, platform: Platform, clock: Clock | None = None) -> None:
        self.platform = platform
        self._clock = clock or SystemClock()
        self._opened: dict[str, Workspace] = {}
        self.open_store: OpenStore = no_store
        """Opens secret stores beside a workspace; set before any workspace is opened."""

    @property
    def capabilities(self) -> TargetCapabilities:
        """What it can do."""
        return self.platform.capabilities

    @property
    def images(self) -> ImageStore | None:
        """The images that it builds; None where it builds none."""
        return None

    def home(self) -> Home:
        """Return what the place leads to now. Raises TargetUnreachable."""
        return Home()

    @contextmanager
    def way_to(self, workspace: str, url: str) -> Iterator[Way]:
        """Yield how this machine reaches a workspace's router, by the URL that its host has for it.

        Raises:
            TargetError: It cannot.
        """
        del workspace, url
        yield Way()

    def workspaces(self) -> tuple[str, ...]:
        """Return the names of all workspaces, sorted."""
        return self.platform.workspaces()

    @contextmanager
    def hold(self, workspaces: Iterable[str], actor: Actor) -> Iterator[None]:
        """Keep other callers out for the whole of an `up` or `down`.

        Raises:
            Busy: Somebody else holds one of them; says who, since when, in which process.
        """
        with ExitStack() as stack:
            for name in sorted(set(workspaces)):
                stack.enter_context(self._workspace(name).ports.records.hold(actor))
            yield

    def _workspace(self, name: str) -> Workspace:
        if name not in self._opened:
            opened = open_workspace(self.platform.ports(name), self._clock, self.open_store)
            self._opened.setdefault(name, opened)
        return self._opened[name]

    # -- observe -------------------------------------------------------------------------------

    def observe(self, workspaces: Iterable[str]) -> ObservedState:
        """Return everything in some workspaces, using a constant number of calls for each.

        What cannot be queried has presence UNKNOWN, rather than raising an error.

        Raises:
            TargetError, OSError: Nothing of a workspace can be read, not even its records.
        """
        resources: dict[str, ObservedResource] = {}
        journal: list[JournalEntry] = []
        for name in workspaces:
            opened = self._workspace(name)
            if not opened.ports.records.exists():
                continue
            with opened.ports.records.still(), opened.state.secrets.still():
                resources |= self._observed(opened)
            journal.extend(opened.ports.records.journal())
        return ObservedState(resources=resources, journal=tuple(journal))

    def _observed(self, opened: Workspace) -> dict[str, ObservedResource]:
        snapshot = take_snapshot(opened.ports, self._clock)
        observer = Observer(opened.ports, opened.state, snapshot)
        records, faults = opened.state.sorted_out()
        found = {record.id.address: observer.resource(record) for record in records}
        return found | {id_.address: unreadable(id_, reason) for id_, reason in faults.items()}

    def observe_one(self, resource: ResourceId) -> ObservedResource:
        """Return one resource; presence ABSENT or UNKNOWN rather than an error."""
        opened = self._workspace(resource.workspace)
        try:
            record = self.record(resource)
        except (OSError, TargetError) as fault:
            return unreadable(resource, getattr(fault, "strerror", None) or str(fault))
        if record is None:
            return ObservedResource(id=resource, presence=Presence.ABSENT)
        running = resource.kind in observe.RUNNING or observe.holds(opened.ports, resource.kind)
        snapshot = observe.Snapshot()
        if running:
            snapshot = take_snapshot(opened.ports, self._clock, resource)
        return Observer(opened.ports, opened.state, snapshot).resource(record)

    def holds(self, kind: Kind, workspace: str, pinned: str) -> bool:
        """Whether the content of a model or environment is kept: `name:version@sha256:…`."""
        return self._workspace(workspace).ports.content.holds(kind, pinned)

    def owned_by(self, stack: str, among: Collection[str]) -> tuple[str, ...]:
        """Return those of some workspaces in which a stack owns something.

        Reads records only, and skips unreadable ones; no running process is queried.
        """
        return tuple(name for name in among if stack in self._workspace(name).state.owners())

    def is_recorded(self, resource: ResourceId) -> bool:
        """Whether a resource has a record, even one that cannot be read."""
        opened = self._workspace(resource.workspace)
        there = opened.ports.records.exists()
        return there and resource.name in opened.state.recorded(resource.kind)

    def record(self, resource: ResourceId) -> Record | None:
        """Return what was last applied, without observing what runs; None if nothing was."""
        opened = self._workspace(resource.workspace)
        return opened.state.record(resource) if opened.ports.records.exists() else None

    def of_kind(self, kind: Kind, workspace: str) -> list[Record]:
        """Return the records of one kind in a workspace, sorted by name."""
        opened = self._workspace(workspace)
        return opened.state.of_kind(kind) if opened.ports.records.exists() else []

    # -- apply ---------------------------------------------------------------------------------

    def apply(
        self,
        desired: DesiredResource,
        actor: Actor,
        progress: Progress = silent,
        for_each: ForEach = in_turn,
    ) -> ObservedResource:
        """Create or update one resource, and wait until it serves.

        A change of a workspace that rolls all that runs in it does so by `for_each`.

        Raises:
            OwnedByAnother: It carries another stack's label, or another state holds it.
            NotReady: An instance did not start; the old generation keeps serving.
            OutOfCapacity: No GPU, port or disk left.
        """
        refused = refusals([desired], self.capabilities)
        refused += gpu_refusals([desired], self.capabilities)
        if refused:
            raise CapabilityMissing("apply", str(desired.id), "; ".join(map(str, refused)))
        opened = self._workspace(desired.id.workspace)
        if desired.id.kind != Kind.WORKSPACE:
            opened.refuse_absent()
        before = self.record(desired.id)
        refuse_others("update", desired, before)
        if crowded := surge_refusals([(desired, before)], self.capabilities):
            raise OutOfCapacity("apply", str(desired.id), "; ".join(map(str, crowded)))
        try:
            replaced = Creation(opened, self.platform, actor, progress, for_each).run(desired)
        except BaseException:
            if journal.was_applied(self.record(desired.id), before):
                self._note_change(opened, desired, before, actor)
            raise
        self._note_change(opened, desired, replaced, actor)
        record = opened.state.record(desired.id)
        if record is None:  # deleted in the meantime
            return ObservedResource(id=desired.id, presence=Presence.ABSENT)
        return Observer(opened.ports, opened.state, None).resource(record)

    # -- delete --------------------------------------------------------------------------------

    def delete(
        self,
        resource: ResourceId,
        owner: str,
        actor: Actor,
        progress: Progress = silent,
        incarnation: str | None = None,
        *,
        going: Collection[ResourceId] = (),
    ) -> None:
        """Remove one resource; nothing happens when it is not there.

        Args:
            resource: What to delete.
            owner: Whose label it must carry.
            actor: Who asks.
            progress: Told what is done.
            incarnation: The one that the caller's state knows; a resource with a newer one is
                kept. None for a caller without a state, which deletes any.
            going: What the caller deletes too, so that nothing of it is to be put right first.

        Raises:
            OwnedByAnother: It carries another stack's label.
            StillServing: A deployment that carries weight, or is mirrored to.
            StillHolds: A workspace with something in it, or what another resource names.
        """
        record = self.record(resource)
        if record is None:
            opened = self._workspace(resource.workspace)
            remove_unrecorded(opened, self.platform, resource, progress)
        elif incarnation is not None and is_superseded(record, incarnation):
            claim = without_older(record, incarnation)
            if claim:
                self.transfer(resource, record.owner, actor, claim)
            progress(resource, KEPT)
        elif record.owner != owner:
            raise owned_by_another("delete", resource, record, owner)
        else:
            self._remove_recorded(record, actor, progress, going)

    def _remove_recorded(
        self, record: Record, actor: Actor, progress: Progress, going: Collection[ResourceId]
    ) -> None:
        opened, resource = self._workspace(record.id.workspace), record.id
        rollout = Rollout(opened, actor, progress)
        Removal(opened, self.platform, rollout, progress, going).run(record)
        if resource.kind == Kind.WORKSPACE:
            self._opened.pop(resource.workspace, None)
        else:  # a workspace's journal went with it
            opened.note(resource, actor, "delete")
        progress(resource, "deleted")

    # -- operations ----------------------------------------------------------------------------

    def transfer(
        self, resource: ResourceId, owner: str, actor: Actor, claim: Claim | None = None
    ) -> None:
        """Write another owner, and another state's claim or none, into a record.

        What runs stays as it is.
        """
        opened = self._workspace(resource.workspace)
        found = False

        def edit() -> None:
            nonlocal found
            record = self.record(resource)
            found = record is not None
            if record is not None:
                given = record.model_copy(update={"owner": owner, "claim": claim})
                opened.state.put_record(given, opened.state.placeholders(resource))

        opened.convergence.change(edit, Publish.NEVER)
        if found:
            opened.note(resource, actor, "transfer")

    def set_aside(self, resource: ResourceId, actor: Actor) -> None:
        """Move a record that cannot be read out of the way; the resource is then ABSENT."""
        opened = self._workspace(resource.workspace)
        with opened.ports.records.edit():
            opened.state.set_aside(resource)
            let_go(opened.ports, resource)
        opened.note(resource, actor, "set aside")

    def rotate_key(self, endpoint: ResourceId, which: str, actor: Actor) -> ObservedResource:
        """Replace the `primary`, `secondary` or `signing` key; what was valid beside it stays so.

        See `credentials.rotate`.
        """
        opened = self._workspace(endpoint.workspace)
        opened.note(endpoint, actor, credentials.rotate(opened, endpoint, which))
        return self.observe_one(endpoint)

    def token(self, endpoint: ResourceId, lifetime: timedelta, actor: Actor) -> IssuedToken:
        """Return a token with which an endpoint may be called; see `credentials.token`."""
        opened = self._workspace(endpoint.workspace)
        issued = credentials.token(opened, endpoint, actor, lifetime)
        opened.note_first(endpoint, actor, "issue token")
        return issued

    def desk(self, workspace: str) -> Desk:
        """Return what gives tokens to callers of a workspace."""
        return Desk(self._workspace(workspace))

    def start(
        self, workspace: str, actor: Actor, progress: Progress = silent, for_each: ForEach = in_turn
    ) -> None:
        """Start everything that is recorded, after a stop, a crash or a reboot."""
        opened, id_ = self._workspace(workspace), ResourceId.of_workspace(workspace)
        opened.convergence.ensure_up()
        opened.note(id_, actor, "start")
        progress(id_, "router up")
        sweep(opened)
        roll_recorded(opened, actor, progress, for_each)

    def ruled(self, workspace: str) -> tuple[Ruled, ...]:
        """Return the deployments whose count an autoscale rule decides."""
        return ruled(self._workspace(workspace))

    def scaling(self, workspace: str, actor: Actor) -> Scaling:
        """Return what changes the counts that rules decide."""
        return Scaling(self._workspace(workspace), actor)

    def publish(self, workspace: str) -> None:
        """Have the router serve what is recorded: which requests wait has changed."""
        self._workspace(workspace).convergence.change(lambda: None, Publish.WHILE_IT_RUNS)

    def renew(self, workspace: str) -> None:
        """Replace what runs beside a workspace and is of another release; nothing that serves."""

    def meter(self, _workspace: str) -> Meter | None:
        """Return what measures a workspace; None where this target measures none yet."""
        return None

    def shifts(self, workspace: str) -> tuple[UnderWay, ...]:
        """Return the splits of a workspace that are on their way by a rollout."""
        return under_way(self._workspace(workspace))

    def move(self, seen: UnderWay, what: Move, why: str, actor: Actor) -> None:
        """Move a split that is as it was seen; see `shifting.move`."""
        shifting.move(self._workspace(seen.id.workspace), seen, what, why, actor)

    def decisions(self, _workspace: str) -> Iterable[str]:
        """Return what a workspace's autoscaler has written down, oldest first."""
        return ()

    def stop(self, workspace: str, actor: Actor, progress: Progress = silent) -> None:
        """End every process of a workspace; records and files stay."""
        opened, id_ = self._workspace(workspace), ResourceId.of_workspace(workspace)
        opened.refuse_absent()
        self.platform.shut_down(workspace)
        opened.note(id_, actor, "stop")
        progress(id_, "stopped")

    # -- journal -------------------------------------------------------------------------------

    def journal(self, workspace: str) -> tuple[JournalEntry, ...]:
        """Return what was done in a workspace, and by whom, and a sample of what was refused."""
        opened = self._workspace(workspace)
        opened.refuse_absent()
        return journal.entries(workspace, opened.ports)

    def note_reading(self, resource: ResourceId, actor: Actor) -> None:
        """Write down that somebody is about to see an endpoint's keys, or all of a workspace."""
        self._workspace(resource.workspace).note_first(resource, actor, "read keys")

    def _note_change(
        self, opened: Workspace, desired: DesiredResource, before: Record | None, actor: Actor
    ) -> None:
        fields = journal.changed_fields(desired, before) if before else ()
        opened.note(desired.id, actor, "update" if before else "create", fields)
