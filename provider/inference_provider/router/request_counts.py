"""What a router has counted of deployments' requests -> Counts, as rollouts go by it. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping

from inference_provider.canary import Counts
from inference_provider.router.counters import counted, tagged

_REFUSED_BEFORE = frozenset({"400", "401", "403", "404", "405", "413", "429"})
"""Answers of the router itself, before it asks a deployment: what a model answers so comes as 424.
A 429 because all instances are at their limit is counted apart."""
_FAILED = frozenset({"0", "408", "424"})
"""With all from 500: what the deployment did not answer before its caller gave up (0) or in time,
or answered with an error."""
_MODEL_FAILED = frozenset({"408", "429"})
"""With all that are no 4xx: statuses of a model, each a 424 to its caller, that are its own fault.
With others, such as 400 and 422, it refuses what a caller has sent."""


def count_stats(deployments: Iterable[str]) -> str:
    """Return the names of the statistics that `counts_of` reads, as a regular expression."""
    names = [*deployments]
    clusters = "|".join(map(re.escape, names))
    return (
        rf"^(azml\.(requests|model_errors|latency)\.({tagged(names)})(\.code\.\d+)?"
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
    read = counted(statistics, ())
    answers, by_model = _by_deployment(read.requests), _by_deployment(read.model_errors)
    return {
        name: _counts(
            answers.get(name, {}),
            by_model.get(name, {}),
            refused=int(statistics.get(f"cluster.{name}.upstream_rq_active_overflow", 0)),
            within=histograms.get(f"azml.latency.{_tagged(name)}", ()),
        )
        for name in deployments
    }


def asked_and_failed(answers: Mapping[str, int], by_model: Mapping[str, int]) -> tuple[int, int]:
    """Return how many requests deployments were asked, and how many of these they failed.

    Args:
        answers: Requests by status.
        by_model: Of those with 424, by the status that the model gave.
    """
    asked = {code: count for code, count in answers.items() if code not in _REFUSED_BEFORE}
    failed = sum(n for code, n in asked.items() if code in _FAILED or code >= "500")
    of_callers = (code for code in by_model if code[:1] == "4" and code not in _MODEL_FAILED)
    failed -= sum(by_model[code] for code in of_callers)
    return sum(asked.values()), max(failed, 0)


def _tagged(name: str) -> str:
    endpoint, _, deployment = name.partition("/")
    return f"endpoint.{endpoint}.deployment.{deployment}"


def _counts(
    answers: Mapping[str, int],
    by_model: Mapping[str, int],
    *,
    refused: int,
    within: tuple[tuple[float, int], ...],
) -> Counts:
    asked, failed = asked_and_failed(answers, by_model)
    before = sum(answers.values()) - asked - refused
    timed = within[-1][1] if within else 0
    return Counts(
        requests=asked + refused,
        failed=failed + refused,
        timed=timed,
        within=within,
        refused=max(before, 0),
    )


def _by_deployment(counts: Mapping[tuple[str, str, str], int]) -> dict[str, dict[str, int]]:
    """Return counts by status, of each `<endpoint>/<deployment>`."""
    found = dict[str, dict[str, int]]()
    for (endpoint, deployment, code), count in counts.items():
        found.setdefault(f"{endpoint}/{deployment}", {})[code] = count
    return found
