"""What autoscale rules go by: what was measured of a deployment, and its means. Pure."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

LATENCY = "RequestLatency"
QUEUED = "RequestsQueued"


class Timed(BaseModel):
    """Requests of one deployment that were answered whole, whatever their status."""

    model_config = ConfigDict(frozen=True)

    requests: int
    """Ever since the router was started, as the others."""
    total_ms: float
    """How long they took, together."""
    within: Mapping[float, int] = {}
    """How many took at most so many milliseconds, of those limits that somebody asks about."""


class Sample(BaseModel):
    """What was measured of one deployment at one moment."""

    model_config = ConfigDict(frozen=True)

    at_s: float
    """Of a clock that never decreases."""
    ready: int
    """Instances that get requests."""
    values: Mapping[str, float] = {}
    """By metric, without those that could not be measured. `RequestsInFlight`, `RequestsQueued` and
    `RequestsPerMinute` are of the whole deployment, the first two with requests that wait for an
    instance; percentages are the mean of the ready instances."""
    timed: Timed | None = None
    """What `RequestLatency` is told by; None where that could not be measured."""

    @property
    def measured(self) -> frozenset[str]:
        """Names of the metrics that were measured, of which one may have no value yet."""
        return frozenset([*self.values, *([LATENCY] if self.timed else [])])


def mean_of(metric: str, samples: tuple[Sample, ...], since_s: float) -> float | None:
    """Return the mean of a metric since some time; None when it was not measured all that time.

    `RequestLatency` is milliseconds: the mean of the requests that were answered since. Without
    any there is none.
    """
    if not samples or samples[0].at_s > since_s:
        return None
    if metric == LATENCY:
        return _latency(reaching(samples, since_s))
    seen = [one for one in samples if one.at_s > since_s]
    values = [one.values[metric] for one in seen if metric in one.values]
    return sum(values) / len(values) if values and len(values) == len(seen) else None


def slower_than(limit_ms: float, samples: tuple[Sample, ...], since_s: float) -> float | None:
    """Return the percent of the requests answered since some time that took more than a limit.

    None as of `mean_of`, and where that limit was not asked about all that time.
    """
    if not samples or samples[0].at_s > since_s:
        return None
    if (ends := _ends(reaching(samples, since_s))) is None:
        return None
    before, now = ends
    if limit_ms not in before.within or limit_ms not in now.within:
        return None
    quick, requests = now.within[limit_ms] - before.within[limit_ms], now.requests - before.requests
    return 100 * (requests - quick) / requests


def _latency(seen: tuple[Sample, ...]) -> float | None:
    if (ends := _ends(seen)) is None:
        return None
    before, now = ends
    return (now.total_ms - before.total_ms) / (now.requests - before.requests)


def _ends(seen: tuple[Sample, ...]) -> tuple[Timed, Timed] | None:
    """Return the first and the last; None where one lacks, or no request was answered between."""
    known = [one.timed for one in seen if one.timed]
    whole = len(known) == len(seen) and known[-1].requests > known[0].requests
    return (known[0], known[-1]) if whole else None


def thinned(samples: tuple[Sample, ...], apart_s: float) -> tuple[Sample, ...]:
    """Return samples without the last but one where it is too near to the one before it.

    One that lacks what the one before it has stays: a window is whole or not measured.
    """
    if len(samples) < 3:
        return samples
    before, between, now = samples[-3:]
    needless = between.at_s - before.at_s < apart_s and before.measured == between.measured
    return (*samples[:-2], now) if needless else samples


def reaching(samples: tuple[Sample, ...], since_s: float) -> tuple[Sample, ...]:
    """Return samples since some time, and the one before, which shows that windows are whole."""
    before = sum(one.at_s <= since_s for one in samples)
    return samples[max(before - 1, 0) :]
