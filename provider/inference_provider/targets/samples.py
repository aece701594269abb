"""What autoscale rules that we keep go by: the router's statistics, and what instances use."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from statistics import mean
from typing import Any, NamedTuple

from inference_provider.autoscale import IN_FLIGHT, LONGEST_S, metrics_of
from inference_provider.autoscale_samples import LATENCY, QUEUED, Sample, Timed
from inference_provider.errors import Fault, TargetError, TargetUnreachable
from inference_provider.metrics import catalogue
from inference_provider.router.counters import Bins, latency_of, latency_stats
from inference_provider.router.envoy import MIRROR_SUFFIX
from inference_provider.router.status import Traffic, is_counted, traffic_of, traffic_stats
from inference_provider.spec import AutoscaleRuleSpec, DeploymentSpec
from inference_provider.spec.amounts import bytes_of, cores
from inference_provider.spec.gpus import gpu_request
from inference_provider.workspace.ruled import Ruled

PER_MINUTE, CPU, MEMORY = catalogue.REQUESTS.name, catalogue.CPU.name, catalogue.MEMORY.name
GPU = catalogue.GPU.name
AMOUNTS = {CPU: "cpu", MEMORY: "memory"}
"""What an instance asks for, of which a metric is a share."""
MEAN_OF_S = 15.0
"""Seconds of which the processor time is told; a garbage collection is no load."""
LEAST_S = 5.0
"""Seconds that are needed to tell any."""
GPUS_EVERY_S = 5.0
"""How often GPUs are looked at: on a Docker host it takes a program for each."""
_AT_ONCE = 50
"""Deployments that one query asks about: Envoy refuses one of more than 60 KiB."""


class Used(NamedTuple):
    """What one instance uses now."""

    cores: float | None
    """Mean of the last 15 s, or since it is looked at; None in the first 5 s."""
    memory: int
    """Bytes in memory."""


class GpuUse(NamedTuple):
    """How busy one GPU is, in percent; None is what its driver does not say."""

    busy: float | None = None
    memory: float | None = None


class _Moment(NamedTuple):
    at_s: float
    cpu_s: float
    """Of the processes that there were then."""
    spent_s: float
    """Of all, since the first look."""


class Spent:
    """The processor time of one instance in the last seconds."""

    def __init__(self, first: object) -> None:
        """Begin to look at one; `first` is its first process, or when that was started."""
        self.first = first
        self._moments: deque[_Moment] = deque()

    def cores(self, at_s: float, cpu_s: float) -> float | None:
        """Return the mean, with that of now; None when it is of too short a time."""
        last = self._moments[-1] if self._moments else _Moment(at_s, cpu_s, 0.0)
        # a process that ends unwaited for takes its time with it
        spent_s = last.spent_s + max(cpu_s - last.cpu_s, 0.0)
        self._moments.append(_Moment(at_s, cpu_s, spent_s))
        while len(self._moments) > 1 and self._moments[1].at_s <= at_s - MEAN_OF_S:
            self._moments.popleft()
        first = self._moments[0]
        took_s = at_s - first.at_s
        return (spent_s - first.spent_s) / took_s if took_s >= LEAST_S else None


class _TimedRequests:
    """How long the requests of deployments took whose rules go by that."""

    def __init__(self, histograms: Callable[[str], Iterable[Mapping[str, Any]]]) -> None:
        self._histograms = histograms
        self._before: dict[str, Timed] = {}

    def forget(self) -> None:
        """Forget what a router had counted that does not answer."""
        self._before.clear()

    def look(self, deployments: Collection[Ruled]) -> Mapping[str, Timed]:
        """Return what the router has counted, by `<endpoint>/<deployment>`.

        Without those of which it counts from 0 again, as when it was started again: no window
        reaches over that.
        """
        by_it = (one for one in deployments if LATENCY in metrics_of(one.rule))
        asked = {one.id.name: _limits(one) for one in by_it}
        names, bins = [*asked], dict[str, Bins]()
        with suppress(TargetError):  # it has just ended, or is of a release that cannot tell
            for first in range(0, len(names), _AT_ONCE):
                some = latency_stats(names[first : first + _AT_ONCE])
                bins |= latency_of(self._histograms(some))
            before = self._before
            self._before = {
                name: _timed(bins.get(name, {}), limits) for name, limits in asked.items()
            }
            return {
                name: now
                for name, now in self._before.items()
                if name not in before or now.requests >= before[name].requests
            }
        self.forget()
        return {}


def _limits(one: Ruled) -> set[float]:
    """Return the durations of which a rule asks how many requests took longer."""
    return {step.threshold for step in one.rule.metrics if step.percentile is not None}


def _timed(bins: Bins, limits: Collection[float]) -> Timed:
    return Timed(
        requests=sum(bins.values()),
        total_ms=sum(ms * count for ms, count in bins.items()),
        within={limit: sum(count for ms, count in bins.items() if ms <= limit) for limit in limits},
    )


class _Gpus:
    """How busy the GPUs of instances are whose rules go by that, as of the last seconds."""

    def __init__(self, gpus: Callable[[Collection[str]], Mapping[str, Collection[GpuUse]]]) -> None:
        self._ask = gpus
        self._asked_s = 0.0
        self._of = frozenset[str]()
        self._known: Mapping[str, Collection[GpuUse]] = {}

    def look(self, deployments: Collection[Ruled], at_s: float) -> Mapping[str, Collection[GpuUse]]:
        """Return what is known, by instance."""
        ruled = (one for one in deployments if GPU in metrics_of(one.rule))
        serving = frozenset(name for one in ruled for name in one.serving)
        if serving != self._of or at_s >= self._asked_s + GPUS_EVERY_S:
            self._known = self._ask(serving) if serving else {}
            self._of, self._asked_s = serving, at_s
        return self._known


class _Look(NamedTuple):
    """What was asked of a router and of instances at one moment."""

    at_s: float
    found: Mapping[str, Any]
    """Statistics by name."""
    used: Mapping[str, Used]
    waiting: Mapping[str, int] | None
    timed: Mapping[str, Timed]
    gpus: Mapping[str, Collection[GpuUse]]


class Samples:
    """Measures deployments; of a router that does not answer nothing is known.

    Args:
        statistics: Returns those of a router whose names match a regular expression.
        usage: Returns what some instances use, by name, without those that have ended.
        clock: Seconds of a clock that never decreases.
        waiting: Returns the requests that wait for an instance, by `<endpoint>/<deployment>`; None
            when nobody knows.
        histograms: Returns those of a router in detail; see `RouterAdmin.histograms`.
        gpus: Returns how busy the GPUs of some instances are, by name, as far as that is known.
    """

    def __init__(
        self,
        statistics: Callable[[str], Mapping[str, Any]],
        usage: Callable[[Collection[str]], Mapping[str, Used]],
        clock: Callable[[], float] = time.monotonic,
        waiting: Callable[[], Mapping[str, int] | None] = dict,
        *,
        histograms: Callable[[str], Iterable[Mapping[str, Any]]],
        gpus: Callable[[Collection[str]], Mapping[str, Collection[GpuUse]]],
    ) -> None:
        self._statistics = statistics
        self._waiting = waiting
        self._usage = usage
        self._clock = clock
        self._begun: dict[str, tuple[float, int]] = {}
        """When, and how many requests had ever been sent to a deployment then."""
        self._timed = _TimedRequests(histograms)
        self._gpus = _Gpus(gpus)

    def __call__(self, deployments: Collection[Ruled]) -> Mapping[str, Sample]:
        """Return a sample of each deployment, by `<endpoint>/<deployment>`."""
        at_s, names = self._clock(), [one.id.name for one in deployments]
        found = dict[str, Any]()
        try:
            for first in range(0, len(names), _AT_ONCE):
                some = names[first : first + _AT_ONCE]
                copies = [name + MIRROR_SUFFIX for name in some]
                found |= self._statistics(traffic_stats([*some, *copies]))
        except TargetUnreachable:
            self._begun.clear()
            self._timed.forget()
            return {name: Sample(at_s=at_s, ready=0) for name in names}
        self._begun = {name: one for name, one in self._begun.items() if name in names}
        to_zero = any(not one.rule.least_ever for one in deployments)
        look = _Look(
            at_s,
            found,
            self._used(deployments),
            self._waiting() if to_zero else {},
            self._timed.look(deployments),
            self._gpus.look(deployments, at_s),
        )
        return {one.id.name: self._sample(one, look) for one in deployments}

    def _used(self, deployments: Collection[Ruled]) -> Mapping[str, Used]:
        """Return what instances use, by name, where a rule asks for it: it costs a look at all."""
        serving = {name for one in deployments if _shares(one) for name in one.serving}
        return self._usage(serving) if serving else {}

    def _sample(self, one: Ruled, look: _Look) -> Sample:
        name, at_s = one.id.name, look.at_s
        own, copied = (traffic_of(each, look.found) for each in (name, name + MIRROR_SUFFIX))
        values = dict(_percentages(one, [look.used[n] for n in one.serving if n in look.used]))
        values |= dict(_of_gpus(one, look.gpus))
        if not is_counted(name, look.found):  # it is not in the router yet, or not any more
            self._begun.pop(name, None)
            return Sample(at_s=at_s, ready=0, values=values)
        in_flight, begun = own.in_flight + copied.in_flight, own.begun + copied.begun
        values |= dict(self._rate(name, at_s, begun))
        ready = max(own.healthy, copied.healthy)
        if look.waiting is not None or one.rule.least_ever:
            waiting = (look.waiting or {}).get(name, 0)
            values[IN_FLIGHT] = float(in_flight + waiting)
            if QUEUED in metrics_of(one.rule):
                values[QUEUED] = float(waiting + _queued(own, copied, ready * one.max_concurrent))
        return Sample(at_s=at_s, ready=ready, values=values, timed=look.timed.get(name))

    def _rate(self, name: str, at_s: float, begun: int) -> Iterator[tuple[str, float]]:
        """Yield the requests of a minute, by those since the sample before."""
        before_s, before = self._begun.get(name, (at_s, begun))
        self._begun[name] = at_s, begun
        if at_s > before_s and begun >= before:  # a router that was started again counts from 0
            yield PER_MINUTE, 60 * (begun - before) / (at_s - before_s)


def _queued(own: Traffic, copied: Traffic, at_once: int) -> int:
    """Return the requests that wait for a connection, or in the queues of the instances.

    What those have in their queues only they know. The router sends each request to the one with
    the fewest, so it is what they have beyond those that all of them work on at a time.
    """
    beyond = own.in_flight + copied.in_flight - at_once
    return own.pending + copied.pending + max(beyond, 0)


def _shares(one: Ruled) -> set[str]:
    """Return the metrics of a rule that are shares of what an instance asks for."""
    return AMOUNTS.keys() & metrics_of(one.rule)


def _percentages(one: Ruled, used: Collection[Used]) -> Iterator[tuple[str, float]]:
    """Yield the mean of the instances that were measured, in percent of what each asks for."""
    asked, metrics = one.requests, _shares(one)
    times = [each.cores for each in used if each.cores is not None]
    if CPU in metrics and asked.cpu and times:
        yield CPU, 100 * mean(times) / cores(asked.cpu)
    if MEMORY in metrics and asked.memory and used:
        yield MEMORY, 100 * mean(each.memory for each in used) / bytes_of(asked.memory)


def _of_gpus(one: Ruled, gpus: Mapping[str, Collection[GpuUse]]) -> Iterator[tuple[str, float]]:
    """Yield the mean of the instances whose GPUs tell it, each the mean of its own."""
    told = ([use.busy for use in gpus.get(n, ()) if use.busy is not None] for n in one.serving)
    if GPU in metrics_of(one.rule) and (means := [mean(each) for each in told if each]):
        yield GPU, mean(means)


def rule_faults(rule: AutoscaleRuleSpec, deployment: DeploymentSpec | None) -> Iterator[Fault]:
    """Yield why a rule cannot be kept by us; nothing of one that is off."""
    if not rule.enabled:
        return
    used: dict[str, str] = {f"targets.{i}": one.metric for i, one in enumerate(rule.targets)}
    used |= {f"metrics.{i}": one.metric for i, one in enumerate(rule.metrics)}
    for place, metric in used.items():
        yield from _unmeasured(f"{place}.metric", metric, deployment)
    for i, step in enumerate(rule.metrics):
        if step.window_s > LONGEST_S:
            reason = f"{step.window_s} s is more than is remembered here"
            yield Fault(f"metrics.{i}.window_s", reason, f"use {LONGEST_S} or less")


def _unmeasured(place: str, metric: str, deployment: DeploymentSpec | None) -> Iterator[Fault]:
    """Yield why a metric cannot be measured, of a deployment that may not be known."""
    if deployment is None:
        return
    name, resources = f"'{deployment.endpoint}/{deployment.name}'", deployment.resources
    amount = AMOUNTS.get(metric)
    if amount and not getattr(resources.requests, amount):
        reason = f"{metric} is a share of what an instance asks for, and {name} asks for no"
        yield Fault(place, f"{reason} {amount}", f"set its resources.requests.{amount}")
    if metric == GPU:
        asked = gpu_request(resources.model_dump())
        if asked is None:
            yield Fault(place, f"{name} asks for no GPU", "set its resources.limits.gpu")
        elif asked.mig:
            reason = f"no driver says how busy a slice is, and {name} asks for MIG {asked.mig}"
            yield Fault(place, reason, "use RequestLatency or RequestsPerMinute")
