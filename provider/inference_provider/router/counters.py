"""What a running router has counted of the requests of each endpoint. Pure.

A target queries it; `metrics/` makes series of it. The counters are those of `access_log.py`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_CONNECTIONS = "http.ingress.downstream_cx_"
COUNTERS = (
    r"^(azml\.(requests|model_errors|bytes_in|bytes_out)\."
    rf"|{re.escape(_CONNECTIONS)}(active|total)$"
    r"|cluster\.[^/.:]+/[^/.:]+\.membership_(healthy|total)$)"
)
"""Names of the statistics that `counted` reads, as a regular expression."""
HISTOGRAMS = r"^azml\.latency\."
"""Names of its histograms."""
_NAME = re.compile(
    r"azml\.(requests|model_errors|latency|bytes_in|bytes_out)"
    r"\.endpoint\.([^.]*)(?:\.deployment\.([^.]*))?(?:\.code\.([^.]*))?"
)
_MEMBERS = re.compile(r"cluster\.([^/.:]+)/([^/.:]+)\.membership_(healthy|total)")
_NOBODY = "-"
"""Endpoint of a request to none that there is."""

Deployment = tuple[str, str]
"""Endpoint and deployment; the latter is empty where the request was sent to none."""
Bins = Mapping[float, int]
"""Requests by how long they took: the middle of a bin, milliseconds, exact to two digits."""


@dataclass(frozen=True)
class Counted:
    """Since the router was started, but for `connections` and `instances`."""

    requests: Mapping[tuple[str, str, str], int]
    """Answers by endpoint, deployment and status; 0 is the status of who got none."""
    model_errors: Mapping[tuple[str, str, str], int]
    """Of those with 424, by the status that the model gave in place of 424."""
    bytes: Mapping[str, int]
    """Of bodies, received and sent, by endpoint."""
    latency: Mapping[Deployment, Bins]
    """How long answers took, whatever their status."""
    instances: Mapping[Deployment, tuple[int, int]]
    """How many of a deployment get requests now, and how many would if all were healthy."""
    connections: int | None
    """Open ones of clients now, of all endpoints; None where that is not known."""
    connected: int | None
    """Connections that clients have ever opened."""


def counted(statistics: Mapping[str, Any], histograms: Iterable[Mapping[str, Any]]) -> Counted:
    """Return what a router has counted.

    Args:
        statistics: Its counters and gauges, by name.
        histograms: Its histograms in detail: `name`, and `totals` with the bins.
    """
    answers, lengths = dict[str, dict[tuple[str, str, str], int]](), Counter[str]()
    for name, value in statistics.items():
        found = _NAME.fullmatch(name)
        if found and found[1].startswith("bytes"):
            lengths[_endpoint(found[2])] += int(value)
        elif found:
            of = _endpoint(found[2]), found[3], found[4]
            answers.setdefault(found[1], {})[of] = int(value)
    return Counted(
        requests=answers.get("requests", {}),
        model_errors=answers.get("model_errors", {}),
        bytes=lengths,
        latency=dict(_latency(histograms)),
        instances=_instances(statistics),
        connections=statistics.get(f"{_CONNECTIONS}active"),
        connected=statistics.get(f"{_CONNECTIONS}total"),
    )


def tagged(deployments: Iterable[str]) -> str:
    """Return how statistics name deployments, `<endpoint>/<deployment>`: a regular expression."""
    split = [name.partition("/") for name in deployments]
    return "|".join(
        rf"endpoint\.{re.escape(one)}\.deployment\.{re.escape(other)}" for one, _, other in split
    )


def latency_stats(deployments: Iterable[str]) -> str:
    """Return the histograms that `latency_of` reads, as a regular expression.

    Args:
        deployments: Their names, `<endpoint>/<deployment>`.
    """
    return rf"^azml\.latency\.({tagged(deployments)})$"


def latency_of(histograms: Iterable[Mapping[str, Any]]) -> dict[str, Bins]:
    """Return how long answers took, by `<endpoint>/<deployment>`; without those that had none.

    Args:
        histograms: As for `counted`.
    """
    found = _latency(histograms)
    return {f"{endpoint}/{deployment}": bins for (endpoint, deployment), bins in found}


def _endpoint(name: str) -> str:
    return "" if name == _NOBODY else name


def _instances(statistics: Mapping[str, Any]) -> dict[Deployment, tuple[int, int]]:
    counts = dict[tuple[str, str, str], int]()
    for name, value in statistics.items():
        if found := _MEMBERS.fullmatch(name):
            counts[found[1], found[2], found[3]] = int(value)
    return {
        (endpoint, deployment): (counts.get((endpoint, deployment, "healthy"), 0), total)
        for (endpoint, deployment, which), total in counts.items()
        if which == "total"
    }


def _latency(histograms: Iterable[Mapping[str, Any]]) -> Iterable[tuple[Deployment, Bins]]:
    for one in histograms:
        if found := _NAME.fullmatch(one["name"]):
            bins = {b["lower_bound"] + b["width"] / 2: int(b["count"]) for b in one["totals"]}
            yield (_endpoint(found[2]), found[3]), bins
