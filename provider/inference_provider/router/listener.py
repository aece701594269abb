"""RouterTable -> Envoy's listener and bootstrap: local replies, statistics, admin. Pure.

Routes are in `envoy.py`, clusters in `clusters.py`, a request's filters in `filters.py`, its log in
`access_log.py`. Nothing here depends on an endpoint, so changing endpoints does not drain the
listener.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from inference_provider.router.access_log import access_logs, status_filter
from inference_provider.router.access_rule import access_filter
from inference_provider.router.egress import egress_cluster
from inference_provider.router.envoy import error_body
from inference_provider.router.filters import (
    request_filters,
    routing_filter,
    websocket_filters,
)
from inference_provider.router.holding import holding_filter
from inference_provider.router.resource import (
    API,
    CLIENT_HEADER,
    MANAGER,
    ROUTER_ERROR_HEADER,
    Resource,
    address,
)
from inference_provider.router.sources import source_filters
from inference_provider.router.table import RouterTable
from inference_provider.router.tls import transport_socket
from inference_provider.router.traces import tracing

RETRY_BUFFER_BYTES = 16 * 1024 * 1024
"""The largest body that can be retried; bigger ones are streamed."""
IDLE_TIMEOUT_S = 300
"""Idle time after which a request, a websocket or a connection is ended; longer than any
deployment's timeout."""
STREAMS = 100
"""Requests at once on one connection of HTTP/2."""
LONGEST_UPLOAD_S = 300
"""Time in which a whole request must have come."""
_KEPT_STATS = (
    r"azml\..*|http\..*|listener_manager\..*|cluster_manager\..*|server\..*|runtime\..*"
    r"|extension_config_discovery\..*"
    r"|cluster\..*\.(upstream_rq_active|upstream_rq_total|upstream_rq_pending_active"
    # requests that were not forwarded: limit reached, no healthy instance
    r"|upstream_rq_active_overflow|upstream_cx_none_healthy"
    r"|membership_.*|upstream_cx_connect_fail|upstream_rq_retry.*|outlier_detection\..*)"
)
_ROUTER_ERROR: Resource = {"header": {"key": ROUTER_ERROR_HEADER, "value": "router"}}
_RETRY_AFTER: Resource = {"header": {"key": "retry-after", "value": "1"}}
_REQUEST_ID: Resource = {  # for a request that is refused before it gets an id
    "header": {"key": "x-request-id", "value": "%UNIQUE_ID%"},
    "append_action": "ADD_IF_ABSENT",
}
_LATENCY_BUCKETS_MS = (
    *(5, 10, 25, 50, 100, 250, 500),
    *(1000, 2500, 5000, 10000, 30000, 60000, 300000),
)


def listener(
    table: RouterTable,
    route_source: Resource,
    tokens: Sequence[Resource],
    limiter: Resource,
    certificate: Resource | None = None,
) -> Resource:
    """Return the one public listener.

    Args:
        table: Its endpoints are not used.
        route_source: `{"rds": …}` to read the routes from a file, `{"route_config": …}` inline.
        tokens: The filters of tokens, with their configuration or where that is read.
        limiter: The filter of rates, likewise.
        certificate: Where the certificate is read from; None to have it inline.
    """
    first = source_filters(table)
    # callers that are refused must neither use up a limit nor wait for an instance
    after = [*tokens, access_filter(), limiter, holding_filter()]
    manager = _manager(table, route_source, first, after)
    chain: Resource = {"filters": [manager]}
    if table.tls:
        chain["transport_socket"] = transport_socket(table.tls, certificate)
    return {
        "@type": f"{API}config.listener.v3.Listener",
        "name": "http",
        "address": address(table.host, table.port),
        "per_connection_buffer_limit_bytes": RETRY_BUFFER_BYTES,
        "filter_chains": [chain],
    }


def watched(folder: str, kind: str, directory: bool = True) -> Resource:
    """Return the config source of one kind of resource: a file that is replaced by rename."""
    path = PurePosixPath(folder) / kind
    source: Resource = {"path": str(path / f"{kind}.json")}
    if directory:
        source["watched_directory"] = {"path": str(path)}
    return {"resource_api_version": "V3", "path_config_source": source}


def bootstrap(table: RouterTable) -> Resource:
    """Return the static part: admin socket, paths of the files, which statistics are kept."""
    socket = {"pipe": {"path": str(PurePosixPath(table.folder) / "admin.sock")}}
    rtds = {"name": "rtds", "rtds_config": watched(table.folder, "rtds", directory=False)}
    return {
        "node": {"id": "router-0", "cluster": "router"},
        "admin": {"address": {"pipe": {**socket["pipe"], "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": watched(table.folder, "lds"),
            "cds_config": watched(table.folder, "cds"),
        },
        "layered_runtime": {"layers": [{"name": "rtds", "rtds_layer": rtds}]},
        **_statistics(),
        "overload_manager": {"resource_monitors": [_connection_limit()]},
        "static_resources": {
            "clusters": [_admin_cluster(socket), egress_cluster(table.name_server)],
            "listeners": [_metrics_listener(table.metrics_host, table.metrics_port)],
        },
    }


def _statistics() -> Resource:
    return {
        # an idle deployment uses no memory for counters
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "stats_config": {
            "stats_matcher": {
                "inclusion_list": {"patterns": [{"safe_regex": {"regex": _KEPT_STATS}}]}
            },
            "histogram_bucket_settings": [
                {"match": {"suffix": "latency"}, "buckets": list(_LATENCY_BUCKETS_MS)}
            ],
        },
    }


def _connection_limit() -> Resource:
    kind = "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {"@type": API + kind, "max_active_downstream_connections": 50000},
    }


def _admin_cluster(socket: Resource) -> Resource:
    return {
        "name": "admin",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "admin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket}}]}],
        },
    }


def _metrics_listener(host: str, port: int) -> Resource:
    """Return the only access to the admin socket by TCP: two read-only paths."""
    rewritten = {"cluster": "admin", "prefix_rewrite": "/stats/prometheus?usedonly"}
    routes = [
        {"match": {"path": "/metrics"}, "route": rewritten},
        {"match": {"path": "/ready"}, "route": {"cluster": "admin"}},
    ]
    manager = {
        "@type": MANAGER,
        "stat_prefix": "metrics",
        "http_filters": [routing_filter()],
        "route_config": {"virtual_hosts": [{"name": "m", "domains": ["*"], "routes": routes}]},
    }
    return {
        "name": "metrics",
        "address": address(host, port),
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }


def _manager(
    table: RouterTable,
    route_source: Resource,
    first: Sequence[Resource],
    after_keys: Sequence[Resource],
) -> Resource:
    return {
        "name": "hcm",
        "typed_config": {
            "@type": MANAGER,
            "stat_prefix": "ingress",
            "use_remote_address": True,
            **({"xff_num_trusted_hops": table.trusted_hops} if table.trusted_hops else {}),
            # no caller is internal: else one on loopback could change limits by x-envoy-… headers
            "internal_address_config": {
                "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]
            },
            "early_header_mutation_extensions": [_no_claimed_identity()],
            "normalize_path": True,
            "merge_slashes": True,
            # so that %2f..%2f can never move a request to another endpoint's route
            "path_with_escaped_slashes_action": "REJECT_REQUEST",
            "server_header_transformation": "OVERWRITE",
            "server_name": "azml",
            "always_set_request_id_in_response": True,
            "preserve_external_request_id": True,
            "request_headers_timeout": "10s",
            # from the first byte to the last of a request, so that nobody sends one for ever
            "request_timeout": f"{LONGEST_UPLOAD_S}s",
            "stream_idle_timeout": f"{IDLE_TIMEOUT_S}s",
            "delayed_close_timeout": "0.2s",
            "http2_protocol_options": {"max_concurrent_streams": STREAMS},
            "common_http_protocol_options": {
                "idle_timeout": f"{IDLE_TIMEOUT_S}s",
                # WSGI reads x_azml_client as x-azml-client, and gunicorn takes script_name for true
                "headers_with_underscores_action": "DROP_HEADER",
            },
            "upgrade_configs": [
                {"upgrade_type": "websocket", "filters": websocket_filters(first, after_keys)}
            ],
            "local_reply_config": _local_replies(),
            **tracing(table),
            **route_source,
            "http_filters": request_filters(first, after_keys),
            "access_log": access_logs(table.folder, behind_proxies=table.trusted_hops > 0),
        },
    }


def _no_claimed_identity() -> Resource:
    """Return the mutation that removes a caller's own identity header before any filter or log."""
    kind = "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {"@type": f"{API}{kind}", "mutations": [{"remove": CLIENT_HEADER}]},
    }


def _local_replies() -> Resource:
    """Return the body and status of each answer that the router itself gives; first match wins."""
    own_body = {"json_format": {"error": {"code": "RouterError", "message": "%LOCAL_REPLY_BODY%"}}}
    return {
        "mappers": [
            _unanswered_wait(),
            _flagged("UO", "TooManyRequests", "all instances are at their limit", 429),
            _flagged("UT", "RequestTimeout", "the deployment did not answer in time", 408),
            _coded(
                400,
                "BadRequest",
                "no host, a host or deployment twice, no known method, or a path with %2f, %5c or"
                " %00",
            ),
            _coded(401, "Unauthorized", "the key or token is missing, wrong or expired"),
            _coded(
                403,
                "Forbidden",
                "not for this caller or its address, or the upgrade is to no websocket",
            ),
            _coded(405, "MethodNotAllowed", "no request of this method is forwarded"),
            _too_large(),
            _coded(429, "TooManyRequests", "more requests than the endpoint allows"),
            _coded(502, "BadGateway", "what the model sent is no valid answer"),
            _coded(503, "ServiceUnavailable", "no instance of the deployment can answer"),
            _mapper(status_filter(404)),  # a direct response of a route; keep its body
            _mapper({"not_health_check_filter": {}}, body_format_override=own_body),
        ],
        "body_format": {
            "text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"},
            "content_type": "application/json",
        },
    }


def _flagged(flag: str, code: str, message: str, status: int) -> Resource:
    found = _mapper(
        {"response_flag_filter": {"flags": [flag]}},
        status_code=status,
        body={"inline_string": error_body(code, message)},
    )
    if flag == "UO":  # else the filter of rates says when
        found["headers_to_add"].append(_RETRY_AFTER)
    return found


def _unanswered_wait() -> Resource:
    """Return the answer to who has waited too long, or would be one too many."""
    message = "no instance has started in time, or too many requests wait for one"
    found = _flagged("UAEX", "ServiceUnavailable", message, 503)
    again = {**_RETRY_AFTER, "append_action": "ADD_IF_ABSENT"}
    return {**found, "headers_to_add": [*found["headers_to_add"], again]}


def _too_large() -> Resource:
    size = "the body is over %METADATA(ROUTE:azml:max_body_mib)% MiB"
    body = {"json_format": {"error": {"code": "PayloadTooLarge", "message": size}}}
    return _mapper(status_filter(413), body_format_override=body)


def _coded(status: int, code: str, message: str) -> Resource:
    return _mapper(status_filter(status), body={"inline_string": error_body(code, message)})


def _mapper(chosen: Resource, **answer: Any) -> Resource:
    return {"filter": chosen, "headers_to_add": [_ROUTER_ERROR, _REQUEST_ID], **answer}
