"""Rules of where instances may go -> Envoy as their forward proxy: listener, routes, cluster. Pure.

It stands apart from the listener that takes callers' requests. The names that are let through are
routes, a resource of their own: another list counts for the next request of a connection that is
open. Which addresses a name may stand for is looked at where a connection to one is begun, so that
no answer of a name server, the second of two or a later one, leads past it.
"""

from collections.abc import Sequence

from inference_provider.router.egress_answers import NOT_LISTED, egress_answers, egress_log
from inference_provider.router.resource import (
    API,
    MANAGER,
    Resource,
    address,
    name_resolver,
    upstream_http,
)
from inference_provider.router.sources import address_range
from inference_provider.router.table import OutboundEntry, Proxy, RouterTable

ROUTES = "outbound"
CLUSTER = "outbound"
"""A name that no deployment's cluster has, which all have a slash."""
STATS = "egress"
_IDLE_S = 600
"""Time without a byte after which a request or tunnel is ended."""
_TUNNEL_S = 3600
"""Time after which a tunnel is ended: one that sends a byte now and then outlives its rule."""
_CONNECT_S = 5
_OWNER_ALONE = 0o600
NAMES_AT_ONCE = 4096
"""Names with a port that a router knows at once; 4000 take 190 MB."""
_FORGOTTEN_S = 60
"""Time after which a name that nobody asked for is forgotten; tunnels to it go on."""
_LISTENER = f"{API}config.listener.v3.Listener"
_FILTERS = f"{API}extensions.filters"
_PROXY = f"{_FILTERS}.http.dynamic_forward_proxy.v3.FilterConfig"
_PROXY_CLUSTER = f"{API}extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig"
_MATCHER = f"{API}extensions.rbac.matchers.upstream_ip_port.v3.UpstreamIpPortMatcher"
NEVER = (
    "0.0.0.0/8",
    "100.100.100.200/32",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "192.0.0.192/32",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/127",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2002::/16",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
    "fe80::/10",
    "ff00::/8",
)
"""Loopback, what is on the machine's own wire, many at once, IPv4 addresses in another form, and
where clouds tell credentials beside 169.254.169.254: Alibaba, Azure, Oracle, Amazon, Google."""
PRIVATE = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "fc00::/7",
    "fec0::/10",
)
"""Networks that are somebody's own: services of a cluster or a company."""


def is_proxy(table: RouterTable) -> bool:
    """Whether a router lets instances out, to somewhere."""
    return table.proxy is not None and bool(table.outbound)


def egress_listeners(table: RouterTable, route_source: Resource) -> list[Resource]:
    """Return the listener of the forward proxy, or nothing where there are no rules.

    Args:
        table: Only its folder, its proxy, and whether it has rules.
        route_source: `{"rds": …}` to read the routes from a file, `{"route_config": …}` inline.
    """
    if table.proxy is None or not is_proxy(table):
        return []
    return [_listener(table.proxy, _manager(table.folder, route_source))]


def _listener(proxy: Proxy, manager: Resource) -> Resource:
    chain: Resource = {"filters": [{"name": "hcm", "typed_config": manager}]}
    if proxy.clients:  # others are cut off without a word
        ranges = [address_range(one) for one in proxy.clients]
        chain["filter_chain_match"] = {"source_prefix_ranges": ranges}
    return {
        "@type": _LISTENER,
        "name": STATS,
        **_place(proxy),
        "filter_chains": [chain],
    }


def _place(proxy: Proxy) -> Resource:
    if proxy.socket:
        return {"address": {"pipe": {"path": proxy.socket, "mode": _OWNER_ALONE}}}
    # after a restart of the machine a network's address may come later than the router
    return {"address": address(proxy.host, proxy.port), "freebind": True}


def _manager(folder: str, route_source: Resource) -> Resource:
    names = {"@type": _PROXY, "sub_cluster_config": {"cluster_init_timeout": f"{_CONNECT_S}s"}}
    router = {"@type": f"{_FILTERS}.http.router.v3.Router", "suppress_envoy_headers": True}
    return {
        "@type": MANAGER,
        "stat_prefix": STATS,
        "codec_type": "HTTP1",
        # Python before 3.12 asks for a tunnel in that version, and so does pip
        "http_protocol_options": {"accept_http_10": True},
        # without a header of the instance's address
        "use_remote_address": False,
        "skip_xff_append": True,
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "request_headers_timeout": "10s",
        "stream_idle_timeout": f"{_IDLE_S}s",
        "common_http_protocol_options": {"idle_timeout": f"{_IDLE_S}s"},
        "upgrade_configs": [{"upgrade_type": "CONNECT"}],
        "local_reply_config": egress_answers(),
        "access_log": [egress_log(folder)],
        **route_source,
        "http_filters": [
            {"name": "names", "typed_config": names},
            {"name": "router", "typed_config": router},
        ],
    }


def egress_routes(rules: Sequence[OutboundEntry]) -> Resource:
    """Return the routes of the forward proxy: one host for each rule, and one for all others."""
    answer = {"direct_response": {"status": 403, "body": {"inline_string": NOT_LISTED}}}
    return {
        "@type": f"{API}config.route.v3.RouteConfiguration",
        "name": ROUTES,
        "request_headers_to_remove": ["x-forwarded-proto"],
        "virtual_hosts": [
            *map(_host, rules),
            {"name": "*", "domains": ["*"], "routes": [{**one, **answer} for one in _MATCHES]},
        ],
    }


_MATCHES: tuple[Resource, ...] = ({"match": {"connect_matcher": {}}}, {"match": {"prefix": "/"}})


def _host(rule: OutboundEntry) -> Resource:
    # a request without a port is one for 80
    plain = [rule.destination] if 80 in rule.ports else []
    tunnel, request = _MATCHES
    action: Resource = {"cluster": CLUSTER, "timeout": "0s"}
    upgrade = {
        "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
        "max_stream_duration": {"max_stream_duration": f"{_TUNNEL_S}s"},
    }
    private = {"metadata": {"filter_metadata": {"azml": {"private": rule.private}}}}
    return {
        "name": rule.destination,
        "domains": [*plain, *(f"{rule.destination}:{port}" for port in rule.ports)],
        "routes": [
            {**tunnel, "route": {**action, **upgrade}, **private},
            {**request, "route": action, **private},
        ],
    }


def egress_cluster(name_server: str) -> Resource:
    """Return the cluster that finds names, which every router has from its start.

    Envoy keeps one of its own for each name that was asked for, made after this one as it was then:
    so it is the same whatever the rules are. Envoy 1.40 ends when it is removed.

    Args:
        name_server: Address and port of who is asked for names; the machine's own when empty.
    """
    return {
        "name": CLUSTER,
        "connect_timeout": f"{_CONNECT_S}s",
        "lb_policy": "CLUSTER_PROVIDED",
        "dns_lookup_family": "V4_PREFERRED",
        "typed_dns_resolver_config": _resolver(name_server),
        "cluster_type": {
            "name": "envoy.clusters.dynamic_forward_proxy",
            "typed_config": {
                "@type": _PROXY_CLUSTER,
                # each address of a name is a host of its own there, which the guard sees
                "sub_clusters_config": {
                    "lb_policy": "ROUND_ROBIN",
                    "max_sub_clusters": NAMES_AT_ONCE,
                    "sub_cluster_ttl": f"{_FORGOTTEN_S}s",
                },
                # it speaks no TLS itself
                "allow_insecure_cluster_options": True,
            },
        },
        **upstream_http(http_filters=[_guard(), _LAST]),
    }


_LAST: Resource = {
    "name": "codec",
    "typed_config": {"@type": f"{_FILTERS}.http.upstream_codec.v3.UpstreamCodec"},
}


def _resolver(name_server: str) -> Resource:
    # a rule has a full name, and a cluster would look for it under its own first
    full: Resource = {"dns_resolver_options": {"no_default_search_domain": True}}
    if not name_server:
        return name_resolver(**full)
    host, _, port = name_server.rpartition(":")
    return name_resolver(**full, resolvers=[address(host, int(port))])


def _guard() -> Resource:
    """Return what refuses addresses, after one is chosen and before it is connected to."""
    asked = {"filter": "azml", "path": [{"key": "private"}], "value": {"bool_match": True}}
    private = {"sourced_metadata": {"metadata_matcher": asked, "metadata_source": "ROUTE"}}
    policies = {
        "never": {"permissions": list(map(_to, NEVER)), "principals": [{"any": True}]},
        "private": {"permissions": list(map(_to, PRIVATE)), "principals": [{"not_id": private}]},
    }
    rules = {"action": "DENY", "policies": policies}
    return {
        "name": "envoy.filters.http.upstream_rbac",
        "typed_config": {"@type": f"{_FILTERS}.http.rbac.v3.RBAC", "rules": rules},
    }


def _to(text: str) -> Resource:
    typed = {"@type": _MATCHER, "upstream_ip": address_range(text)}
    return {"matcher": {"name": "envoy.rbac.matchers.upstream_ip_port", "typed_config": typed}}
