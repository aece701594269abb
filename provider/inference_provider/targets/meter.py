"""Measures a workspace: its router's counters, and what instances use, as the catalogue says it.

A target provides where both are asked.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from statistics import mean
from typing import Any, NamedTuple, Protocol

from inference_provider.errors import TargetUnreachable
from inference_provider.metrics.growth import Processes
from inference_provider.metrics.series import InstanceUse, Reading
from inference_provider.router.counters import COUNTERS, HISTOGRAMS, counted
from inference_provider.spec.amounts import bytes_of, cores
from inference_provider.targets.samples import GpuUse, Used
from inference_provider.workspace.measured import Running


class Whole(NamedTuple):
    """All that a machine has for the instances that ask for nothing."""

    cores: float
    memory: int
    """Bytes."""


class Place(Protocol):
    """Where a workspace runs."""

    def counts(self) -> Processes:
        """Return what each process of its router has counted, by name."""

    def used(self, instances: Collection[str]) -> Mapping[str, Used] | None:
        """Return what some instances use, by name, without those that do not run.

        None where nobody tells; a note says why.
        """

    def gpus(self, instances: Collection[str]) -> Mapping[str, Collection[GpuUse]]:
        """Return how busy the GPUs of some instances are, by name, as far as that is known."""

    def disks(self) -> Iterable[tuple[str, float]]:
        """Return how full each disk is to which instances write, in percent, and which it is."""

    def whole(self) -> Whole | None:
        """Return what the machine has; None where instances are on machines not known."""

    def notes(self) -> Iterable[str]:
        """Return what the last look could not see, and why."""


def of_one(
    statistics: Callable[[str], Mapping[str, Any]],
    histograms: Callable[[str], Iterable[Mapping[str, Any]]],
) -> Processes:
    """Return what a router has counted that is one process.

    Args:
        statistics: Returns those whose names match a regular expression. It raises
            TargetUnreachable where the router does not answer.
        histograms: Returns them in detail; see `RouterAdmin.histograms`. It raises the same.
    """
    try:
        return {"": counted(statistics(COUNTERS), histograms(HISTOGRAMS))}
    except TargetUnreachable:
        return {"": None}


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
        self._place.notes()  # those of a look that failed are of no account any more
        running = self._running()
        names = {one.name for one in running}
        told = self._place.used(names) if names else {}
        used = told or {}
        gpus = self._place.gpus(used.keys()) if used else {}
        disks = tuple(self._place.disks()) if used else ()
        measured = [one for one in running if one.name in used]
        instances = tuple(
            InstanceUse(
                one.deployment,
                one.name,
                **dict(self._shares(one, used[one.name])),
                **dict(_means(gpus.get(one.name, ()))),
                disks=disks,
            )
            for one in measured
        )
        router, notes = self._place.counts(), [*self._place.notes()]
        if any(map(_left_open, measured)) and self._place.whole() is None:
            notes += _unknown(measured)
        return Reading(self._clock(), router, instances, tuple(notes), told is not None)

    def _shares(self, one: Running, used: Used) -> Iterator[tuple[str, float]]:
        """Yield percentages of what an instance asks for; of all there is if that is nothing."""
        cpu, memory = one.requests.cpu, one.requests.memory
        whole = self._place.whole() if _left_open(one) else None
        all_cores = cores(cpu) if cpu else whole and whole.cores
        if used.cores is not None and all_cores:
            yield "cpu", 100 * used.cores / all_cores
        all_memory = bytes_of(memory) if memory else whole and whole.memory
        if all_memory:
            yield "memory", 100 * used.memory / all_memory


def _left_open(one: Running) -> Collection[str]:
    """Return the amounts that an instance does not ask for."""
    asked = {"cpu": one.requests.cpu, "memory": one.requests.memory}
    return [name for name, amount in asked.items() if not amount]


def _unknown(measured: Iterable[Running]) -> Iterator[str]:
    """Yield the amounts of deployments of which no share is known."""
    for deployment, amounts in {one.deployment: _left_open(one) for one in measured}.items():
        if amounts:
            said = " and no ".join(amounts)
            yield f"'{deployment}' asks for no {said}: the share that its instances use is unknown"


def _means(gpus: Collection[GpuUse]) -> Iterator[tuple[str, float]]:
    for field, values in (
        ("gpu", [one.busy for one in gpus if one.busy is not None]),
        ("gpu_memory", [one.memory for one in gpus if one.memory is not None]),
    ):
        if values:
            yield field, mean(values)
