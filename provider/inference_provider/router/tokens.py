"""Token checks of endpoints -> the configuration of Envoy's token filter. Pure.

It is a resource of its own beside the listener: so a rotation of signing keys closes no connection.
A route names the requirement of its endpoint.
"""

from collections.abc import Mapping

from inference_provider.router.envoy import API, CLIENT_HEADER, JWT_AUTHN, Resource
from inference_provider.router.table import RouterTable, TokenCheck

Checks = Mapping[str, TokenCheck]
"""Endpoint's name -> which tokens it takes."""
_KIND = f"{API}extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_CLOCK_SKEW_S = 5
_KNOWN_TOKENS = 100
"""Tokens per endpoint and worker whose signature is not computed again."""


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
        "@type": _KIND,
        "providers": {name: _provider(check) for name, check in checks.items()},
        "requirement_map": {name: {"provider_name": name} for name in checks},
        # why a token is refused is the owner's to know: it is in the access log
        "strip_failure_response": True,
    }


def discovered(source: Resource) -> Resource:
    """Return the filter of a listener whose configuration comes from a source."""
    return {
        "name": JWT_AUTHN,
        "config_discovery": {"config_source": source, "type_urls": [_KIND]},
    }


def _provider(check: TokenCheck) -> Resource:
    return {
        "issuer": check.issuer,
        "audiences": [check.audience],
        "require_expiration": True,
        "clock_skew_seconds": _CLOCK_SKEW_S,
        "local_jwks": {"inline_string": check.jwks},
        # the default takes one from the query too, which ends up in logs on the way
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "claim_to_headers": [{"header_name": CLIENT_HEADER, "claim_name": "sub"}],
        "jwt_cache_config": {"jwt_cache_size": _KNOWN_TOKENS},
    }
