"""What is measured of a workspace of this machine, and where it is asked."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from inference_provider.metrics.growth import Processes
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.local.gpus import gpus_in_use
from inference_provider.targets.local.supervisor_rpc import SupervisorGone
from inference_provider.targets.local.usage import Usage
from inference_provider.targets.meter import Whole, of_one
from inference_provider.targets.samples import GpuUse, Used


class LocalPlace:
    """One workspace of this machine.

    Args:
        admin: Its router's.
        pids: Returns the first process of each instance that runs, by its name.
        gpus: Returns the GPUs of each instance that has some, by its name.
        folder: Its own, on the disk that instances write to.
    """

    def __init__(
        self,
        admin: RouterAdmin,
        pids: Callable[[], Mapping[str, int]],
        gpus: Callable[[], Mapping[str, tuple[str, ...]]],
        folder: Path,
    ) -> None:
        self._admin = admin
        self._pids = pids
        self._gpus = gpus
        self._folder = folder
        self._usage = Usage()

    def counts(self) -> Processes:
        return of_one(self._admin.stats, self._admin.histograms)

    def used(self, instances: Collection[str]) -> Mapping[str, Used]:
        try:
            pids = self._pids()
        except SupervisorGone:
            return {}
        return self._usage.look({name: pid for name, pid in pids.items() if name in instances})

    def gpus(self, instances: Collection[str]) -> Mapping[str, Collection[GpuUse]]:
        theirs = {name: some for name, some in self._gpus().items() if name in instances}
        if not theirs:
            return {}
        found = gpus_in_use({uuid for some in theirs.values() for uuid in some})
        return {name: [found[u] for u in some if u in found] for name, some in theirs.items()}

    def disks(self) -> Iterator[tuple[str, float]]:
        with suppress(OSError):
            yield _mount_of(self._folder), psutil.disk_usage(str(self._folder)).percent

    def whole(self) -> Whole:
        return Whole(len(os.sched_getaffinity(0)), int(psutil.virtual_memory().total))

    def notes(self) -> tuple[str, ...]:
        return ()


def _mount_of(place: Path) -> str:
    return str(next(one for one in (place, *place.parents) if os.path.ismount(one)))
