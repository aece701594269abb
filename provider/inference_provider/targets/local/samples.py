"""What autoscale rules of this machine go by, measured: the router's statistics, and processes."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from statistics import mean
from typing import Any

from inference_provider.autoscale import IN_FLIGHT, Sample
from inference_provider.errors import TargetUnreachable
from inference_provider.router.envoy import MIRROR_SUFFIX
from inference_provider.router.status import is_counted, traffic_of, traffic_stats
from inference_provider.spec.amounts import bytes_of, cores
from inference_provider.targets.local.usage import Usage, Used
from inference_provider.workspace.ruled import Ruled

PER_MINUTE = "RequestsPerMinute"
CPU, MEMORY = "CpuUtilizationPercentage", "CpuMemoryUtilizationPercentage"
AMOUNTS = {CPU: "cpu", MEMORY: "memory"}
"""What an instance asks for, of which a metric is a share."""
MEASURED = frozenset({IN_FLIGHT, PER_MINUTE, *AMOUNTS})
"""Metrics that this machine can measure."""


class LocalSamples:
    """Measures deployments; of a router that does not answer nothing is known.

    Args:
        statistics: Returns those of a router whose names match a regular expression.
        pids: Returns the first process of each instance that runs, by its name.
        clock: Seconds of a clock that never decreases.
    """

    def __init__(
        self,
        statistics: Callable[[str], Mapping[str, Any]],
        pids: Callable[[], Mapping[str, int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._statistics = statistics
        self._pids = pids
        self._clock = clock
        self._usage = Usage(clock)
        self._begun: dict[str, tuple[float, int]] = {}
        """When, and how many requests had ever been sent to a deployment then."""

    def __call__(self, deployments: Collection[Ruled]) -> Mapping[str, Sample]:
        """Return a sample of each deployment, by `<endpoint>/<deployment>`."""
        at_s, names = self._clock(), [one.id.name for one in deployments]
        copies = [name + MIRROR_SUFFIX for name in names]
        try:
            found = self._statistics(traffic_stats([*names, *copies]))
        except TargetUnreachable:
            self._begun.clear()
            return {name: Sample(at_s=at_s, ready=0) for name in names}
        self._begun = {name: one for name, one in self._begun.items() if name in names}
        used = self._used(deployments)
        return {one.id.name: self._sample(one, at_s, found, used) for one in deployments}

    def _used(self, deployments: Collection[Ruled]) -> Mapping[str, Used]:
        """Return what instances use, by name, where a rule asks for it: it costs a look at all."""
        serving = {name for one in deployments if _shares(one) for name in one.serving}
        if not serving:
            return {}
        return self._usage.look({n: pid for n, pid in self._pids().items() if n in serving})

    def _sample(
        self, one: Ruled, at_s: float, found: Mapping[str, Any], used: Mapping[str, Used]
    ) -> Sample:
        name = one.id.name
        own, copied = traffic_of(name, found), traffic_of(name + MIRROR_SUFFIX, found)
        values = dict(_percentages(one, [used[n] for n in one.serving if n in used]))
        if not is_counted(name, found):  # it is not in the router yet, or not any more
            self._begun.pop(name, None)
            return Sample(at_s=at_s, ready=0, values=values)
        in_flight, begun = own.in_flight + copied.in_flight, own.begun + copied.begun
        values |= {IN_FLIGHT: float(in_flight), **dict(self._rate(name, at_s, begun))}
        return Sample(at_s=at_s, ready=max(own.healthy, copied.healthy), values=values)

    def _rate(self, name: str, at_s: float, begun: int) -> Iterator[tuple[str, float]]:
        """Yield the requests of a minute, by those since the sample before."""
        before_s, before = self._begun.get(name, (at_s, begun))
        self._begun[name] = at_s, begun
        if at_s > before_s and begun >= before:  # a router that was started again counts from 0
            yield PER_MINUTE, 60 * (begun - before) / (at_s - before_s)


def _shares(one: Ruled) -> set[str]:
    """Return the metrics of a rule that are shares of what an instance asks for."""
    kept = [asked.metric for asked in one.rule.targets]
    stepped = [asked.metric for asked in one.rule.metrics]
    return AMOUNTS.keys() & {*kept, *stepped}


def _percentages(one: Ruled, used: Collection[Used]) -> Iterator[tuple[str, float]]:
    """Yield the mean of the instances that were measured, in percent of what each asks for."""
    asked, metrics = one.requests, _shares(one)
    times = [each.cores for each in used if each.cores is not None]
    if CPU in metrics and asked.cpu and times:
        yield CPU, 100 * mean(times) / cores(asked.cpu)
    if MEMORY in metrics and asked.memory and used:
        yield MEMORY, 100 * mean(each.memory for each in used) / bytes_of(asked.memory)
