"""Requests that wait for an instance -> Envoy's configuration of that. Pure.

A deployment that may have no instance has patience. While it has none its requests are held: by a
filter that asks a process beside Envoy, over a socket in the router's folder, and lets a request go
on when that says so. Neither bodies nor keys reach that process. Envoy keeps some 16 MiB of a body,
up to 31 measured, and then reads no more of its connection: so it does not see that such a caller
gives up. The route's `request_body_buffer_limit` changes nothing of that. The filter comes after
keys, roles and rates, so whoever may not call wakes nothing.
"""

import operator
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from inference_provider.router.resource import API, Resource, where_asked
from inference_provider.router.table import DeploymentEntry, EndpointEntry, RouterTable

HOLDING = "envoy.filters.http.ext_authz.holding"
CLUSTER = "holding"
"""It has no slash, which the name of each deployment's cluster has."""
SOCKET = "holding.sock"
PREFIX = "/hold"
MOST, MOST_OF_ONE = 1000, 500
"""Requests that are held at a time: of all deployments, and of one."""
LONGEST_PATIENCE_S = 240
"""Below the time in which a whole request must have come, and after which a silent one is ended."""
_LATE_S = 5
"""Time that an answer may be late before the filter ends the wait by itself."""
_KIND = f"{API}extensions.filters.http.ext_authz.v3.ExtAuthz"


def holding_filter() -> Resource:
    """Return the filter of a listener."""
    typed = {
        "@type": _KIND,
        "transport_api_version": "V3",
        "stat_prefix": CLUSTER,
        "http_service": _service("/", LONGEST_PATIENCE_S),
        # a token that the model is to see is nothing that decides on waiting
        "disallowed_headers": {"patterns": [{"exact": "authorization", "ignore_case": True}]},
        "status_on_error": {"code": "ServiceUnavailable"},
    }
    return where_asked({"name": HOLDING, "typed_config": typed})


def holding_cluster(folder: str) -> Resource:
    """Return where the filter asks; it is there though nobody may listen, as the filter is."""
    path = str(PurePosixPath(folder) / SOCKET)
    bound = 2 * MOST  # the process that is asked says who is one too many
    names = ("max_requests", "max_connections", "max_pending_requests")
    return {
        "@type": f"{API}config.cluster.v3.Cluster",
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{API}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                # each keeps a file open at both ends, and after a crowd there are many
                "common_http_protocol_options": {"idle_timeout": "5s"},
            }
        },
        "circuit_breakers": {"thresholds": [dict.fromkeys(names, bound)]},
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": path}}}}]}],
        },
    }


def hold(endpoint: str, deployment: DeploymentEntry) -> Resource:
    """Return what a route, or a part of a split, says of filters where its requests wait."""
    if not deployment.held:
        return {}
    prefix = f"{PREFIX}/{endpoint}/{deployment.name}"
    asked = {"http_service": _service(prefix, deployment.patience_s)}
    return {HOLDING: {"@type": f"{_KIND}PerRoute", "check_settings": asked}}


def asked_of(path: str) -> str:
    """Return which deployment, `<endpoint>/<deployment>`, a path of the filter asks about."""
    return "/".join(path.split("/")[2:4])


def with_held(
    endpoints: Iterable[EndpointEntry], awake: Collection[str], kept: Mapping[str, int]
) -> tuple[EndpointEntry, ...]:
    """Return endpoints whose deployments hold requests, but those that are awake.

    Args:
        endpoints: As the records say.
        awake: Deployments, `<endpoint>/<deployment>`, that have an instance which gets requests.
        kept: Patience of some that the records give none, seconds.
    """
    return tuple(_with_held(one, awake, kept) for one in endpoints)


def _with_held(
    endpoint: EndpointEntry, awake: Collection[str], kept: Mapping[str, int]
) -> EndpointEntry:
    def settled(one: DeploymentEntry) -> DeploymentEntry:
        name = f"{endpoint.name}/{one.name}"
        patience_s = one.patience_s or kept.get(name, 0)
        held = bool(patience_s) and not (one.backends and name in awake)
        if (patience_s, held) == (one.patience_s, one.held):
            return one
        return one.model_copy(update={"patience_s": patience_s, "held": held})

    changed = tuple(map(settled, endpoint.deployments))
    if all(map(operator.is_, changed, endpoint.deployments)):
        return endpoint
    return endpoint.model_copy(update={"deployments": changed})


def holding_first(old: RouterTable, new: RouterTable) -> RouterTable:
    """Return the old table, where requests wait that the new one lets wait.

    A deployment that loses its last instance must hold requests before that is gone.
    """
    wanted = {
        (endpoint.name, one.name): one.patience_s
        for endpoint in new.endpoints
        for one in endpoint.deployments
        if one.held
    }
    if not wanted:
        return old
    endpoints = tuple(_holding(one, wanted) for one in old.endpoints)
    return old.model_copy(update={"endpoints": endpoints})


def _holding(endpoint: EndpointEntry, wanted: dict[tuple[str, str], int]) -> EndpointEntry:
    def starts(one: DeploymentEntry) -> bool:
        return not one.held and (endpoint.name, one.name) in wanted

    if not any(map(starts, endpoint.deployments)):
        return endpoint
    changed = tuple(
        one.model_copy(update={"held": True, "patience_s": wanted[endpoint.name, one.name]})
        if starts(one)
        else one
        for one in endpoint.deployments
    )
    return endpoint.model_copy(update={"deployments": changed})


def _service(prefix: str, patience_s: int) -> Resource:
    return {
        "server_uri": {
            "uri": f"http://{CLUSTER}",
            "cluster": CLUSTER,
            "timeout": f"{patience_s + _LATE_S}s",
        },
        "path_prefix": prefix,
        "authorization_response": {
            "allowed_client_headers": {"patterns": [{"exact": "retry-after"}]}
        },
    }
