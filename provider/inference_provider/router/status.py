"""A running router's statistics and runtime values -> InForce. Pure; a target queries them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from inference_provider.observed import Frozen
from inference_provider.router.envoy import MIRROR_PREFIX, MIRROR_SUFFIX, WEIGHT_PREFIX

Shares = Mapping[str, Mapping[str, int]]
"""Percent by endpoint and deployment."""
_HEALTHY, _IN_FLIGHT = "membership_healthy", "upstream_rq_active"
_BEGUN = "upstream_rq_total"
_PENDING = "upstream_rq_pending_active"
CLUSTER_STATS = rf"^cluster\..*/.*\.({_HEALTHY}|{_IN_FLIGHT})$"
"""Names of the statistics, all gauges, that `cluster_counts` reads."""
WARMING = "cluster_manager.warming_clusters"
"""Gauge of the clusters that are not in use yet, those of the forward proxy's names included."""
PUBLISHED_CLUSTERS = "[^:]*"
"""Names of clusters in the file of clusters: those that Envoy makes for names have colons."""


class ClusterCounts(Frozen):
    """Gauges of a router by cluster: `<endpoint>/<deployment>`, or that followed by `/mirror`."""

    healthy: dict[str, int]
    """Backends that get requests. Includes every cluster of the router."""
    in_flight: dict[str, int]
    """Requests in flight; a cluster that never had one may be missing."""


class Traffic(Frozen):
    """What goes to one deployment now."""

    healthy: int = 0
    in_flight: int = 0
    begun: int = 0
    """Requests that were ever sent there."""
    pending: int = 0
    """Requests that wait for a connection, and are not in flight."""


def traffic_stats(deployments: Iterable[str]) -> str:
    """Return the names of the statistics that `traffic_of` reads, as a regular expression."""
    names = "|".join(map(re.escape, deployments))
    return rf"^cluster\.({names})\.({_HEALTHY}|{_IN_FLIGHT}|{_BEGUN}|{_PENDING})$"


def traffic_of(deployment: str, statistics: Mapping[str, Any]) -> Traffic:
    """Return what goes to a deployment, `<endpoint>/<deployment>`."""
    healthy, in_flight, begun, pending = (
        int(statistics.get(f"cluster.{deployment}.{one}", 0))
        for one in (_HEALTHY, _IN_FLIGHT, _BEGUN, _PENDING)
    )
    return Traffic(healthy=healthy, in_flight=in_flight, begun=begun, pending=pending)


def is_counted(deployment: str, statistics: Mapping[str, Any]) -> bool:
    """Whether `traffic_of` knows of a deployment; a router does of every one that it routes to.

    Of one that never had an instance it counts no requests: there were none. One that was started
    by an older release does not say which are pending.
    """
    healthy, *requests = (f"cluster.{deployment}.{one}" for one in (_HEALTHY, _IN_FLIGHT, _BEGUN))
    if statistics.get(healthy) == 0 and not statistics.keys() & {*requests}:
        return True
    return statistics.keys() >= {healthy, *requests}


class InForce(Frozen):
    """What is in force in one router."""

    weights: dict[str, dict[str, int]]
    """Percent by endpoint and deployment."""
    mirrors: dict[str, dict[str, int]]
    """Percent by endpoint and deployment, of endpoints that have a mirror."""
    healthy: dict[str, int]
    """Backends that get requests, by `<endpoint>/<deployment>`; draining deployments excluded."""
    in_flight: dict[str, int]
    """Requests in flight, by cluster as in `ClusterCounts`."""


def cluster_counts(statistics: Mapping[str, Any]) -> ClusterCounts:
    """Extract the counts from statistics keyed by name."""
    return ClusterCounts(
        healthy=_by_cluster(statistics, _HEALTHY), in_flight=_by_cluster(statistics, _IN_FLIGHT)
    )


def router_status(counts: ClusterCounts, layer: Mapping[str, str]) -> InForce:
    """Return the status of a router.

    Args:
        counts: What `cluster_counts` returns.
        layer: Runtime values in force, by Envoy's key.
    """
    weights = _shares(layer, WEIGHT_PREFIX)
    routed = {f"{endpoint}/{name}" for endpoint, shares in weights.items() for name in shares}
    return InForce(
        weights=weights,
        mirrors=_shares(layer, MIRROR_PREFIX),
        healthy={name: count for name, count in counts.healthy.items() if name in routed},
        in_flight=counts.in_flight,
    )


def requests_on(deployment: str, in_flight: Mapping[str, int]) -> int:
    """Return the requests on a deployment, `<endpoint>/<deployment>`, mirrored ones included."""
    return sum(in_flight.get(name, 0) for name in (deployment, deployment + MIRROR_SUFFIX))


def _by_cluster(statistics: Mapping[str, Any], statistic: str) -> dict[str, int]:
    pattern = re.compile(rf"cluster\.(.+)\.{statistic}")
    matches = ((pattern.fullmatch(name), value) for name, value in statistics.items())
    return {match[1]: int(value) for match, value in matches if match}


def _shares(layer: Mapping[str, str], prefix: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for key, value in layer.items():
        if key.startswith(prefix) and key.count("/") == 1:
            endpoint, _, deployment = key.removeprefix(prefix).partition("/")
            found.setdefault(endpoint, {})[deployment] = int(value)
    return found
