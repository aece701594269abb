"""RouterTable -> Envoy's clusters as plain dicts: where requests go, and health checks. Pure.

Which requests go there is in `envoy.py`.
"""

from inference_provider.router.envoy import MIRROR_SUFFIX
from inference_provider.router.resource import (
    API,
    Resource,
    address,
    seconds,
    upstream_http,
)
from inference_provider.router.table import Backend, DeploymentEntry, EndpointEntry, RouterTable

# Servers close idle connections (gunicorn after 2 s, uvicorn after 5). A request sent at that
# moment would fail, so the router closes them first.
_CONNECTIONS = upstream_http(common_http_protocol_options={"idle_timeout": "1s"})
_MIRROR_BUFFER_BYTES = 200 * 2**20
"""Twice a usual body: so much of one that a mirror reads slowly is kept, however long it may be."""
_NO_OTHER_LIMIT = {"max_connections": 100000, "max_pending_requests": 100000, "max_retries": 64}
# An instance that cannot be reached is ejected; one is never ejected for what it answers.
_WITHOUT_CONNECTION = {
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 3,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_consecutive_5xx": 0,
    "enforcing_success_rate": 0,
    "interval": "1s",
    "base_ejection_time": "5s",
    "max_ejection_percent": 50,
}


def cluster_entries(endpoint: EndpointEntry) -> dict[str, DeploymentEntry]:
    """Return the deployment of each cluster: one per deployment, and a second one for a mirror.

    The mirror's cluster has its own counters, so that mirrored and skipped requests can be counted,
    and its own limit, so that a mirror never takes capacity from callers.
    """
    found: dict[str, DeploymentEntry] = {}
    for deployment in endpoint.deployments:
        name = f"{endpoint.name}/{deployment.name}"
        found[name] = deployment
        if deployment.name in endpoint.mirror:
            found[name + MIRROR_SUFFIX] = deployment
    return found


def cluster(name: str, deployment: DeploymentEntry) -> Resource:
    """Return one cluster; its name says whether it is a mirror's."""
    found = _cluster(name, deployment)
    if name.count("/") == 1:
        return found
    # else a mirror that reads slowly would hold back the caller's body
    return {**found, "per_connection_buffer_limit_bytes": _MIRROR_BUFFER_BYTES}


def clusters(table: RouterTable) -> list[Resource]:
    """Return all clusters, those that are draining last."""
    found = [
        cluster(name, deployment)
        for endpoint in table.endpoints
        for name, deployment in cluster_entries(endpoint).items()
    ]
    return found + [cluster(one.cluster, one.deployment) for one in table.draining]


def _cluster(name: str, deployment: DeploymentEntry) -> Resource:
    allowed = 2 * deployment.max_concurrent * max(len(deployment.backends), 1)
    hosts = [
        {"endpoint": {"address": _backend_address(backend)}} for backend in deployment.backends
    ]
    return {
        "@type": f"{API}config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "metadata": {
            "filter_metadata": {
                "azml": {"deployment": deployment.name, "timeout_ms": deployment.timeout_ms}
            }
        },
        "connect_timeout": "1s",
        **_CONNECTIONS,
        "lb_policy": "LEAST_REQUEST",
        "ignore_health_on_host_removal": True,
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            # else a change of health reaches the workers up to 1 s after the statistics
            "update_merge_window": "0s",
        },
        "circuit_breakers": {"thresholds": [{"max_requests": allowed, **_NO_OTHER_LIMIT}]},
        "health_checks": [_health_check(deployment)],
        "outlier_detection": _WITHOUT_CONNECTION,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]},
    }


def _backend_address(backend: Backend) -> Resource:
    if backend.socket:
        return {"pipe": {"path": backend.socket}}
    return address(backend.host, backend.port)


def _health_check(deployment: DeploymentEntry) -> Resource:
    interval = seconds(deployment.health_interval_ms)
    return {
        "timeout": seconds(deployment.health_timeout_ms),
        "interval": interval,
        "no_traffic_interval": interval,
        # a busy instance may miss its first check: ask again soon, not after a whole period
        "unhealthy_interval": "1s",
        "no_traffic_healthy_interval": interval,
        "initial_jitter": "0.05s",
        "unhealthy_threshold": deployment.health_failures,
        "healthy_threshold": 1,
        "http_health_check": {
            "path": deployment.health_path,
            # without a host the cluster's name would be sent, and its '/' is no valid Host
            "host": "health.local",
            "expected_statuses": [{"start": 200, "end": 400}],
        },
    }
