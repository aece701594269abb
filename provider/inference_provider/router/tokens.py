"""Token checks of endpoints -> the configuration of Envoy's token filter. Pure.

It is a resource of its own beside the listener: so a rotation of signing keys closes no connection.
A route names the requirement of its endpoint.
"""

from collections.abc import Mapping

from inference_provider.router.resource import API, CLIENT_HEADER, JWT_AUTHN, Resource, where_asked
from inference_provider.router.table import RouterTable, TokenCheck

Checks = Mapping[str, TokenCheck]
"""Endpoint's name -> which tokens it takes."""
KIND = f"{API}extensions.filters.http.jwt_authn.v3.JwtAuthentication"
CLOCK_SKEW_S = 5
_KNOWN_TOKENS = 100
"""Tokens per endpoint and worker whose signature is not computed again."""

# the default takes one from the query too, which ends up in logs on the way
FROM_HEADERS = [{"name": "authorization", "value_prefix": "Bearer "}]


def checks_of(table: RouterTable) -> dict[str, TokenCheck]:
    """Return the checks of all endpoints that take tokens."""
    return {one.name: one.tokens for one in table.endpoints if one.tokens}


def token_filter(checks: Checks) -> Resource:
    """Return the configuration of the filter, as a resource that is read from a file."""
    return {
        "@type": f"{API}config.core.v3.TypedExtensionConfig",
        "name": JWT_AUTHN,
        "typed_config": filter_config(checks),
    }


def filter_config(checks: Checks) -> Resource:
    """Return the configuration of the filter."""
    return {
        "@type": KIND,
        "providers": {name: _provider(check) for name, check in checks.items()},
        "requirement_map": {name: {"provider_name": name} for name in checks},
        # why a token is refused is the owner's to know: it is in the access log
        "strip_failure_response": True,
    }


def discovered(name: str, source: Resource) -> Resource:
    """Return a filter of tokens of a listener, whose configuration comes from a source."""
    discovery = {"config_source": source, "type_urls": [KIND]}
    return where_asked({"name": name, "config_discovery": discovery})


def _provider(check: TokenCheck) -> Resource:
    return {
        "issuer": check.issuer,
        "audiences": [check.audience],
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW_S,
        "local_jwks": {"inline_string": check.jwks},
        "from_headers": FROM_HEADERS,
        "claim_to_headers": [{"header_name": CLIENT_HEADER, "claim_name": "sub"}],
        "jwt_cache_config": {"jwt_cache_size": _KNOWN_TOKENS},
    }
