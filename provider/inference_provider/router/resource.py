"""What modules that write Envoy's resources share: their type, and names of types and filters."""

from pathlib import PurePosixPath
from typing import Any

Resource = dict[str, Any]

API = "type.googleapis.com/envoy."
MANAGER = f"{API}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
API_KEY_AUTH = "envoy.filters.http.api_key_auth"
JWT_AUTHN = "envoy.filters.http.jwt_authn"
IDENTITY_PROVIDER = f"{JWT_AUTHN}.identity_provider"
"""A second filter of the same type: a change of the first one must not make it fetch keys."""
RBAC = "envoy.filters.http.rbac"
CORS = "envoy.filters.http.cors"
DEPLOYMENT_HEADER = "azureml-model-deployment"
CLIENT_HEADER = "x-azml-client"
ROUTER_ERROR_HEADER = "x-azml-error"


def where_asked(one: Resource) -> Resource:
    """Return a filter of the listener as one that only requests meet whose route configures it.

    Others pay nothing that could be measured for it. It stays in the listener though no route may
    ask for it: so one that does is never served without it, on no connection that was open before,
    and none is closed for a filter that comes or goes.
    """
    return {**one, "disabled": True}


def address(host: str, port: int) -> Resource:
    """Return a TCP address."""
    return {"socket_address": {"address": host, "port_value": port}}


def upstream_http(**settings: Any) -> Resource:
    """Return what a cluster says of HTTP to its servers.

    Args:
        settings: Fields of Envoy's `HttpProtocolOptions`.
    """
    name = "extensions.upstreams.http.v3.HttpProtocolOptions"
    typed = {"@type": f"{API}{name}", "explicit_http_config": {"http_protocol_options": {}}}
    return {"typed_extension_protocol_options": {f"envoy.{name}": {**typed, **settings}}}


def asked_beside(name: str, folder: str, socket: str, **settings: Any) -> Resource:
    """Return the cluster of a process beside Envoy, which answers over a Unix socket.

    Args:
        name: Without a slash, which the name of each deployment's cluster has.
        folder: The router's.
        socket: Name of the socket in it.
        settings: Further fields of the cluster.
    """
    pipe = {"address": {"pipe": {"path": str(PurePosixPath(folder) / socket)}}}
    return {
        "@type": f"{API}config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        # each connection keeps a file open at both ends, and after a crowd there are many
        **upstream_http(common_http_protocol_options={"idle_timeout": "5s"}),
        **settings,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": pipe}]}],
        },
    }


def name_resolver(**more: Any) -> Resource:
    """Return how names of servers are found, in at most four seconds.

    Args:
        more: Further fields of the resolver.
    """
    kind = f"{API}extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
    # a name server that does not answer must not hold anything up
    typed = {"@type": kind, "query_timeout_seconds": 2, "query_tries": 2, **more}
    return {"name": "envoy.network.dns_resolver.cares", "typed_config": typed}


def seconds(milliseconds: int | float) -> str:
    """Format a duration for protobuf's JSON: `1.500s`."""
    return f"{milliseconds / 1000:.3f}s"
