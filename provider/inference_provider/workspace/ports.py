"""What the engine needs of the world: four ports, the platform that wires them, and a clock.

Goes through them: the values below and those of `observed.py`, `desired.py` and `router/table.py`.
A port says what is so on its target in the target's own words; which change follows is the
engine's to say.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.observed import (
    Actor,
    Frozen,
    JournalEntry,
    Kind,
    Record,
    ResourceId,
)
from inference_provider.router.table import Backend, EndpointEntry
from inference_provider.secret_text import Secrets
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.workspace.endings import Endings

Progress = Callable[[ResourceId, str], None]
"""Told one short sentence at each step: `2 of 3 instances ready`."""


def silent(_resource: ResourceId, _message: str) -> None:
    """A Progress that tells nobody."""


class Clock(Protocol):
    """The time, and waiting."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""

    def monotonic_s(self) -> float:
        """Return seconds since some moment; they only grow."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Records(Protocol):
    """What a workspace remembers: documents by section and name, and its journal.

    A document that did not change is the same object in two readings, so what was made of it can
    be kept. Secrets are among them: whoever keeps them lets this user alone read them.
    """

    @property
    def workspace(self) -> str:
        """Its name."""

    def exists(self) -> bool:
        """Whether anything of the workspace is written down."""

    def section(self, section: str) -> Mapping[str, bytes]:
        """Return every document of a section by its name, sorted."""

    def read(self, section: str, name: str) -> bytes | None:
        """Return one document; None when there is none."""

    def put(self, section: str, name: str, text: str) -> None:
        """Write one document, whole or not at all.

        Raises:
            OutOfCapacity: There is no room.
        """

    def drop(self, section: str, name: str) -> None:
        """Remove one document; nothing happens when it is not there. Needs no room."""

    def edit(self) -> AbstractContextManager[None]:
        """Keep every other edit of the workspace out; an exception undoes all puts and drops.

        Inside another edit of the same thread it is a part that can fail alone.

        Raises:
            Busy: Another process edits for too long.
        """

    def lock(self, name: str, wait_s: float | None = None) -> AbstractContextManager[None]:
        """Hold one named lock of the workspace, against threads and other processes.

        Args:
            name: What is done one at a time: `deployment.iris.blue`.
            wait_s: Longest wait; the target's own when None.

        Raises:
            Busy: Somebody else has it.
        """

    def hold(self, actor: Actor) -> AbstractContextManager[None]:
        """Keep a second `up`, `down`, `split`, `start` or `stop` out, telling it who is here."""

    def place(self, section: str, name: str) -> str:
        """Return where a person finds a document."""

    def journal(self) -> tuple[JournalEntry, ...]:
        """Return all entries, oldest first."""

    def note(self, entry: JournalEntry) -> None:
        """Append to the journal.

        Raises:
            OutOfCapacity: There is no room.
        """


@dataclass(frozen=True)
class Unit:
    """One generation of a deployment, as it is run."""

    id: ResourceId
    generation: str
    spec: DeploymentSpec
    environment: EnvironmentSpec
    base_dir: str = "."
    """Folder that paths in the spec are relative to."""
    secrets: Secrets = ()
    """What its instances know, and no error may quote of their logs."""
    afresh: bool = False
    """Whether instances that run already are not used."""

    @property
    def start_limit_s(self) -> int:
        """Longest time a new instance may take to answer, seconds."""
        return self.spec.readiness_probe.initial_delay + self.spec.start_timeout_s


class InstanceStatus(Frozen):
    """One instance as its target sees it now."""

    name: str
    generation: str
    admitted: bool
    """Whether the router is to send it requests."""
    runs: bool
    """Whether its process, container or pod runs or starts."""
    answers: bool = True
    """False for one that was started again and does not listen yet."""
    endings: Endings = Endings()
    """How often it ended by itself."""


class ComputeStatus(Frozen):
    """Every instance of a workspace."""

    instances: dict[str, tuple[InstanceStatus, ...]] = {}
    """By deployment, `<endpoint>/<deployment>`."""
    unsupervised: str = ""
    """Why nothing would start an instance again, in the target's words; empty when something does.

    What is true of instances that run on is then not known.
    """


class Compute(Protocol):
    """Where instances run."""

    def ensure(self, unit: Unit, count: int, progress: Progress = silent) -> tuple[str, ...]:
        """Have `count` ready instances of a generation beside all others; return their names.

        Those of the generation that run, answer and do not keep dying are used. What it started
        is ended when it fails.

        Raises:
            NotReady: An instance did not get ready; carries its log's last lines.
            OutOfCapacity: No GPU, port or disk is left.
        """

    def admit(self, deployment: str, names: Iterable[str]) -> None:
        """Let the router send requests to these instances alone. Call it inside an edit.

        They are of the generation that the edit records. A target whose instances move need not
        remember their names.
        """

    def backends(self) -> Mapping[str, tuple[Backend, ...]]:
        """Return where the admitted instances of each deployment are asked, read live."""

    def retire(
        self, deployment: str, drain_s: float, *, everything: bool = False, hurried: bool = False
    ) -> int:
        """End every instance that is not admitted; return how many there were.

        Args:
            deployment: `<endpoint>/<deployment>`.
            drain_s: Longest wait for its last request, seconds.
            everything: Whether admitted ones end too, of a deployment that is deleted.
            hurried: Whether a person waits, and what is ended never served.
        """

    def forget(self, deployment: str) -> None:
        """Remove what a deleted deployment leaves, its logs too."""

    def status(self) -> ComputeStatus:
        """Return every instance in a constant number of calls.

        Raises:
            TargetUnreachable: It did not answer.
        """

    def has_logs(self, deployment: str) -> bool:
        """Whether there are logs; a deployment whose first start failed has no record."""

    def logs(self, deployment: ResourceId, *, lines: int, follow: bool) -> Iterator[str]:
        """Yield the last lines of every instance's log, then new ones when following."""


class RouterAddress(Frozen):
    """Where a workspace's router is reached; chosen once, so that URLs stay."""

    url: str
    metrics_url: str


class RouterStatus(Frozen):
    """What the router of a workspace serves now."""

    fault: str = ""
    """What of it is not as it should be, in the target's words; empty when it serves."""
    runs: bool = True
    """False when it is known not to run."""
    weights: dict[str, dict[str, int]] | None = None
    """In percent, by endpoint and deployment; None when it did not answer."""
    mirrors: dict[str, dict[str, int]] | None = None
    healthy: dict[str, int] | None = None
    """Backends that get requests, by `<endpoint>/<deployment>`."""
    endings: Endings = Endings()
    start_limit_s: int = 20
    """How long its start may take."""


class Router(Protocol):
    """What takes the requests of a workspace."""

    def address(self) -> RouterAddress:
        """Return where it is reached. Raises TargetError when the workspace is not there."""

    def ensure_up(self, endpoints: Callable[[], tuple[EndpointEntry, ...]]) -> None:
        """Start what does not run; what runs and lost its supervisor is replaced, and drained.

        Args:
            endpoints: Tells what a router that is started serves.
        """

    def runs(self) -> bool:
        """Whether anything takes requests."""

    def publish(self, endpoints: tuple[EndpointEntry, ...]) -> None:
        """Serve these endpoints and nothing else, on every router; or change nothing, and raise.

        Called inside an edit of the records. A target whose routers read the records themselves
        commits here what was edited so far, waits until every router has that revision in force,
        and commits the one before again when the edit is undone.

        What is no longer named gets no new request; it goes when its last one has ended.

        Raises:
            RouterRejected: It refused them.
            NotReady: A new backend did not become healthy in time.
            TargetUnreachable: It did not answer.
        """

    def in_force(self) -> bool:
        """Whether it is known what is in force; else the next publication cannot tell what goes."""

    def is_drained(self, deployment: str) -> bool:
        """Whether nothing is in flight on a deployment that is no longer named."""

    def wait_healthy(self, deployment: str, count: int) -> None:
        """Wait until a deployment has so many healthy backends. Raises NotReady."""

    def status(self) -> RouterStatus:
        """Return what it serves, in a constant number of calls. Raises TargetUnreachable."""


class Content(Protocol):
    """Models, code and environments, by the hash of their content."""

    def keep(self, desired: DesiredResource, tell: Callable[[str], None]) -> None:
        """Copy or build what a model, environment or deployment brings, unless it is there."""

    def holds(self, kind: Kind, pinned: str) -> bool:
        """Whether the content of a model or environment is there: `name:version@sha256:…`."""

    def environment(self, pinned: str) -> EnvironmentSpec:
        """Return a kept environment. Raises TargetError when it is not there."""

    def fault(self, record: Record) -> str:
        """Say in a few words what of a resource's kept content was changed; empty when nothing."""

    def drop(self, record: Record) -> None:
        """Remove what a deleted resource alone had."""

    def prune(self, named: Iterable[str]) -> None:
        """Remove what nobody names any more and was not kept a moment ago.

        Args:
            named: Pinned models, and hashes of code.
        """


@dataclass(frozen=True)
class Ports:
    """The four ports of one workspace."""

    records: Records
    compute: Compute
    router: Router
    content: Content


class Platform(Protocol):
    """A target's wiring: which workspaces there are, and their ports."""

    @property
    def capabilities(self) -> TargetCapabilities:
        """What it can do; asked when planning."""

    def workspaces(self) -> tuple[str, ...]:
        """Return the names of the workspaces there are, sorted."""

    def ports(self, workspace: str) -> Ports:
        """Return the ports of a workspace, which need not be there yet."""

    def first_up(self, desired: DesiredResource) -> AbstractContextManager[bool]:
        """Start a workspace of which nothing is recorded; undone when the block raises.

        Yields:
            Whether it is one; nobody else makes it until the block, which records it, ends.
        """

    def change(self, desired: DesiredResource) -> AbstractContextManager[None]:
        """Take over what a workspace's spec says of its router; undone when the block raises."""

    def shut_down(self, workspace: str) -> None:
        """End everything that runs; what is recorded stays."""

    def remove(self, workspace: str) -> None:
        """Remove what is left of a workspace that was shut down."""

    def remove_unrecorded(self, workspace: str) -> None:
        """End and remove a workspace of which nothing is recorded: it is nobody's."""
