"""The memory target: the four ports in dictionaries, and a clock that moves when somebody waits.

It runs real rollouts whose instances are entries of a dictionary, so the engine is tested in
milliseconds. A test decides what fails, how long a request takes, and when a publication ends.
"""

import itertools
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from inference_provider.capabilities import WITH_RULES, TargetCapabilities
from inference_provider.desired import DesiredResource, reference
from inference_provider.errors import NotReady, TargetError
from inference_provider.gpus import Gpu, Holder, Ledger, hand_out
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.router.table import Backend, EndpointEntry
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.quota import gpus_of
from inference_provider.spec.reference import Reference
from inference_provider.spec.target import Home
from inference_provider.targets.listening import absent
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.logged import CallQuery, LogLine, LogQuery
from inference_provider.workspace.ports import (
    Clock,
    MakeRoom,
    Ports,
    Progress,
    Tell,
    Unit,
    side_by_side,
    silent,
)
from inference_provider.workspace.statuses import (
    ComputeStatus,
    Event,
    Instance,
    InstanceStatus,
    RouterAddress,
    RouterStatus,
)

INSTANCES = "instances"
FIRST_PORT = 20000


class MemoryClock:
    """A clock that stands still until somebody waits."""

    def __init__(self) -> None:
        self._start = datetime.now(UTC)
        self._passed_s = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed_s)

    def monotonic_s(self) -> float:
        return self._passed_s

    def sleep(self, seconds: float) -> None:
        self._passed_s += seconds


class MemoryCompute:
    """Instances that are entries of a dictionary."""

    replaces_instances = False

    def __init__(self, records: MemoryRecords, devices: tuple[Gpu, ...]) -> None:
        self.fails: Callable[[Unit], str] = _never
        """Says why an instance of a unit does not become ready; empty when it does."""
        self.injected: dict[str, Mapping[str, str]] = {}
        """What instances got of connections, by their names and variables."""
        self.ended: set[str] = set()
        """Instances that ended by themselves."""
        self.happened: list[Event] = []
        self.prints: Callable[[LogQuery], Iterable[LogLine]] = lambda _query: ()
        """Says what instances have printed, of what is asked for."""
        self._records = records
        self._devices = devices
        self._numbers = itertools.count(1)

    def _of(self, deployment: str) -> dict[str, dict[str, Any]]:
        document = self._records.read(INSTANCES, deployment)
        found: dict[str, dict[str, Any]] = json.loads(document) if document else {}
        return found

    def _save(self, deployment: str, instances: Mapping[str, Mapping[str, Any]]) -> None:
        if instances:
            self._records.put(INSTANCES, deployment, json.dumps(instances))
        else:
            self._records.drop(INSTANCES, deployment)

    def ensure(
        self,
        unit: Unit,
        count: int,
        progress: Progress = silent,
        make_room: MakeRoom = side_by_side,
    ) -> tuple[str, ...]:
        name, there = unit.id.name, self._of(unit.id.name)
        same = [n for n, i in there.items() if i["generation"] == unit.generation]
        usable = [] if unit.afresh else [n for n in same if n not in self.ended]
        kept = usable[:count]
        if len(kept) < count:
            make_room(kept)
            there = self._of(name)
        fault = self.fails(unit) if len(kept) < count else ""
        if fault:
            raise NotReady("start", str(unit.id), fault, "fix the cause and run this again")
        fresh, given = [], self._gpus(unit, count - len(kept), {*there} - {*kept})
        for uuids in given:
            number = next(self._numbers)
            fresh.append(f"{name.replace('/', '.')}.{unit.generation}.{number}")
            there[fresh[-1]] = {
                "generation": unit.generation,
                "port": FIRST_PORT + number,
                "gpus": uuids,
                "gpu_share": unit.spec.resources.gpu_share or "",
            }
            values = {name: one.get_secret_value() for name, one in unit.injected.items()}
            self.injected[fresh[-1]] = values
            progress(unit.id, f"{len(fresh)} of {count - len(kept)} new instances ready")
        self._save(name, there)
        return (*kept, *fresh)

    def _gpus(self, unit: Unit, count: int, leaving: Collection[str]) -> list[tuple[str, ...]]:
        asked = gpus_of(unit.spec)
        if asked is None:
            return [()] * count
        return hand_out(asked, count, self.ledger(), str(unit.id), leaving, unit.gpus)

    def ledger(self) -> Ledger:
        """Return who holds GPUs in this workspace; each has some of its own."""
        found = Ledger(self._devices)
        for deployment, document in self._records.section(INSTANCES).items():
            for name, one in json.loads(document).items():
                place = f"{self._records.workspace}/{deployment}"
                holder = Holder(name, place, one["gpu_share"])
                found = found.held_by(holder, one["gpus"])
        return found

    def instances(self, deployment: str = "") -> Mapping[str, tuple[Instance, ...]]:
        del deployment
        return {
            deployment: tuple(
                Instance(name, one["generation"], (_backend(one),))
                for name, one in json.loads(document).items()
            )
            for deployment, document in self._records.section(INSTANCES).items()
        }

    def retire(self, deployment: str, names: Collection[str], stop_wait_s: float) -> None:
        there = self._of(deployment)
        self._save(deployment, {n: i for n, i in there.items() if n not in names})

    def scale_in(self, unit: Unit, count: int, stop_wait_s: float) -> int:
        """None: each instance is retired by its name."""
        return 0

    def forget(self, deployment: str) -> None:
        self._save(deployment, {})

    def status(self, deployment: str = "") -> ComputeStatus:
        del deployment  # all are known at once
        found = {
            deployment: tuple(
                InstanceStatus(
                    name=name,
                    generation=one["generation"],
                    runs=name not in self.ended,
                )
                for name, one in json.loads(document).items()
            )
            for deployment, document in self._records.section(INSTANCES).items()
        }
        return ComputeStatus(instances=found)

    def logs(self, deployment: ResourceId, query: LogQuery) -> Iterator[LogLine]:
        return iter(self.prints(query))

    def events(self) -> Iterable[Event]:
        return self.happened


class MemoryRouter:
    """A router that only remembers the last publication."""

    reads_records = False

    def __init__(self, records: MemoryRecords, clock: Clock) -> None:
        self.refuses: Callable[[tuple[EndpointEntry, ...]], None] = _accepts
        """Raises the error with which a publication of these endpoints should fail."""
        self.endpoints: tuple[EndpointEntry, ...] = ()
        self.called: list[dict[str, Any]] = []
        self.publications = 0
        self.busy_until_s: dict[str, float] = {}
        """When the last request of a deployment ends, on the clock."""
        self.busy: set[Backend] = set()
        """Backends that have a request in flight."""
        self._records = records
        self._clock = clock

    def address(self) -> RouterAddress:
        if not self._records.created:
            raise absent(self._records.workspace)
        return RouterAddress(url="http://127.0.0.1:1", metrics_url="http://127.0.0.1:2")

    def ensure_up(self, endpoints: Callable[[], tuple[EndpointEntry, ...]]) -> None:
        self.address()

    def runs(self) -> bool:
        return self._records.created

    def publish(self, endpoints: tuple[EndpointEntry, ...]) -> None:
        self.publications += 1
        self.refuses(endpoints)
        self.endpoints = endpoints

    def in_force(self) -> bool:
        return True

    def is_drained(self, deployment: str) -> bool:
        return self._clock.monotonic_s() >= self.busy_until_s.get(deployment, 0)

    def is_connected(self, backends: Collection[Backend]) -> bool:
        return not self.busy.isdisjoint(backends)

    def wait_healthy(self, deployment: str, count: int) -> None:
        """Return at once: every published backend is healthy."""

    def calls(self, query: CallQuery) -> list[dict[str, Any]]:
        return self.called[-query.last :]

    def status(self) -> RouterStatus:
        deployments = [(e.name, d) for e in self.endpoints for d in e.deployments]
        return RouterStatus(
            weights={e.name: dict(e.weights) for e in self.endpoints},
            mirrors={e.name: dict(e.mirror) for e in self.endpoints},
            healthy={f"{name}/{d.name}": len(d.backends) for name, d in deployments},
        )


class MemoryContent:
    """Remembers which content it was given."""

    def __init__(self) -> None:
        self._environments: dict[str, EnvironmentSpec] = {}
        self._models: set[str] = set()

    def keep(self, desired: DesiredResource, tell: Callable[[str], None]) -> None:
        spec = desired.spec
        if desired.id.kind == Kind.MODEL:
            self._models.add(str(reference(spec)))
        elif desired.id.kind == Kind.ENVIRONMENT:
            self._environments[spec.content_hash] = spec

    def holds(self, kind: Kind, pinned: str) -> bool:
        if kind == Kind.MODEL:
            return pinned in self._models
        return Reference.parse(pinned).digest in self._environments

    def environment(self, pinned: str) -> EnvironmentSpec:
        asked = Reference.parse(pinned)
        if asked.digest not in self._environments:
            remedy = "apply the environment before the deployment"
            reason = f"its content {asked.digest[:12]} is not in the workspace"
            raise TargetError("find", f"environment '{asked.asset}'", reason, remedy)
        return self._environments[asked.digest]

    def fault(self, record: Record) -> str:
        return ""

    def note(self, record: Record) -> str:
        return ""

    def drop(self, record: Record) -> None:
        if record.id.kind == Kind.MODEL:
            gone = record.id.name
            self._models = {one for one in self._models if Reference.parse(one).asset != gone}

    def prune(self, named: Iterable[str]) -> None:
        """Content in memory is not worth removing."""


class MemoryPlatform:
    """Workspaces in a dictionary."""

    def __init__(self, gpu_count: int = 0, clock: Clock | None = None) -> None:
        self.clock = clock or MemoryClock()
        self._devices = tuple(Gpu(f"GPU-{i}", str(i)) for i in range(gpu_count))
        self.capabilities = TargetCapabilities(
            name="memory",
            kinds=WITH_RULES,
            instance_types=True,
            tls=True,
            service=True,
            source_ranges=True,
            rollouts=True,
            alerts=True,
            gpus=lambda _base_image: Ledger(self._devices),
        )
        self._opened: dict[str, Ports] = {}
        self._first = threading.Lock()

    def workspaces(self) -> tuple[str, ...]:
        return tuple(sorted(n for n, ports in self._opened.items() if ports.records.exists()))

    def ports(self, workspace: str) -> Ports:
        if workspace not in self._opened:
            self._opened.setdefault(workspace, self.make(workspace))
        return self._opened[workspace]

    def make(self, workspace: str) -> Ports:
        """Make the ports of a workspace, when it is first opened."""
        records = MemoryRecords(workspace)
        compute = MemoryCompute(records, self._devices)
        return Ports(records, compute, MemoryRouter(records, self.clock), MemoryContent())

    def _records(self, workspace: str) -> MemoryRecords:
        records = self.ports(workspace).records
        assert isinstance(records, MemoryRecords)
        return records

    @contextmanager
    def first_up(self, desired: DesiredResource, _tell: Tell) -> Iterator[bool]:
        records = self._records(desired.id.workspace)
        with self._first:
            is_first, records.created = not records.created, True
            if is_first:
                try:
                    yield True
                except BaseException:
                    records.created = False
                    raise
        if not is_first:
            yield False

    @contextmanager
    def change(self, desired: DesiredResource, _tell: Tell) -> Iterator[None]:
        yield

    def shut_down(self, workspace: str) -> None:
        """Nothing runs."""

    def remove(self, workspace: str, _tell: Tell = lambda _said: None) -> None:
        self._opened.pop(workspace, None)

    def remove_unrecorded(self, workspace: str, _tell: Tell = lambda _said: None) -> None:
        """An unrecorded workspace does not exist here."""


class MemoryTarget(Engine):
    """This process's memory as a target."""

    def __init__(self, gpu_count: int = 0) -> None:
        self.memory = MemoryPlatform(gpu_count)
        self.leads_to = Home()
        """What its place leads to, for a test to change."""
        super().__init__(self.memory, self.memory.clock)

    def home(self) -> Home:
        return self.leads_to


def _backend(instance: Mapping[str, Any]) -> Backend:
    return Backend(host="127.0.0.1", port=instance["port"])


def _never(_unit: Unit) -> str:
    return ""


def _accepts(_endpoints: tuple[EndpointEntry, ...]) -> None:
    pass
