"""What autoscale rules of this machine go by, measured: the router's statistics."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from inference_provider.autoscale import IN_FLIGHT, Sample
from inference_provider.errors import TargetUnreachable
from inference_provider.router.envoy import MIRROR_SUFFIX
from inference_provider.router.status import traffic_of, traffic_stats

PER_MINUTE = "RequestsPerMinute"
MEASURED = frozenset({IN_FLIGHT, PER_MINUTE})
"""Metrics that this machine can measure."""


class LocalSamples:
    """Measures deployments; of a router that does not answer nothing is known.

    Args:
        statistics: Returns those of a router whose names match a regular expression.
        clock: Seconds of a clock that never decreases.
    """

    def __init__(
        self,
        statistics: Callable[[str], Mapping[str, Any]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._statistics = statistics
        self._clock = clock
        self._begun: dict[str, tuple[float, int]] = {}
        """When, and how many requests had ever been sent to a deployment then."""

    def __call__(self, deployments: Collection[str]) -> Mapping[str, Sample]:
        """Return a sample of each deployment, `<endpoint>/<deployment>`."""
        at_s = self._clock()
        copies = [name + MIRROR_SUFFIX for name in deployments]
        try:
            found = self._statistics(traffic_stats([*deployments, *copies]))
        except TargetUnreachable:
            self._begun.clear()
            return {name: Sample(at_s=at_s, ready=0) for name in deployments}
        self._begun = {n: one for n, one in self._begun.items() if n in deployments}
        return {name: self._sample(name, at_s, found) for name in deployments}

    def _sample(self, name: str, at_s: float, found: Mapping[str, Any]) -> Sample:
        own, copied = traffic_of(name, found), traffic_of(name + MIRROR_SUFFIX, found)
        in_flight, begun = own.in_flight + copied.in_flight, own.begun + copied.begun
        values = dict(self._rate(name, at_s, begun))
        ready = max(own.healthy, copied.healthy)
        return Sample(at_s=at_s, ready=ready, values={IN_FLIGHT: in_flight, **values})

    def _rate(self, name: str, at_s: float, begun: int) -> Iterator[tuple[str, float]]:
        """Yield the requests of a minute, by those since the sample before."""
        before_s, before = self._begun.get(name, (at_s, begun))
        self._begun[name] = at_s, begun
        if at_s > before_s and begun >= before:  # a router that was started again counts from 0
            yield PER_MINUTE, 60 * (begun - before) / (at_s - before_s)
