"""Limits of endpoints -> the configuration of Envoy's filter of rates. Pure.

It is a resource of its own beside the listener and the routes: so what callers have used up is
forgotten only when a limit itself is changed. It comes after keys and tokens, so that nobody
without one uses up what is others'.
"""

import math
from collections.abc import Mapping

from inference_provider.router.resource import API, CLIENT_HEADER, Resource, where_asked
from inference_provider.router.table import Limits, RouterTable

LIMITER = "envoy.filters.http.local_ratelimit"
Rates = Mapping[str, Limits]
"""Endpoint's name -> its limits."""
_KIND = f"{API}extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_SHORTEST_FILL_S = 0.05
"""The least that Envoy takes between two fills of a bucket."""
_KNOWN_CALLERS = 10_000
"""Callers whose use is counted, of all endpoints; beyond that, the oldest count is dropped."""
_ALL = {"numerator": 100, "denominator": "HUNDRED"}
_UNLIMITED = {"max_tokens": 4294967295, "tokens_per_fill": 4294967295, "fill_interval": "60s"}


def rates_of(table: RouterTable) -> dict[str, Limits]:
    """Return the limits of all endpoints that have any."""
    return {one.name: one.limits for one in table.endpoints if one.limits}


def limiter(rates: Rates) -> Resource:
    """Return the configuration of the filter, as a resource that is read from a file."""
    return {
        "@type": f"{API}config.core.v3.TypedExtensionConfig",
        "name": LIMITER,
        "typed_config": limiter_config(rates),
    }


def limiter_config(rates: Rates) -> Resource:
    """Return the configuration of the filter."""
    return {
        "@type": _KIND,
        "stat_prefix": "limits",
        "filter_enabled": {"default_value": _ALL},
        "filter_enforced": {"default_value": _ALL},
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        # whoever meets no limit of its own must not share one with everybody
        "token_bucket": _UNLIMITED,
        "always_consume_default_token_bucket": False,
        "max_dynamic_descriptors": _KNOWN_CALLERS,
        "rate_limits": [{"actions": [_ENDPOINT, *more]} for more in ([], [_CALLER], [_NAMELESS])],
        "descriptors": [one for name, limits in rates.items() for one in _buckets(name, limits)],
    }


def discovered(source: Resource) -> Resource:
    """Return the filter of a listener whose configuration comes from a source."""
    discovery = {"config_source": source, "type_urls": [_KIND]}
    return where_asked({"name": LIMITER, "config_discovery": discovery})


def limiting(limits: Limits | None) -> Resource:
    """Return what the routes of an endpoint say of the filter, which has its limits."""
    asks = {"@type": f"{API}config.route.v3.FilterConfig", "config": {}}
    return {LIMITER: asks} if limits else {}


_ENDPOINT: Resource = {
    "metadata": {
        "descriptor_key": "endpoint",
        "source": "ROUTE_ENTRY",
        "metadata_key": {"key": "azml", "path": [{"key": "endpoint"}]},
    }
}
_CALLER: Resource = {"request_headers": {"header_name": CLIENT_HEADER, "descriptor_key": "caller"}}
# a token may be good for its groups alone, and have no name: all such callers are one
_NAMELESS: Resource = {
    "header_value_match": {
        "descriptor_key": "caller",
        "descriptor_value": " ",  # which no header is
        "expect_match": False,
        "headers": [{"name": CLIENT_HEADER, "present_match": True}],
    }
}


def _buckets(endpoint: str, limits: Limits) -> list[Resource]:
    entry = {"key": "endpoint", "value": endpoint}
    found: list[Resource] = []
    if limits.per_minute:
        found.append({"entries": [entry], "token_bucket": _bucket(limits.per_minute)})
    if limits.per_minute_per_caller:
        # no value: a bucket for each that there is
        entries = [entry, {"key": "caller"}]
        found.append({"entries": entries, "token_bucket": _bucket(limits.per_minute_per_caller)})
    return found


def _bucket(per_minute: int) -> Resource:
    """Return a bucket that fills evenly, and holds what a whole minute allows."""
    at_once = math.ceil(per_minute * _SHORTEST_FILL_S / 60)
    every_s = 60 * at_once / per_minute
    return {
        "max_tokens": per_minute,
        "tokens_per_fill": at_once,
        "fill_interval": f"{every_s:.9f}s",
    }
