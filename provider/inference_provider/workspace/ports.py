"""What the engine needs from a target: four ports, the platform that wires them, and a clock.

The values below, and those of `observed.py`, `desired.py` and `router/table.py`, pass through them.
A port reports the state of its target in the target's own words; the engine decides what to change.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from pydantic import SecretStr

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.observed import Actor, JournalEntry, ResourceId
from inference_provider.router.table import Backend, EndpointEntry
from inference_provider.secret_text import Secrets
from inference_provider.serving.server import server_of
from inference_provider.spec import AutoscaleRuleSpec, DeploymentSpec, EnvironmentSpec
from inference_provider.workspace.bucket_login import BucketUser
from inference_provider.workspace.content import Content
from inference_provider.workspace.identities import Identities
from inference_provider.workspace.logged import CallQuery, LogLine, LogQuery
from inference_provider.workspace.registry_login import ReadLogins, RegistryUsers
from inference_provider.workspace.statuses import (
    ComputeStatus,
    Event,
    Instance,
    RouterAddress,
    RouterStatus,
)

Tell = Callable[[str], None]
"""Told one short sentence at each step of one resource."""
Progress = Callable[[ResourceId, str], None]
"""Told one short sentence at each step: `2 of 3 instances ready`."""
MakeRoom = Callable[[Collection[str]], None]
"""Ends all instances of a deployment but some, by name."""


def silent(_resource: ResourceId, _message: str) -> None:
    """A Progress that discards its messages."""


def side_by_side(_kept: Collection[str]) -> None:
    """A MakeRoom that ends nothing: new instances start beside the old."""


class Clock(Protocol):
    """The time, and waiting."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary moment; the value never decreases."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Records(Protocol):
    """What a workspace remembers: documents by section and name, and its journal.

    Reading an unchanged document twice returns the same object, so what was derived from it can be
    cached. Some hold secrets: a target keeps all readable by this user alone.
    """

    @property
    def workspace(self) -> str:
        """Its name."""

    def exists(self) -> bool:
        """Whether the workspace has any document."""

    def section(self, section: str) -> Mapping[str, bytes]:
        """Return every document of a section, keyed and sorted by name."""

    def read(self, section: str, name: str) -> bytes | None:
        """Return one document; None when there is none."""

    def put(self, section: str, name: str, text: str) -> None:
        """Write one document, whole or not at all.

        Raises:
            OutOfCapacity: No space is left.
        """

    def drop(self, section: str, name: str) -> None:
        """Remove one document, if it exists. Needs no disk space."""

    def still(self) -> AbstractContextManager[None]:
        """For the time of a block, read what there was at its beginning, where reading costs."""

    def edit(self) -> AbstractContextManager[None]:
        """Exclude other edits of the workspace; an exception undoes every put and drop.

        This thread reads what it has put at once; whether others do before the edit has ended is
        the target's affair. Nested in another edit of the same thread, it is a part that can be
        undone alone.

        Raises:
            Busy: Another process holds the edit for too long.
        """

    def lock(self, name: str, wait_s: float | None = None) -> AbstractContextManager[None]:
        """Hold one named lock of the workspace, against threads and other processes.

        Args:
            name: What must be done one at a time, for example `deployment.iris.blue`.
            wait_s: Longest wait; the target's own when None.

        Raises:
            Busy: Somebody else has it.
        """

    def hold(self, actor: Actor) -> AbstractContextManager[None]:
        """Keep a second `up`, `down`, `split`, `start` or `stop` out, and tell it who is first."""

    def place(self, section: str, name: str) -> str:
        """Return where a person finds a document."""

    def journal(self) -> tuple[JournalEntry, ...]:
        """Return all entries, oldest first."""

    def note(self, entry: JournalEntry) -> None:
        """Append to the journal.

        Raises:
            OutOfCapacity: No space is left.
        """


@dataclass(frozen=True)
class Unit:
    """One generation of a deployment, as it is run."""

    id: ResourceId
    generation: str
    spec: DeploymentSpec
    environment: EnvironmentSpec
    base_dir: str | None = "."
    """Folder that paths in the spec are relative to; None where only records are known."""
    secrets: Secrets = ()
    """Secrets its instances know, which an error must hide when it quotes their logs."""
    injected: Mapping[str, SecretStr] = field(default_factory=dict)
    """What variables get of connections, by variable; the spec has the references."""
    admitted: tuple[str, ...] = ()
    """Names of instances that serve now; of two that would do, it is the one to keep."""
    gpus: tuple[str, ...] = ()
    """UUIDs of the GPUs that new instances get if they are still free."""
    afresh: bool = False
    """Whether to start new instances even if suitable ones run already."""
    rule: AutoscaleRuleSpec | None = None
    """What decides how many instances there are once they serve; None where nothing but us does."""

    @property
    def start_limit_s(self) -> int:
        """Longest time a new instance may take to answer, seconds."""
        return self.spec.readiness_probe.initial_delay + self.spec.start_timeout_s

    @property
    def readiness_path(self) -> str:
        """Path that a ready instance answers with 200 to 399."""
        return server_of(self.spec, self.environment).readiness_path


class Compute(Protocol):
    """Where instances run."""

    @property
    def replaces_instances(self) -> bool:
        """Whether it replaces instances by itself, as pods; then all of a generation are admitted.

        One Instance is then all of a generation together, and one InstanceStatus one of them.
        """

    def ensure(
        self,
        unit: Unit,
        count: int,
        progress: Progress = silent,
        make_room: MakeRoom = side_by_side,
    ) -> tuple[str, ...] | None:
        """Get `count` ready instances of a generation, leaving those of all others.

        Uses those of the generation that run, answer and do not keep dying, and starts the rest.
        When it fails, it ends what it started.

        Args:
            unit: What they are of.
            count: How many there shall be.
            progress: Told of each that gets ready.
            make_room: Called before new ones start, with those that are used again: all others end
                in it. Not where it replaces instances by itself: then it makes room by itself.

        Returns:
            Their names, so that any more of the generation get no requests and are retired. None
            where it replaces instances by itself: then `scale_in` ends those that are too many.

        Raises:
            NotReady: An instance did not get ready; carries its log's last lines.
            OutOfCapacity: No GPU, port or disk is left.
        """

    def instances(self, deployment: str = "") -> Mapping[str, tuple[Instance, ...]]:
        """Return instances and their current addresses, by deployment; stopped ones too.

        Those of one deployment suffice where one is named.
        """

    def retire(self, deployment: str, names: Collection[str], stop_wait_s: float) -> None:
        """End instances, all at once; the router sends them nothing any more.

        Args:
            deployment: `<endpoint>/<deployment>`.
            names: Which of its instances; those that are gone already are skipped.
            stop_wait_s: Time that each has to end by itself, seconds; then it is killed.
        """

    def scale_in(self, unit: Unit, count: int, stop_wait_s: float) -> int:
        """End what is more than `count` instances of a generation, each after its last request.

        Only where it replaces instances by itself: it chooses which; others are retired by name.
        From here on the unit's rule decides the count, where it has one.

        Args:
            unit: What they are of.
            count: How many stay.
            stop_wait_s: Longest wait for their end, seconds.

        Returns:
            How many end.
        """

    def forget(self, deployment: str) -> None:
        """Remove what a deleted deployment left behind, logs included."""

    def status(self, deployment: str = "") -> ComputeStatus:
        """Return every instance, using a constant number of calls.

        Those of one deployment suffice where one is named.

        Raises:
            TargetUnreachable: It did not answer.
        """

    def logs(self, deployment: ResourceId, query: LogQuery) -> Iterator[LogLine]:
        """Yield the last lines of every instance's log, then new ones when following.

        Raises:
            TargetError: The deployment has no logs, or not those that are asked for.
        """

    def events(self) -> Iterable[Event]:
        """Return what happened to all instances, oldest first, as far back as the target keeps it.

        Raises:
            TargetUnreachable: It did not answer.
        """


class Way(NamedTuple):
    """How this machine reaches the router of a workspace."""

    socket: str = ""
    """Path of a Unix socket that leads there; empty where its URL does."""
    cause: Callable[[], str] = str
    """Says why that leads nowhere, as far as it is known."""


class Router(Protocol):
    """Receives the requests of a workspace."""

    @property
    def reads_records(self) -> bool:
        """Whether it builds what it serves from the records; then it is given no endpoints."""

    def address(self) -> RouterAddress:
        """Return where it is reached. Raises TargetError when the workspace does not exist."""

    def ensure_up(self, endpoints: Callable[[], tuple[EndpointEntry, ...]]) -> None:
        """Start the router unless it runs, with what `endpoints` returns.

        One that lost its supervisor is replaced and drained.
        """

    def runs(self) -> bool:
        """Whether any router takes requests."""

    def publish(self, endpoints: tuple[EndpointEntry, ...]) -> None:
        """Serve exactly these endpoints on every router; or change nothing and raise.

        Called inside an edit of the records. A target whose routers read the records themselves
        commits the edit so far, waits until that revision is in force on every router, and commits
        the previous revision again when the edit is undone.

        A deployment that is no longer listed gets no new request and is removed after its last one.

        Raises:
            RouterRejected: It refused them.
            NotReady: A new backend did not become healthy in time.
            TargetUnreachable: It did not answer.
        """

    def in_force(self) -> bool:
        """Whether the table in force is known; if not, a publication cannot tell what to remove."""

    def is_drained(self, deployment: str) -> bool:
        """Whether no request is in flight on a deployment that is no longer published."""

    def is_connected(self, backends: Collection[Backend]) -> bool:
        """Whether the router has a connection to any backend of a former publication.

        It closes one when its last request has ended, so without any nothing is in flight. No
        statistic of the router tells this of a backend that it no longer knows.
        """

    def wait_healthy(self, deployment: str, count: int) -> None:
        """Wait until a deployment has `count` healthy backends. Raises NotReady."""

    def calls(self, query: CallQuery) -> Iterable[Mapping[str, Any]]:
        """Return calls of its access log, oldest first, in its own words.

        Raises:
            TargetUnreachable: It did not answer.
        """

    def status(self) -> RouterStatus:
        """Return what it serves, using a constant number of calls. Raises TargetUnreachable."""


@dataclass(frozen=True)
class Ports:
    """The four ports of one workspace, and what some targets have besides."""

    records: Records
    compute: Compute
    router: Router
    content: Content
    identities: Identities | None = None
    """None where an identity is no more than its record."""
    sign_in: Callable[[ReadLogins], None] | None = None
    """Told where to read the workspace's users of registries; None where nothing is pulled so."""
    registry_users: RegistryUsers | None = None
    """Given those users as they change; None where they are read when something is pulled."""
    bucket_user: BucketUser | None = None
    """Takes the credentials of the bucket of content; None on a target without buckets."""
    keep_rules: Callable[[], None] | None = None
    """Starts what keeps autoscale rules, moves splits and watches alerts, or raises TargetError;
    None where nothing has to start."""


class Platform(Protocol):
    """A target's wiring: which workspaces exist, and their ports."""

    @property
    def capabilities(self) -> TargetCapabilities:
        """What it can do; asked when planning."""

    def workspaces(self) -> tuple[str, ...]:
        """Return the names of all workspaces, sorted."""

    def ports(self, workspace: str) -> Ports:
        """Return the ports of a workspace, which need not exist yet."""

    def first_up(self, desired: DesiredResource, tell: Tell) -> AbstractContextManager[bool]:
        """Start a workspace that has no record yet; undone when the block raises.

        Args:
            desired: It.
            tell: Told what is waited for.

        Yields:
            Whether it had no record. Nobody else can create it until the block, which records it,
            ends.
        """

    def change(self, desired: DesiredResource, tell: Tell) -> AbstractContextManager[None]:
        """Apply the router settings of a workspace's spec; undone when the block raises.

        `tell` is told what is waited for.
        """

    def shut_down(self, workspace: str) -> None:
        """End everything that runs; records stay."""

    def remove(self, workspace: str, tell: Tell) -> None:
        """Remove the rest of a workspace that was shut down.

        `tell` is told what stays.
        """

    def remove_unrecorded(self, workspace: str, tell: Tell) -> None:
        """End and remove a workspace that has no record, and so no owner; tell what stays."""
