"""Checks of tokens of an identity provider -> Envoy's filter and clusters for them. Pure.

The filter is a resource of its own, apart from that of the workspace's own tokens: with each change
of it Envoy fetches a provider's keys again, and forgets those of before. Which of the callers may
score is in `access_rule.py`.
"""

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from inference_provider.router.access_rule import CLAIMS, HEADER
from inference_provider.router.resource import (
    API,
    CLIENT_HEADER,
    IDENTITY_PROVIDER,
    Resource,
    address,
    name_resolver,
    seconds,
)
from inference_provider.router.table import ProviderCheck, RouterTable
from inference_provider.router.tokens import CLOCK_SKEW_S, FROM_HEADERS, KIND

ProviderChecks = Mapping[str, ProviderCheck]
"""By the check's name."""
_FETCH_TIMEOUT_MS = 5000
_FETCH_AGAIN_MS = 1000
"""After a fetch that failed."""
_UNHEALTHY_MS = 5000
"""Between two questions whether a server answers again that did not."""
_KNOWN_TOKENS = 1000
"""Tokens per worker whose signature is not computed again."""
_LONGEST_KNOWN_BYTES = 16384
"""A token that names many groups is longer than the 4 KiB that Envoy remembers of itself."""
_FETCHES = "http.ingress.jwt_authn.jwks_fetch_"
_CLUSTERS = "identity-provider-"
FETCH_STATS = rf"^({re.escape(_FETCHES)}|cluster\.{_CLUSTERS}[0-9a-f]+\.membership_healthy$)"
"""Names of the statistics that `fetch_fault` reads."""
_TLS = f"{API}extensions.transport_sockets.tls.v3.UpstreamTlsContext"


def provider_checks(table: RouterTable) -> dict[str, ProviderCheck]:
    """Return the checks of all endpoints that take tokens of an identity provider."""
    return {one.provider.name: one.provider for one in table.endpoints if one.provider}


def provider_filter(checks: ProviderChecks) -> Resource:
    """Return the configuration of the filter, as a resource that is read from a file."""
    return {
        "@type": f"{API}config.core.v3.TypedExtensionConfig",
        "name": IDENTITY_PROVIDER,
        "typed_config": provider_config(checks),
    }


def provider_config(checks: ProviderChecks) -> Resource:
    """Return the configuration of the filter."""
    return {
        "@type": KIND,
        "providers": {name: _provider(check) for name, check in checks.items()},
        "requirement_map": {name: {"provider_name": name} for name in checks},
        "strip_failure_response": True,
    }


def _provider(check: ProviderCheck) -> Resource:
    return {
        "issuer": check.issuer,
        "audiences": list(check.audiences),
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW_S,
        **_keys(check),
        "from_headers": FROM_HEADERS,
        "claim_to_headers": [{"header_name": CLIENT_HEADER, "claim_name": check.principal_claim}],
        "payload_in_metadata": CLAIMS,
        "header_in_metadata": HEADER,
    }


def _keys(check: ProviderCheck) -> Resource:
    if not check.jwks_uri:
        # not where keys are fetched: Envoy would go on taking tokens of a key that it forgot
        known = {"jwt_cache_size": _KNOWN_TOKENS, "jwt_max_token_size": _LONGEST_KNOWN_BYTES}
        return {"local_jwks": {"inline_string": check.jwks}, "jwt_cache_config": known}
    uri = {
        "uri": check.jwks_uri,
        "cluster": _cluster_name(check.jwks_uri),
        "timeout": seconds(_FETCH_TIMEOUT_MS),
    }
    # beside requests: those find the keys that were fetched last, also while a fetch fails
    ahead = {"fast_listener": False, "failed_refetch_duration": seconds(_FETCH_AGAIN_MS)}
    refresh = seconds(check.refresh_s * 1000)
    return {"remote_jwks": {"http_uri": uri, "cache_duration": refresh, "async_fetch": ahead}}


def provider_clusters(table: RouterTable) -> list[Resource]:
    """Return where the router fetches keys, a cluster for each address."""
    fetched = {one.jwks_uri: one for one in provider_checks(table).values() if one.jwks_uri}
    return [_cluster(one, table.ca_file) for one in fetched.values()]


def _cluster_name(uri: str) -> str:
    """Return a name that no deployment's cluster has, which all have a slash."""
    return f"{_CLUSTERS}{hashlib.sha256(uri.encode()).hexdigest()[:12]}"


def _cluster(check: ProviderCheck, ca_file: str) -> Resource:
    name, uri = _cluster_name(check.jwks_uri), urlsplit(check.jwks_uri)
    host, secure = uri.hostname or "", uri.scheme == "https"
    to = {"endpoint": {"address": address(host, uri.port or (443 if secure else 80))}}
    return {
        "@type": f"{API}config.cluster.v3.Cluster",
        "name": name,
        **_found_by(host),
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [to]}]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # says whether the keys can be fetched now; counters of fetches do not
        "health_checks": [_health_check(check, uri)],
        **({"transport_socket": _tls(host, ca_file)} if secure else {}),
    }


def _found_by(host: str) -> Resource:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        family = {"dns_lookup_family": "V4_PREFERRED", "typed_dns_resolver_config": name_resolver()}
        return {"type": "STRICT_DNS", **family}
    return {"type": "STATIC"}


def _health_check(check: ProviderCheck, uri: SplitResult) -> Resource:
    interval = seconds(check.refresh_s * 1000)
    path = (uri.path or "/") + (f"?{uri.query}" if uri.query else "")
    return {
        "timeout": seconds(_FETCH_TIMEOUT_MS),
        "interval": interval,
        "no_traffic_interval": interval,
        "no_traffic_healthy_interval": interval,
        "unhealthy_interval": seconds(min(_UNHEALTHY_MS, check.refresh_s * 1000)),
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        "http_health_check": {"path": path, "host": uri.netloc},
    }


def _tls(host: str, ca_file: str) -> Resource:
    try:
        ipaddress.ip_address(host)
        named, sni = "IP_ADDRESS", {}
    except ValueError:
        named, sni = "DNS", {"sni": host}
    names = [{"san_type": named, "matcher": {"exact": host}}]
    trusted = {"trusted_ca": {"filename": ca_file}, "match_typed_subject_alt_names": names}
    common = {"validation_context": trusted}
    return {
        "name": "tls",
        "typed_config": {"@type": _TLS, **sni, "common_tls_context": common},
    }


def fetch_fault(checks: ProviderChecks, statistics: Mapping[str, Any]) -> str:
    """Say which keys cannot be fetched now, and whom the router lets in meanwhile.

    Args:
        checks: Those in force.
        statistics: Of the router, by name.
    """
    fetched = int(statistics.get(f"{_FETCHES}success", 0))
    failed = int(statistics.get(f"{_FETCHES}failed", 0))
    told = []
    for uri in sorted({one.jwks_uri for one in checks.values() if one.jwks_uri}):
        answers = int(statistics.get(f"cluster.{_cluster_name(uri)}.membership_healthy", 0))
        if not answers and fetched:
            told.append(f"keys cannot be fetched from {uri}: those fetched last stay in force")
        elif not answers or (failed and not fetched):
            wrong = "answers no keys" if answers else "does not answer"
            told.append(f"{uri} {wrong}, and none were fetched yet: its tokens are refused")
    return "; ".join(told)
