"""Two readings of a workspace -> the series of its metrics over the time between them. Pure.

What is not known has no series: it is never 0.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from inference_provider.metrics.catalogue import (
    CAPACITY,
    CATALOGUE,
    CONNECTIONS,
    CPU,
    DISK_USED,
    GPU,
    GPU_MEMORY,
    HEALTHY,
    LATENCY,
    MEMORY,
    NETWORK,
    NEW_CONNECTIONS,
    PERCENTILES,
    REQUESTS,
    UNHEALTHY,
    Metric,
)
from inference_provider.metrics.growth import Processes, growth, there
from inference_provider.router.counters import Bins, Counted

_MODEL_ERROR = "424"
_ORDER = {metric.name: at for at, metric in enumerate(CATALOGUE)}


@dataclass(frozen=True)
class InstanceUse:
    """What one instance uses; None is what is not known."""

    deployment: str
    """`<endpoint>/<deployment>`."""
    name: str
    cpu: float | None = None
    """Percent, as the others."""
    memory: float | None = None
    gpu: float | None = None
    gpu_memory: float | None = None
    disks: tuple[tuple[str, float], ...] = ()
    """How full each is that it uses, by where that is mounted."""


@dataclass(frozen=True)
class Reading:
    """One look at a workspace."""

    at_s: float
    """By a clock that never decreases."""
    router: Processes = field(default_factory=dict)
    """Of each process of it that is there."""
    instances: tuple[InstanceUse, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be measured, and why, for people; not what is never measured."""
    told: bool = True
    """Whether it is told what instances use; `notes` say why not."""

    @property
    def answered(self) -> bool:
        """Whether any process of the router did."""
        return any(one is not None for one in self.router.values())


@dataclass(frozen=True)
class Series:
    """One value of a metric, and of what it is."""

    metric: Metric
    labels: tuple[str, ...]
    """Values of the metric's dimensions, in their order."""
    value: float


def series(before: Reading, now: Reading) -> tuple[Series, ...]:
    """Return the value of each metric that is known, sorted as the catalogue is.

    Args:
        before: An earlier look; rates are of the time since.
        now: The last one; amounts are of it.
    """
    seconds = now.at_s - before.at_s
    found, router = list(_used(now)), there(now.router)
    if router:
        found += _there(router)
    grown = growth(before.router, now.router)
    if router and grown and seconds > 0:
        found += _of_requests(grown, _known(router), seconds)
    return tuple(sorted(found, key=lambda one: _ORDER[one.metric.name]))


def _there(router: Counted) -> Iterator[Series]:
    """Yield what is there now, whatever was before."""
    if router.connections is not None:
        yield Series(CONNECTIONS, (), router.connections)
    for of, (healthy, total) in sorted(router.instances.items()):
        yield Series(CAPACITY, (*of, HEALTHY), healthy)
        yield Series(CAPACITY, (*of, UNHEALTHY), max(total - healthy, 0))


def _of_requests(
    grown: Counted, known: Collection[tuple[str, str]], seconds: float
) -> Iterator[Series]:
    """Yield the rates of what was counted in some seconds, of which `known` is there now."""
    answers = _by_cause(grown.requests, grown.model_errors)
    for (endpoint, deployment, status), count in sorted(answers.items()):
        code, _, model = status.partition("/")
        labels = (endpoint, deployment, code, _class_of(code), model)
        if count or (endpoint, deployment) in known:
            yield Series(REQUESTS, labels, 60 * count / seconds)
    for of, bins in sorted(grown.latency.items()):
        yield from _latency(of, {ms: count for ms, count in bins.items() if count})
    for endpoint, count in sorted(grown.bytes.items()):
        if count or (endpoint, "") in known:
            yield Series(NETWORK, (endpoint,), count / seconds)
    if grown.connected is not None:
        yield Series(NEW_CONNECTIONS, (), grown.connected / seconds)


def _known(router: Counted) -> set[tuple[str, str]]:
    """Return what the router has now, with and without deployment.

    Its counters outlive what they are of, until it is started again.
    """
    return {("", ""), *router.instances, *((endpoint, "") for endpoint, _ in router.instances)}


def _class_of(status: str) -> str:
    return f"{status[0]}xx" if len(status) == 3 else ""  # 0: the caller got none


def _by_cause(
    answers: Mapping[tuple[str, str, str], int], errors: Mapping[tuple[str, str, str], int]
) -> dict[tuple[str, str, str], int]:
    """Return answers with their status followed by `/` and that of the model, where it gave one."""
    found = dict(answers)
    for (endpoint, deployment, model), count in errors.items():
        whole = endpoint, deployment, _MODEL_ERROR
        found[endpoint, deployment, f"{_MODEL_ERROR}/{model}"] = count
        found[whole] = max(found.get(whole, 0) - count, 0)
        if not found[whole]:
            del found[whole]
    return found


def _latency(of: tuple[str, str], took: Bins) -> Iterator[Series]:
    total = sum(took.values())
    if not total:
        return
    yield Series(LATENCY, of, sum(ms * count for ms, count in took.items()) / total)
    for share, metric in PERCENTILES.items():
        yield Series(metric, of, percentile(sorted(took.items()), total * share / 100))


def percentile(took: Iterable[tuple[float, int]], wanted: float) -> float:
    """Return how long the `wanted`-th request took, of the quickest first."""
    last = 0.0
    for ms, count in took:
        wanted, last = wanted - count, ms
        if wanted <= 0:
            break
    return last


def _used(now: Reading) -> Iterator[Series]:
    for one in now.instances:
        endpoint, _, deployment = one.deployment.partition("/")
        labels = endpoint, deployment, one.name
        known = {CPU: one.cpu, MEMORY: one.memory, GPU: one.gpu, GPU_MEMORY: one.gpu_memory}
        for metric, value in known.items():
            if value is not None:
                yield Series(metric, labels, value)
        for disk, value in one.disks:
            yield Series(DISK_USED, (*labels, disk), value)
