"""Measures a workspace: its router's counters, and what instances use, as the catalogue says it.

A target provides where both are asked.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from statistics import mean
from typing import Any, NamedTuple, Protocol

from inference_provider.errors import TargetUnreachable
from inference_provider.metrics.series import InstanceUse, Reading
from inference_provider.router.counters import COUNTERS, HISTOGRAMS, Counted, counted
from inference_provider.spec.amounts import bytes_of, cores
from inference_provider.targets.samples import Used
from inference_provider.workspace.measured import Running


class GpuUse(NamedTuple):
    """How busy one GPU is, in percent; None is what its driver does not say."""

    busy: float | None = None
    memory: float | None = None


class Whole(NamedTuple):
    """All that a machine has for the instances that ask for nothing."""

    cores: float
    memory: int
    """Bytes."""


class Place(Protocol):
    """Where a workspace runs."""

    def statistics(self, pattern: str) -> Mapping[str, Any]:
        """Return those of its router whose names match a regular expression.

        Raises:
            TargetUnreachable: The router does not answer, here as in `histograms`.
        """

    def histograms(self, pattern: str) -> Iterable[Mapping[str, Any]]:
        """Return those of its router whose names match, in detail; see `RouterAdmin.histograms`."""

    def used(self, instances: Collection[str]) -> Mapping[str, Used]:
        """Return what some instances use, by name; without those that do not run."""

    def gpus(self, instances: Collection[str]) -> Mapping[str, Collection[GpuUse]]:
        """Return how busy the GPUs of some instances are, by name, as far as that is known."""

    def disks(self) -> Iterable[tuple[str, float]]:
        """Return how full each disk is to which instances write, in percent, and which it is."""

    def whole(self) -> Whole:
        """Return what the machine has."""


class WorkspaceMeter:
    """Looks at one workspace, again and again; of processors it knows what was used in between.

    Args:
        place: Where the workspace runs.
        running: Returns the instances of its deployments.
        clock: Seconds of a clock that never decreases.
    """

    def __init__(
        self,
        place: Place,
        running: Callable[[], Collection[Running]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._running = running
        self._clock = clock

    def __call__(self) -> Reading:
        """Look once. Raises TargetError where what is recorded cannot be read."""
        running = self._running()
        names = {one.name for one in running}
        used = self._place.used(names) if names else {}
        gpus = self._place.gpus(used.keys()) if used else {}
        disks = tuple(self._place.disks()) if used else ()
        instances = tuple(
            InstanceUse(
                one.deployment,
                one.name,
                **dict(self._shares(one, used[one.name])),
                **dict(_means(gpus.get(one.name, ()))),
                disks=disks,
            )
            for one in running
            if one.name in used
        )
        router = self._counted()
        return Reading(self._clock(), router, instances)

    def _counted(self) -> Counted | None:
        with suppress(TargetUnreachable):
            found = self._place.statistics(COUNTERS)
            return counted(found, self._place.histograms(HISTOGRAMS))
        return None

    def _shares(self, one: Running, used: Used) -> Iterator[tuple[str, float]]:
        """Yield percentages of what an instance asks for; of all there is if that is nothing."""
        cpu, memory = one.requests.cpu, one.requests.memory
        if used.cores is not None:
            there = cores(cpu) if cpu else self._place.whole().cores
            yield "cpu", 100 * used.cores / there
        there = bytes_of(memory) if memory else self._place.whole().memory
        yield "memory", 100 * used.memory / there


def _means(gpus: Collection[GpuUse]) -> Iterator[tuple[str, float]]:
    for field, values in (
        ("gpu", [one.busy for one in gpus if one.busy is not None]),
        ("gpu_memory", [one.memory for one in gpus if one.memory is not None]),
    ):
        if values:
            yield field, mean(values)
