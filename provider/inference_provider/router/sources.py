"""Ranges of addresses that may call -> Envoy's filters, and what a route says to them. Pure.

It comes before keys and tokens, so that who may not call learns nothing of them. Only the address
of the connection counts: what a caller claims in `x-forwarded-for` is nobody's word.
"""

import ipaddress
from typing import Any

from inference_provider.router.table import RouterTable

Resource = dict[str, Any]
SOURCES = "envoy.filters.http.sources"
_OF_WORKSPACE = "envoy.filters.http.workspace_sources"
_RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3"


def restricted(table: RouterTable) -> tuple[bool, bool]:
    """Whether the workspace, and whether any endpoint of it, names who may call."""
    return bool(table.sources), any(one.sources for one in table.endpoints)


def source_filters(table: RouterTable) -> list[Resource]:
    """Return the filters that ask for a source which is allowed; none where all are.

    Those of the workspace count for every path. A route names those of its endpoint.
    """
    workspace, endpoints = restricted(table)
    of_workspace = {"@type": f"{_RBAC}.RBAC", **_rules(table.sources)}
    # without rules everything passes: an endpoint that names none
    of_endpoints = {"name": SOURCES, "typed_config": {"@type": f"{_RBAC}.RBAC"}}
    found = [{"name": _OF_WORKSPACE, "typed_config": of_workspace}] if workspace else []
    return [*found, of_endpoints] if endpoints else found


def allowing(ranges: tuple[str, ...]) -> Resource:
    """Return what the routes of an endpoint say of who may call it."""
    return {"@type": f"{_RBAC}.RBACPerRoute", "rbac": _rules(ranges)}


def _rules(ranges: tuple[str, ...]) -> Resource:
    ids = [{"direct_remote_ip": _range(one)} for one in ranges]
    policy = {"permissions": [{"any": True}], "principals": ids}
    return {"rules": {"action": "ALLOW", "policies": {"sources": policy}}}


def _range(text: str) -> Resource:
    found = ipaddress.ip_network(text, strict=False)
    return {"address_prefix": str(found.network_address), "prefix_len": found.prefixlen}
