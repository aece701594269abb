"""Measures a workspace of this machine: its router's counters, and what instances use."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import mean

import psutil

from inference_provider.errors import TargetUnreachable
from inference_provider.metrics.series import InstanceUse, Reading
from inference_provider.router.counters import COUNTERS, HISTOGRAMS, Counted, counted
from inference_provider.spec.amounts import bytes_of, cores
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.local.gpus import GpuUse, gpus_in_use
from inference_provider.targets.local.supervisor_rpc import SupervisorGone
from inference_provider.targets.local.usage import Usage
from inference_provider.targets.samples import Used
from inference_provider.workspace.measured import Running


class LocalMeter:
    """Looks at one workspace, again and again; of processors it knows what was used in between.

    Args:
        admin: Its router's.
        running: Returns the instances of its deployments.
        pids: Returns the first process of each instance that runs, by its name.
        gpus: Returns the GPUs of each instance that has some, by its name.
        place: The workspace's folder, on the disk that instances write to.
        clock: Seconds of a clock that never decreases.
    """

    def __init__(
        self,
        admin: RouterAdmin,
        running: Callable[[], Collection[Running]],
        pids: Callable[[], Mapping[str, int]],
        gpus: Callable[[], Mapping[str, tuple[str, ...]]],
        *,
        place: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._admin = admin
        self._running = running
        self._pids = pids
        self._gpus = gpus
        self._place = place
        self._clock = clock
        self._usage = Usage(clock)

    def __call__(self) -> Reading:
        """Look once. Raises TargetError where what is recorded cannot be read."""
        running = self._running()
        used, gpus, disks = self._used(running), self._busy(running), tuple(self._disks())
        instances = tuple(
            InstanceUse(
                one.deployment,
                one.name,
                **dict(_shares(one, used[one.name])),
                **dict(gpus.get(one.name, ())),
                disks=disks,
            )
            for one in running
            if one.name in used
        )
        router = self._counted()
        return Reading(self._clock(), router, instances)

    def _counted(self) -> Counted | None:
        with suppress(TargetUnreachable):
            found = self._admin.stats(COUNTERS)
            return counted(found, self._admin.histograms(HISTOGRAMS))
        return None

    def _used(self, running: Collection[Running]) -> Mapping[str, Used]:
        names = {one.name for one in running}
        try:
            pids = self._pids()
        except SupervisorGone:
            return {}
        return self._usage.look({name: pid for name, pid in pids.items() if name in names})

    def _busy(self, running: Collection[Running]) -> dict[str, list[tuple[str, float]]]:
        """Return what is known of the GPUs of each instance, by its name."""
        names = {one.name for one in running}
        theirs = {name: some for name, some in self._gpus().items() if name in names}
        if not theirs:
            return {}
        found = gpus_in_use({uuid for some in theirs.values() for uuid in some})
        return {
            name: [*_means(found[u] for u in some if u in found)] for name, some in theirs.items()
        }

    def _disks(self) -> Iterator[tuple[str, float]]:
        with suppress(OSError):
            yield _mount_of(self._place), psutil.disk_usage(str(self._place)).percent


def _means(gpus: Iterator[GpuUse]) -> Iterator[tuple[str, float]]:
    there = list(gpus)
    for field, values in (
        ("gpu", [one.busy for one in there if one.busy is not None]),
        ("gpu_memory", [one.memory for one in there if one.memory is not None]),
    ):
        if values:
            yield field, mean(values)


def _shares(one: Running, used: Used) -> Iterator[tuple[str, float]]:
    """Yield percentages of what an instance asks for; of all there is where it asks for nothing."""
    if used.cores is not None:
        yield "cpu", 100 * used.cores / (cores(one.requests.cpu) if one.requests.cpu else _cores())
    asked = one.requests.memory
    yield "memory", 100 * used.memory / (bytes_of(asked) if asked else _memory())


def _cores() -> float:
    return len(os.sched_getaffinity(0))


def _memory() -> int:
    return int(psutil.virtual_memory().total)


def _mount_of(place: Path) -> str:
    return str(next(one for one in (place, *place.parents) if os.path.ismount(one)))
