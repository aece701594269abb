"""The local target's wiring: a workspace is a folder with its own supervisord."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Self

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.errors import TargetError
from inference_provider.gpus import Gpu
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.listens import ports_of
from inference_provider.targets.first_up import first_up, saved
from inference_provider.targets.local.addresses import choose_address
from inference_provider.targets.local.assets import Assets
from inference_provider.targets.local.capabilities import local_capabilities
from inference_provider.targets.local.closed import Closed
from inference_provider.targets.local.compute import LocalCompute
from inference_provider.targets.local.folders import (
    Folders,
    all_folders,
    refuse_another_users,
    state_folder,
)
from inference_provider.targets.local.gpus import discover_gpus
from inference_provider.targets.local.instances import Instances, ledger
from inference_provider.targets.local.machine import machine_lock
from inference_provider.targets.local.meter import LocalPlace
from inference_provider.targets.local.records import FileRecords
from inference_provider.targets.local.router import LocalRouter
from inference_provider.targets.local.service_process import SERVICE
from inference_provider.targets.local.service_status import alert_states
from inference_provider.targets.local.unrecorded import (
    UnmadeWorkspace,
    delete_unrecorded,
    unrecorded,
)
from inference_provider.targets.local.usage import Usage
from inference_provider.targets.local.web_process import WEB
from inference_provider.targets.meter import WorkspaceMeter
from inference_provider.targets.request_counts import RequestCounts
from inference_provider.targets.samples import Samples, Used
from inference_provider.targets.taken_ports import Neighbour, taken_faults
from inference_provider.workspace.alert_states import States
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.measured import Meter, Running, running
from inference_provider.workspace.ports import Ports, Tell
from inference_provider.workspace.state import State


@dataclass(frozen=True)
class _Opened:
    ports: Ports
    router: LocalRouter
    instances: Instances

    def gpus(self) -> dict[str, tuple[str, ...]]:
        """Return the GPUs of each instance that has some, by its name."""
        there = self.instances.by_deployment().values()
        return {one.name: one.gpus for some in there for one in some if one.gpus}


def neighbours(root: Path) -> Iterator[Neighbour]:
    """Yield every workspace of a state folder."""
    for folders in all_folders(root):
        yield Neighbour(folders.workspace, State(FileRecords(folders)), folders.address)


class LocalPlatform:
    """Runs workspaces as processes of this machine."""

    def __init__(
        self, state_dir: Path, gpus: Callable[[], tuple[Gpu, ...]] = discover_gpus
    ) -> None:
        self._root = state_dir
        self._discover = gpus
        self._opened: dict[str, _Opened] = {}

    @cached_property
    def _devices(self) -> tuple[Gpu, ...]:
        """This machine's GPUs; asked of the driver when somebody plans or starts some."""
        return self._discover()

    @cached_property
    def capabilities(self) -> TargetCapabilities:
        return local_capabilities(
            lambda: ledger(self._root, self._devices),
            taken=partial(taken_faults, there=partial(neighbours, self._root)),
        )

    def workspaces(self) -> tuple[str, ...]:
        written = [folders.workspace for folders in all_folders(self._root)]
        return tuple(sorted({*written, *unrecorded(self._root)}))

    def ports(self, workspace: str) -> Ports:
        return self._open(workspace).ports

    def router(self, workspace: str) -> LocalRouter:
        """Return a workspace's router, and with it the supervisord that runs all its programs."""
        return self._open(workspace).router

    def samples(self, workspace: str) -> Samples:
        """Return what measures the deployments of a workspace for their autoscale rules."""
        router = self.router(workspace)
        pids = self._pids(router)
        usage = Usage()

        def used(names: Collection[str]) -> Mapping[str, Used]:
            return usage.look({n: pid for n, pid in pids().items() if n in names})

        def waiting() -> Mapping[str, int] | None:
            said = router.beside.held.room.ask()
            return None if said is None else said.waiting

        admin = router.envoy.admin
        place = LocalPlace(admin, pids, self._open(workspace).gpus, router.folders.folder)
        return Samples(
            admin.stats, used, waiting=waiting, histograms=admin.histograms, gpus=place.gpus
        )

    @staticmethod
    def _pids(router: LocalRouter) -> Callable[[], dict[str, int]]:
        """Return what returns the first process of each instance that runs, by its name."""

        def pids() -> dict[str, int]:
            processes = router.supervisor.processes().items()
            return {name: one.pid for name, one in processes if one.pid}

        return pids

    def meter(self, workspace: str, running: Callable[[], Collection[Running]]) -> Meter:
        """Return what measures a workspace, given what returns the instances of deployments."""
        router, gpus = self.router(workspace), self._open(workspace).gpus
        folder, pids = router.folders.folder, self._pids(router)
        return WorkspaceMeter(LocalPlace(router.envoy.admin, pids, gpus, folder), running)

    def counts(self, workspace: str) -> RequestCounts:
        """Return what counts the requests of a workspace's deployments, for rollouts."""
        return RequestCounts(self.router(workspace).envoy.admin.counted)

    def _open(self, workspace: str) -> _Opened:
        if workspace not in self._opened:
            folders = Folders(self._root, workspace)
            records, assets = FileRecords(folders), Assets(folders)
            state = State(records)
            closed = Closed(folders, state)
            router = LocalRouter(folders, state, closed)
            instances = Instances(folders, records)
            compute = LocalCompute(
                folders,
                instances,
                router.supervisor,
                assets,
                closed=closed,
                devices=lambda: self._devices,
            )
            opened = _Opened(Ports(records, compute, router, assets), router, instances)
            self._opened.setdefault(workspace, opened)
        return self._opened[workspace]

    @contextmanager
    def first_up(self, desired: DesiredResource, _tell: Tell) -> Iterator[bool]:
        router = self.router(desired.id.workspace)
        with first_up(UnmadeWorkspace(router, desired.spec)) as is_first:
            yield is_first
        router.beside.wait_for_web()

    @contextmanager
    def change(self, desired: DesiredResource, _tell: Tell) -> Iterator[None]:
        router = self.router(desired.id.workspace)
        with self._address_kept(router.folders, desired.spec):
            yield
        router.beside.wait_for_web()

    @contextmanager
    def _address_kept(self, folders: Folders, spec: WorkspaceSpec) -> Iterator[None]:
        before = folders.address()
        if before is None:  # the address file was lost or moved away
            with self._chosen_again(folders, spec):
                yield
        else:
            after = before.model_copy(update={"host": spec.bind_address})
            with saved(before, after, folders.save_address):
                yield

    @contextmanager
    def _chosen_again(self, folders: Folders, spec: WorkspaceSpec) -> Iterator[None]:
        with machine_lock():
            folders.save_address(
                choose_address(self._root, spec.bind_address, spec.router_port, ports_of(spec))
            )
        try:
            yield
        except BaseException:
            folders.drop_address()
            raise

    def shut_down(self, workspace: str) -> None:
        self.router(workspace).shut_down()

    def remove(self, workspace: str, _tell: Tell = lambda _said: None) -> None:
        self.router(workspace).folders.remove()

    def remove_unrecorded(self, workspace: str, _tell: Tell = lambda _said: None) -> None:
        delete_unrecorded(self.router(workspace))


class LocalTarget(Engine):
    """This machine as a target."""

    def __init__(
        self, state_dir: Path, gpus: Callable[[], tuple[Gpu, ...]] = discover_gpus
    ) -> None:
        self.local = LocalPlatform(state_dir, gpus)
        super().__init__(self.local)

    def renew(self, workspace: str) -> None:
        router = self.local.router(workspace)
        if router.supervisor.has(SERVICE):
            router.beside.settle_service()
        if router.supervisor.has(WEB):
            router.beside.settle_web()

    def meter(self, workspace: str) -> Meter:
        return self.local.meter(workspace, lambda: running(self._workspace(workspace)))

    def decisions(self, workspace: str) -> Iterator[str]:
        now = self.local.router(workspace).folders.decisions
        for path in (now.with_name(f"{now.name}.1"), now):
            with suppress(FileNotFoundError), path.open(encoding="ascii", errors="replace") as file:
                yield from file

    def alert_states(self, workspace: str) -> States:
        return alert_states(self.local.router(workspace).folders)

    @classmethod
    def open(cls, state_dir: Path | None = None) -> Self:
        """Open the state folder: the argument, `$INFERENCE_STATE_DIR`, or the user's own."""
        folder = (state_dir or state_folder()).resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as fault:
            reason, remedy = fault.strerror or str(fault), "set INFERENCE_STATE_DIR to another"
            raise TargetError("make", "the state folder", reason, remedy, str(folder)) from fault
        refuse_another_users(folder)
        return cls(folder)
