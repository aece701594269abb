"""What a router has counted of deployments' requests -> Counts, as rollouts go by it. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from inference_provider.canary import Counts

_REFUSED_BEFORE = frozenset({"400", "401", "403", "404", "405", "413", "429"})
"""Answers of the router itself, before it asks a deployment: what a model answers so comes as 424.
A 429 because all instances are at their limit is counted apart."""
_FAILED = frozenset({"408", "424"})
"""With all from 500: what the deployment did not answer in time, or answered with an error."""


def count_stats(deployments: Iterable[str]) -> str:
    """Return the names of the statistics that `counts_of` reads, as a regular expression."""
    split = [name.partition("/") for name in deployments]
    tagged = "|".join(
        rf"endpoint\.{re.escape(one)}\.deployment\.{re.escape(other)}" for one, _, other in split
    )
    clusters = "|".join(re.escape("/".join((one, other))) for one, _, other in split)
    return (
        rf"^(azml\.(requests|latency)\.({tagged})(\.code\.\d+)?"
        rf"|cluster\.({clusters})\.upstream_rq_active_overflow)$"
    )


def counts_of(
    deployments: Collection[str],
    statistics: Mapping[str, int],
    histograms: Mapping[str, tuple[tuple[float, int], ...]],
) -> dict[str, Counts]:
    """Return what was ever counted, by `<endpoint>/<deployment>`; of nothing yet, zeros.

    Args:
        deployments: Those that are asked for.
        statistics: Counters by name.
        histograms: Cumulative counts by name: how many took at most so many milliseconds.
    """
    return {name: _counts(name, statistics, histograms) for name in deployments}


def _counts(
    name: str,
    statistics: Mapping[str, Any],
    histograms: Mapping[str, tuple[tuple[float, int], ...]],
) -> Counts:
    endpoint, _, deployment = name.partition("/")
    tagged = f"endpoint.{endpoint}.deployment.{deployment}"
    refused = int(statistics.get(f"cluster.{name}.upstream_rq_active_overflow", 0))
    requests, failed = refused, refused
    beginning = f"azml.requests.{tagged}.code."
    for stat in (one for one in statistics if one.startswith(beginning)):
        code, count = stat.removeprefix(beginning), int(statistics[stat])
        requests += 0 if code in _REFUSED_BEFORE else count
        failed += count if code in _FAILED or code >= "500" else 0
    within = histograms.get(f"azml.latency.{tagged}", ())
    timed = within[-1][1] if within else 0
    return Counts(requests=requests, failed=failed, timed=timed, within=within)
