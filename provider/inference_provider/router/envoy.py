"""RouterTable -> Envoy's resources as plain dicts: routes, the runtime layer. Pure.

Clusters are in `clusters.py`, the listener and the bootstrap in `listener.py`; `render.py` makes
versions and files. Dicts instead of protobuf keep rendering 1,000 endpoints under a second.
"""

import re
from collections.abc import Mapping

from inference_provider.errors import RouterRejected
from inference_provider.router.access_rule import access_rule
from inference_provider.router.holding import hold
from inference_provider.router.limits import limiting
from inference_provider.router.resource import (
    API,
    API_KEY_AUTH,
    CLIENT_HEADER,
    CORS,
    DEPLOYMENT_HEADER,
    IDENTITY_PROVIDER,
    JWT_AUTHN,
    RBAC,
    ROUTER_ERROR_HEADER,
    Resource,
    seconds,
)
from inference_provider.router.sizes import USUAL_MIB, size_of
from inference_provider.router.sources import SOURCES, allowing, of_workspace
from inference_provider.router.table import (
    Cors,
    DeploymentEntry,
    EndpointEntry,
    RouterTable,
    Scorers,
)
from inference_provider.router.traces import traces_runtime

MIRROR_SUFFIX = "/mirror"
WEIGHT_PREFIX = "w."
MIRROR_PREFIX = "mirror."
_OFF = {"@type": f"{API}config.route.v3.FilterConfig", "disabled": True}
_PREVIOUS_HOSTS = {
    "name": "previous_hosts",
    "typed_config": {
        "@type": f"{API}extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}


def error_body(code: str, message: str) -> str:
    """Return the JSON body of an error that the router itself answers."""
    return '{"error":{"code":"%s","message":"%s"}}' % (code, message)  # noqa: UP031


def routes(table: RouterTable) -> Resource:
    """Return the whole route table; its weights are defaults that the runtime layer overrides."""
    by_path = {path(one): endpoint_action(one) for one in table.endpoints}
    return route_table(by_path, table.sources)


def route_table(by_path: Mapping[str, Resource], sources: tuple[str, ...]) -> Resource:
    """Return the route table with its endpoints' actions.

    Args:
        by_path: What `endpoint_action` returns, by `path`.
        sources: Ranges of addresses that may call any of them; all when empty.
    """
    host: Resource = {"name": "paths", "domains": ["*"], **of_workspace(sources)}
    if by_path:
        host["matcher"] = _path_trie(by_path)
    else:  # Envoy refuses an empty trie
        host["routes"] = [_unknown_endpoint()]
    return {
        "@type": f"{API}config.route.v3.RouteConfiguration",
        "name": "routes",
        # so that no model can pretend to be the router
        "response_headers_to_remove": [ROUTER_ERROR_HEADER],
        "virtual_hosts": [host],
    }


def path(endpoint: EndpointEntry) -> str:
    """Return the prefix of an endpoint's paths."""
    return f"/endpoints/{endpoint.name}/"


def endpoint_action(endpoint: EndpointEntry) -> Resource:
    """Return the action for requests under an endpoint's path: its routes, in order."""
    return {
        "action": {
            "name": endpoint.name,
            "typed_config": {
                "@type": f"{API}config.route.v3.RouteList",
                "routes": _endpoint_routes(endpoint),
            },
        }
    }


def runtime_layer(table: RouterTable) -> dict[str, int]:
    """Return every weight and every mirror percentage.

    Always the full set: for a missing value Envoy uses the route table's default.

    Raises:
        RouterRejected: A weight or mirror names a deployment that the endpoint does not have.
    """
    layer = traces_runtime(table)
    for endpoint in table.endpoints:
        _check_names(endpoint)
        weights, mirror = endpoint.weights, endpoint.mirror
        for deployment in endpoint.deployments:
            name = f"{endpoint.name}/{deployment.name}"
            layer[WEIGHT_PREFIX + name] = weights.get(deployment.name, 0)
            if deployment.name in mirror:
                layer[MIRROR_PREFIX + name] = mirror[deployment.name]
    return layer


def _check_names(endpoint: EndpointEntry) -> None:
    """Refuse unknown deployments: inside a trie Envoy does not check that a cluster exists."""
    known = {deployment.name for deployment in endpoint.deployments}
    for kind, shares in (("weight", endpoint.weights), ("mirror", endpoint.mirror)):
        if shares.keys() <= known:
            continue
        for name in sorted(shares.keys() - known):
            if shares[name]:
                raise RouterRejected(
                    f"endpoint '{endpoint.name}' gives a {kind} to '{name}', which it does not have"
                )


def _path_trie(by_path: Mapping[str, Resource]) -> Resource:
    return {
        "on_no_match": {"action": {"name": "unknown", "typed_config": _unknown_endpoint(True)}},
        "matcher_tree": {
            "input": {
                "name": "path",
                "typed_config": {
                    "@type": f"{API}type.matcher.v3.HttpRequestHeaderMatchInput",
                    "header_name": ":path",
                },
            },
            "prefix_match_map": {"map": by_path},
        },
    }


def _unknown_endpoint(typed: bool = False) -> Resource:
    route = {
        "match": {"prefix": "/"},
        "metadata": _metadata("-"),
        "direct_response": _not_found("EndpointNotFound", "no endpoint has this path"),
        "typed_per_filter_config": {API_KEY_AUTH: _OFF},
    }
    return {"@type": f"{API}config.route.v3.Route", **route} if typed else route


def _not_found(code: str, message: str) -> Resource:
    return {"status": 404, "body": {"inline_string": error_body(code, message)}}


def _metadata(endpoint: str, max_body_mib: int = USUAL_MIB) -> Resource:
    found = {"endpoint": endpoint, "max_body_mib": str(max_body_mib)}
    return {"filter_metadata": {"azml": found}}


def _endpoint_routes(endpoint: EndpointEntry) -> list[Resource]:
    """Return the routes of one endpoint, first match first: pins, unknown pin, split."""
    common = _common(endpoint, endpoint.scorers)
    found: list[Resource] = []
    for deployment in endpoint.deployments:
        more = endpoint.deployment_scorers.get(deployment.name)
        own = _common(endpoint, endpoint.scorers + more) if more else common
        found += _pin_routes(endpoint, deployment, own)
    pinned = [{"name": DEPLOYMENT_HEADER, "present_match": True}]
    found.append(
        {
            "name": f"{endpoint.name}/unknown-deployment",
            "match": {"prefix": path(endpoint), "headers": pinned},
            "direct_response": _not_found(
                "DeploymentNotFound", "the endpoint has no deployment of this name"
            ),
            **common,
        }
    )
    return found + _split_routes(endpoint, common)


def _common(endpoint: EndpointEntry, scorers: Scorers) -> Resource:
    """Return what routes of an endpoint have in common that the same callers may use."""
    filters = _auth(endpoint, scorers) | ({CORS: _cors(endpoint.cors)} if endpoint.cors else {})
    filters |= {SOURCES: allowing(endpoint.sources)} if endpoint.sources else {}
    filters |= size_of(endpoint) | limiting(endpoint.limits)
    about = _metadata(endpoint.name, endpoint.max_body_mib)
    return {"metadata": about, "typed_per_filter_config": filters}


def _auth(endpoint: EndpointEntry, scorers: Scorers) -> Resource:
    if endpoint.provider:
        return {
            API_KEY_AUTH: _OFF,
            IDENTITY_PROVIDER: _required(endpoint.provider.name),
            RBAC: access_rule(endpoint.provider, scorers),
        }
    if endpoint.tokens:
        return {API_KEY_AUTH: _OFF, JWT_AUTHN: _required(endpoint.name)}
    keys = endpoint.keys if endpoint.auth_mode == "key" else ()
    values = [key.get_secret_value() for key in keys]
    named = dict(zip(values, ("primary", "secondary"), strict=False))  # or there are no keys at all
    return {
        API_KEY_AUTH: {
            "@type": f"{API}extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute",
            "credentials": [{"key": key, "client": client} for key, client in named.items() if key],
            # not inherited from the listener; without it the key would reach the model
            "forwarding": {"header": CLIENT_HEADER, "hide_credentials": True},
        },
    }


def _required(check: str) -> Resource:
    kind = f"{API}extensions.filters.http.jwt_authn.v3.PerRouteConfig"
    return {"@type": kind, "requirement_name": check}


def _cors(cors: Cors) -> Resource:
    """Return what the router says of pages of other sites, before it asks for a key."""
    return {
        "@type": f"{API}extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [_origin(one) for one in cors.origins],
        "allow_methods": ", ".join(cors.methods),
        "allow_headers": ", ".join(cors.headers),
        "expose_headers": ", ".join(cors.expose_headers),
        "max_age": str(cors.max_age_s),
        "allow_credentials": cors.credentials,
    }


def _origin(text: str) -> Resource:
    if "*" not in text:
        return {"exact": text}
    before, after = map(re.escape, text.split("*"))
    # as whole names, so that https://*.example.org is not https://example.org.evil.test
    names = r"[a-z0-9-]+(\.[a-z0-9-]+)*" if before else ".*"
    return {"safe_regex": {"google_re2": {}, "regex": f"{before}{names}{after}"}}


def _pin_routes(
    endpoint: EndpointEntry, deployment: DeploymentEntry, common: Resource
) -> list[Resource]:
    pin = {"name": DEPLOYMENT_HEADER, "string_match": {"exact": deployment.name}}
    cluster = {"cluster": f"{endpoint.name}/{deployment.name}"}
    rest = {**common, "response_headers_to_add": _deployment_header(deployment.name)}
    if held := hold(endpoint.name, deployment):
        filters = {**common["typed_per_filter_config"], **held}
        rest = {**rest, "typed_per_filter_config": filters}
    return _matched(
        f"{endpoint.name}/{deployment.name}",
        {**cluster, **_limits((deployment,))},
        rest,
        deployment.scoring_path,
        pin,
    )


def _split_routes(endpoint: EndpointEntry, common: Resource) -> list[Resource]:
    name = f"{endpoint.name}/split"
    if not any(endpoint.weights.values()):
        nobody = _not_found("NoTraffic", "no deployment has positive weight")
        match = {"prefix": path(endpoint)}
        return [{"name": name, "match": match, "direct_response": nobody, **common}]
    action = {"weighted_clusters": _weighted(endpoint), **_limits(endpoint.deployments)}
    if endpoint.mirror:
        action["request_mirror_policies"] = _mirrors(endpoint)
    paths = {deployment.scoring_path for deployment in endpoint.deployments}
    scoring_path = paths.pop() if len(paths) == 1 else "/score"
    return _matched(name, action, common, scoring_path)


def _matched(
    name: str,
    action: Resource,
    rest: Resource,
    scoring_path: str,
    *headers: Resource,
) -> list[Resource]:
    """Return the route for every sub-path, after one for `/score` where that is rewritten."""
    endpoint = name.partition("/")[0]
    only = {"headers": list(headers)} if headers else {}
    found = [
        {
            "name": name,
            "match": {"prefix": f"/endpoints/{endpoint}/", **only},
            "route": {"prefix_rewrite": "/", **action},
            **rest,
        }
    ]
    if scoring_path != "/score":
        score = {
            "name": f"{name}/score",
            "match": {"path": f"/endpoints/{endpoint}/score", **only},
            "route": {"prefix_rewrite": scoring_path, **action},
            **rest,
        }
        found.insert(0, score)
    return found


def _deployment_header(name: str) -> list[Resource]:
    header = {"key": DEPLOYMENT_HEADER, "value": name}
    return [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]


def _weighted(endpoint: EndpointEntry) -> Resource:
    return {
        "runtime_key_prefix": WEIGHT_PREFIX.removesuffix("."),
        "clusters": [_part(endpoint.name, one) for one in endpoint.deployments],
    }


def _part(endpoint: str, deployment: DeploymentEntry) -> Resource:
    held = hold(endpoint, deployment)
    return {
        "name": f"{endpoint}/{deployment.name}",
        "weight": 1,
        "response_headers_to_add": _deployment_header(deployment.name),
        **({"typed_per_filter_config": held} if held else {}),
    }


def _mirrors(endpoint: EndpointEntry) -> list[Resource]:
    return [
        {
            "cluster": f"{endpoint.name}/{name}{MIRROR_SUFFIX}",
            "disable_shadow_host_suffix_append": True,
            "runtime_fraction": {
                "default_value": {"numerator": 0, "denominator": "HUNDRED"},
                "runtime_key": f"{MIRROR_PREFIX}{endpoint.name}/{name}",
            },
        }
        for name in sorted(endpoint.mirror)
    ]


def _limits(deployments: tuple[DeploymentEntry, ...]) -> Resource:
    """Return timeout and retries; a split has the longest timeout of its deployments."""
    retry: Resource = {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 2,
        "host_selection_retry_max_attempts": 5,
        "retry_host_predicate": [_PREVIOUS_HOSTS],
    }
    if all(deployment.retry_on_503 for deployment in deployments):
        retry["retry_on"] += ",retriable-status-codes"
        retry["retriable_status_codes"] = [503]
    longest_ms = max(deployment.timeout_ms for deployment in deployments)
    return {"timeout": seconds(longest_ms), "retry_policy": retry}
