"""Ranges of addresses that may call -> Envoy's filters, and what a route says to them. Pure.

They come before keys and tokens, so that who may not call learns nothing of them. The address of
the connection counts: what a caller claims in `x-forwarded-for` is nobody's word. Behind proxies it
is the word of the first of them, and then nobody else may connect, which the listener itself says:
so there is no moment at which it reads the header and takes it from anybody. New routes count for
the next request of a connection that is open; a new listener would leave that as it was, for
seconds.
"""

import ipaddress

from inference_provider.router.resource import API, Resource, where_asked
from inference_provider.router.table import RouterTable
from inference_provider.spec.sources import meant_by

SOURCES = "envoy.filters.http.sources"
_OF_WORKSPACE = "envoy.filters.http.workspace_sources"
_PROXIES = "envoy.filters.http.trusted_proxies"
_RBAC = f"{API}extensions.filters.http.rbac.v3"


def source_filters(table: RouterTable) -> list[Resource]:
    """Return the filters, which let everybody pass where no route says who may call.

    Args:
        table: Only its proxies are used, of which the first filter is.
    """
    names = (_OF_WORKSPACE, SOURCES)
    found = ({"name": name, "typed_config": {"@type": f"{_RBAC}.RBAC"}} for name in names)
    asked = [where_asked(one) for one in found]
    if not table.trusted_hops:
        return asked
    # with none at all nobody may connect, as nobody is trusted
    ids = [{"direct_remote_ip": _callers(one)} for one in table.trusted_proxies]
    rules = _rules(ids or [{"not_id": {"any": True}}])
    return [{"name": _PROXIES, "typed_config": {"@type": f"{_RBAC}.RBAC", **rules}}, *asked]


def of_workspace(ranges: tuple[str, ...]) -> Resource:
    """Return what all paths say of who may call, beside what those of an endpoint say."""
    return {"typed_per_filter_config": {_OF_WORKSPACE: allowing(ranges)}} if ranges else {}


def allowing(ranges: tuple[str, ...]) -> Resource:
    """Return what routes say of who may call."""
    ids = [{"remote_ip": _callers(one)} for one in ranges]
    return {"@type": f"{_RBAC}.RBACPerRoute", "rbac": _rules(ids)}


def _rules(ids: list[Resource]) -> Resource:
    policy = {"permissions": [{"any": True}], "principals": ids}
    return {"rules": {"action": "ALLOW", "policies": {"sources": policy}}}


def _callers(written: str) -> Resource:
    """Return a range of callers, whose addresses the router sees as those of IPv4 if they are."""
    return address_range(str(meant_by(written)))


def address_range(text: str) -> Resource:
    """Return addresses in CIDR notation, or one, in Envoy's form."""
    found = ipaddress.ip_network(text, strict=False)
    return {"address_prefix": str(found.network_address), "prefix_len": found.prefixlen}
