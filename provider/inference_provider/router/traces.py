"""Where spans go -> Envoy's own OpenTelemetry tracer, and the cluster of its collector. Pure.

A span of a request says who was asked and how it ended: no query, key or body. The tracer hands on
`traceparent` with its own span in it; without a tracer the header is passed on as it came.
"""

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit

from inference_provider.router.resource import API, Resource, address, name_resolver, upstream_http
from inference_provider.router.table import RouterTable, Traces

CLUSTER = "traces"
"""A name that no deployment's cluster has, which all have a slash."""
_PATH = "/v1/traces"
_SAMPLERS = "extensions.tracers.opentelemetry.samplers"
_PORTS = {"http": 80, "https": 443}
HEALTHY = f"cluster.{CLUSTER}.membership_healthy"
"""A number of the router: how many collectors can be connected to."""
_CONNECTS: Resource = {
    "timeout": "2s",
    "interval": "10s",
    "no_traffic_interval": "10s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
    "tcp_health_check": {},
}
_TEXT_LENGTH = 512
_AT_ONCE = 16
"""Requests to the collector; what is over that is dropped, since it does not keep up."""


def tracing(table: RouterTable) -> Resource:
    """Return what a listener says of spans; nothing where they go nowhere."""
    traces = table.traces
    if traces is None:
        return {}
    told = {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": _tracer(traces)},
        "client_sampling": {"value": 0},  # of x-client-trace-id, which anybody may send
        "operation": "%REQ(:METHOD):16% %METADATA(ROUTE:azml:endpoint)%",
        "max_path_tag_length": 0,  # http.url would have the query
        "custom_tags": [
            _tag("url.path", f"%PATH(NQ:ORIG_OR_PATH):{_TEXT_LENGTH}%"),
            _tag("azureml.endpoint", "%METADATA(ROUTE:azml:endpoint)%"),
            _tag("azureml.deployment", "%CLUSTER_METADATA(azml:deployment)%"),
            _tag("azureml.model_status", "%RESP(MS-AZUREML-MODEL-ERROR-STATUSCODE):3%"),
        ],
    }
    return {"tracing": told, "request_id_extension": _as_it_came()}


def traces_runtime(table: RouterTable) -> dict[str, int]:
    """Return what the runtime layer says of spans: by default each five are a request."""
    return {"tracing.opentelemetry.min_flush_spans": 200} if table.traces else {}


def traces_clusters(table: RouterTable) -> list[Resource]:
    """Return the cluster of the collector; none where spans go nowhere."""
    if table.traces is None:
        return []
    parts = urlsplit(table.traces.url)
    host = parts.hostname or ""
    place = address(host, parts.port or _PORTS[parts.scheme])
    return [
        {
            "@type": f"{API}config.cluster.v3.Cluster",
            "name": CLUSTER,
            "connect_timeout": "5s",
            **_found(host),
            **upstream_http(common_http_protocol_options={"idle_timeout": "30s"}),
            **(_tls(host, table.traces.ca_file) if parts.scheme == "https" else {}),
            # what the status goes by; while there is none, spans are dropped at once
            "health_checks": [_CONNECTS],
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
            "circuit_breakers": {"thresholds": [{"max_requests": _AT_ONCE}]},
            "load_assignment": {
                "cluster_name": CLUSTER,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": place}}]}],
            },
        }
    ]


def _found(host: str) -> Resource:
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return {"type": "STATIC"}
    # a name that nobody knows must not hold up the deployments that come with it
    return {
        "type": "STRICT_DNS",
        "wait_for_warm_on_init": False,
        "typed_dns_resolver_config": name_resolver(),
    }


def _tracer(traces: Traces) -> Resource:
    parts = urlsplit(traces.url)
    path = parts.path if parts.path.strip("/") else _PATH
    host = f"{parts.scheme}://{parts.netloc}"
    uri = {"uri": host + path, "cluster": CLUSTER, "timeout": "10s"}
    return {
        "@type": f"{API}config.trace.v3.OpenTelemetryConfig",
        "http_service": {"http_uri": uri},
        "service_name": "inference",
        "sampler": _sampler(traces.sample_percent),
        "resource_detectors": [_instance(traces.workspace)],
    }


def _instance(workspace: str) -> Resource:
    kind = (
        "extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig"
    )
    return {
        "name": "envoy.tracers.opentelemetry.resource_detectors.static_config",
        "typed_config": {
            "@type": f"{API}{kind}",
            "attributes": {"service.instance.id": workspace},
        },
    }


def _sampler(percent: float) -> Resource:
    ratio = {"numerator": round(percent * 10_000), "denominator": "MILLION"}
    without_parent = _typed("TraceIdRatioBased", sampling_percentage=ratio)
    return _typed("ParentBased", wrapped_sampler=without_parent)


def _typed(kind: str, **settings: Resource) -> Resource:
    typed = {"@type": f"{API}{_SAMPLERS}.v3.{kind}SamplerConfig", **settings}
    return {"name": kind, "typed_config": typed}


def _as_it_came() -> Resource:
    """Return the extension of request ids that writes nothing of traces into a caller's own.

    Nor does it decide by them: an id that is no UUID would have no trace.
    """
    kind = f"{API}extensions.request_id.uuid.v3.UuidRequestIdConfig"
    ways = {"pack_trace_reason": False, "use_request_id_for_trace_sampling": False}
    return {"typed_config": {"@type": kind, **ways}}


def _tag(name: str, value: str) -> Resource:
    return {"tag": name, "value": value}


def _tls(host: str, ca_file: str) -> Resource:
    checked = {"trusted_ca": {"filename": ca_file}, "match_typed_subject_alt_names": [_san(host)]}
    kind = f"{API}extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    context = {"@type": kind, "sni": host, "common_tls_context": {"validation_context": checked}}
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}}


def _san(host: str) -> Resource:
    kind = "DNS"
    with suppress(ValueError):
        ipaddress.ip_address(host)
        kind = "IP_ADDRESS"
    return {"san_type": kind, "matcher": {"exact": host}}
