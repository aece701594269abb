"""Largest body of a request -> Envoy's filters for it, and what a route says to them. Pure.

Envoy's filter counts bytes as they pass, and keeps none for that. It can be configured in the
listener alone: a route switches it off and chooses another one, made for its size by Envoy's
composite filter, so that an endpoint's size needs no new listener.
"""

from inference_provider.router.resource import API, Resource, where_asked
from inference_provider.router.table import EndpointEntry

MIB = 2**20
USUAL_MIB = 100
"""What most endpoints take, and what has no endpoint."""
_FILTERS = f"{API}extensions.filters"
_USUAL, _OWN = "envoy.filters.http.body_size_limit", "envoy.filters.http.own_body_size_limit"
_MATCHING = f"{API}extensions.common.matching.v3.ExtensionWithMatcher"
_OFF = {"@type": f"{API}config.route.v3.FilterConfig", "disabled": True}


def size_filters() -> list[Resource]:
    """Return the filters of a listener."""
    composite = f"{_FILTERS}.http.composite.v3.Composite"
    own = {
        "@type": _MATCHING,
        "extension_config": {"name": "composite", "typed_config": {"@type": composite}},
        "xds_matcher": _always(USUAL_MIB),
    }
    return [_limit(_USUAL, USUAL_MIB), where_asked({"name": _OWN, "typed_config": own})]


def size_of(endpoint: EndpointEntry) -> Resource:
    """Return what the routes of an endpoint say to them."""
    if endpoint.max_body_mib == USUAL_MIB:
        return {}
    own = {"@type": f"{_MATCHING}PerRoute", "xds_matcher": _always(endpoint.max_body_mib)}
    return {_USUAL: _OFF, _OWN: own}


def _always(size_mib: int) -> Resource:
    kind = f"{_FILTERS}.http.composite.v3.ExecuteFilterAction"
    run = {"@type": kind, "typed_config": _limit("limit", size_mib)}
    return {"on_no_match": {"action": {"name": "limit", "typed_config": run}}}


def _limit(name: str, size_mib: int) -> Resource:
    kind = f"{_FILTERS}.http.body_size_limit.v3.BodySizeLimit"
    return {"name": name, "typed_config": {"@type": kind, "max_request_bytes": size_mib * MIB}}
