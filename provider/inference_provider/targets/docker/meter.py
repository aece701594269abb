"""What is measured of a workspace on a Docker host, and where it is asked."""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from inference_provider.errors import TargetError
from inference_provider.metrics.growth import Processes
from inference_provider.targets.docker import names
from inference_provider.targets.docker.conversation import Command
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.ruled_router import RuledRouter
from inference_provider.targets.docker.usage import ContainerUsage
from inference_provider.targets.meter import Whole, of_one
from inference_provider.targets.samples import GpuUse, Used

_AT_ONCE = 8
_ASK_S = 10.0
_QUERY = "--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"
_SLICE = "MIG-"


class HostPlace:
    """One workspace of a Docker host."""

    def __init__(self, host: DockerHost, workspace: str, router: RuledRouter) -> None:
        self._host = host
        self._selecting = names.selecting(workspace, names.INSTANCE)
        self._router = router
        self._usage = ContainerUsage(host, workspace)

    def counts(self) -> Processes:
        return of_one(self._router.statistics, self._router.histograms)

    def used(self, instances: Collection[str]) -> Mapping[str, Used]:
        return self._usage(instances)

    def gpus(self, instances: Collection[str]) -> Mapping[str, Collection[GpuUse]]:
        """Return how busy the GPUs of instances are; `nvidia-smi` in each of them tells.

        NVIDIA's runtime puts that into a container with GPUs. It tells nothing of a slice.
        """
        theirs = self._held(instances)
        asked = [(name, uuid) for name, (_, uuids) in theirs.items() for uuid in uuids]
        if not asked:
            return {}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            told = [*pool.map(lambda one: self._use(theirs[one[0]][0], one[1]), asked)]
        found: dict[str, list[GpuUse]] = {name: [] for name in theirs}
        for (name, _), use in zip(asked, told, strict=True):
            found[name].append(use)
        return found

    def _held(self, wanted: Collection[str]) -> dict[str, tuple[str, list[str]]]:
        """Return the container of each instance that has whole GPUs, and those, by its name."""
        listed = filter(names.is_instance, self._host.containers(self._selecting))
        there = {names.of(one): one for one in listed}
        held = {name: there[name]["Labels"].get(names.GPUS, "") for name in wanted if name in there}
        return {
            name: (
                str(there[name]["Id"]),
                [u for u in uuids.split(",") if not u.startswith(_SLICE)],
            )
            for name, uuids in held.items()
            if uuids
        }

    def _use(self, container: str, uuid: str) -> GpuUse:
        command = Command(container, ("nvidia-smi", f"--id={uuid}", *_QUERY))
        with suppress(TargetError):  # it has ended, or its image has hidden the program
            return use_in(self._host.ask(command, b"", _ASK_S).decode(errors="replace"))
        return GpuUse()

    def disks(self) -> Iterator[tuple[str, float]]:
        with suppress(TargetError):  # the router does not run, or is of another release
            yield self._host.folder, self._router.disk_used()

    def whole(self) -> Whole:
        return Whole(self._host.cores, self._host.memory)

    def notes(self) -> tuple[str, ...]:
        return ()


def use_in(said: str) -> GpuUse:
    """Return what `nvidia-smi` says of one GPU: `37, 20480, 81920`; `[N/A]` is not known."""
    cells = [_number(cell) for cell in said.strip().split(",")]
    if len(cells) != 3:
        return GpuUse()
    busy, used, total = cells
    return GpuUse(busy, 100 * used / total if used is not None and total else None)


def _number(cell: str) -> float | None:
    with suppress(ValueError):
        return float(cell)
    return None
