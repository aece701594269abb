"""Ranges of addresses that may call -> Envoy's filters, and what a route says to them. Pure.

They come before keys and tokens, so that who may not call learns nothing of them. Only the address
of the connection counts: what a caller claims in `x-forwarded-for` is nobody's word. New routes
count for the next request of a connection that is open; a new listener would leave that as it was,
for seconds.
"""

import ipaddress

from inference_provider.router.resource import API, Resource, where_asked

SOURCES = "envoy.filters.http.sources"
_OF_WORKSPACE = "envoy.filters.http.workspace_sources"
_RBAC = f"{API}extensions.filters.http.rbac.v3"


def source_filters() -> list[Resource]:
    """Return the filters, which let everybody pass where no route says who may call."""
    names = (_OF_WORKSPACE, SOURCES)
    found = ({"name": name, "typed_config": {"@type": f"{_RBAC}.RBAC"}} for name in names)
    return [where_asked(one) for one in found]


def of_workspace(ranges: tuple[str, ...]) -> Resource:
    """Return what all paths say of who may call, beside what those of an endpoint say."""
    return {"typed_per_filter_config": {_OF_WORKSPACE: allowing(ranges)}} if ranges else {}


def allowing(ranges: tuple[str, ...]) -> Resource:
    """Return what routes say of who may call."""
    return {"@type": f"{_RBAC}.RBACPerRoute", "rbac": _rules(ranges)}


def _rules(ranges: tuple[str, ...]) -> Resource:
    ids = [{"direct_remote_ip": address_range(one)} for one in ranges]
    policy = {"permissions": [{"any": True}], "principals": ids}
    return {"rules": {"action": "ALLOW", "policies": {"sources": policy}}}


def address_range(text: str) -> Resource:
    """Return addresses in CIDR notation, or one, in Envoy's form."""
    found = ipaddress.ip_network(text, strict=False)
    return {"address_prefix": str(found.network_address), "prefix_len": found.prefixlen}
