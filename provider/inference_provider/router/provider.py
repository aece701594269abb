"""Checks of tokens of an identity provider -> Envoy's filter for them, and who fetches keys. Pure.

The filter is a resource of its own, apart from that of the workspace's own tokens: with each change
of it Envoy asks for a provider's keys again, and forgets those of before. It asks a process beside
it, every few seconds; that asks the provider, and keeps the answer for the next start. Which of
the callers may score is in `access_rule.py`.
"""

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, urlencode, urlsplit

from inference_provider.observed import Frozen
from inference_provider.router.access_rule import CLAIMS, HEADER
from inference_provider.router.resource import (
    API,
    CLIENT_HEADER,
    IDENTITY_PROVIDER,
    Resource,
    asked_beside,
    seconds,
)
from inference_provider.router.table import ProviderCheck, RouterTable
from inference_provider.router.tokens import CLOCK_SKEW_S, FROM_HEADERS, KIND

ProviderChecks = Mapping[str, ProviderCheck]
"""By the check's name."""
_FETCH_TIMEOUT_MS = 5000
_FETCH_AGAIN_MS = 1000
"""After a question that nobody answered."""
_ASKED_WITHIN_S = 10
"""Longest time between two questions of Envoy: so long do keys stay unknown that a provider answers
again after a failure, however seldom it is asked."""
_KNOWN_TOKENS = 1000
"""Tokens per worker whose signature is not computed again."""
_LONGEST_KNOWN_BYTES = 16384
"""A token that names many groups is longer than the 4 KiB that Envoy remembers of itself."""
KEYS_CLUSTER = "provider-keys"
KEYS_SOCKET = "keys.sock"


class Asked(Frozen):
    """A question for keys."""

    uri: str
    """Whose answer is wanted."""
    good_for_s: int = 0
    """So long an answer counts before the URL is asked again."""

    @property
    def query(self) -> str:
        """The question as a query, to the process that fetches keys."""
        return urlencode({"uri": self.uri, "good_for_s": self.good_for_s})


class Fetched(Frozen):
    """What is known of the keys of one URL."""

    at: str = ""
    """When the URL answered those that are kept; empty if none are."""
    fault: str = ""
    """Why it answered none the last time; empty if it did."""


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
    every_s = min(check.refresh_s, _ASKED_WITHIN_S)
    asked = Asked(uri=check.jwks_uri, good_for_s=check.refresh_s - every_s)
    uri = {
        "uri": f"http://{KEYS_CLUSTER}/?{asked.query}",
        "cluster": KEYS_CLUSTER,
        "timeout": seconds(_FETCH_TIMEOUT_MS),
    }
    # beside requests: those find the keys that were fetched last, also while a fetch fails; what
    # comes to a listener that runs would never be fetched, if it had to wait for that
    ahead = {"fast_listener": True, "failed_refetch_duration": seconds(_FETCH_AGAIN_MS)}
    refresh = seconds(every_s * 1000)
    return {"remote_jwks": {"http_uri": uri, "cache_duration": refresh, "async_fetch": ahead}}


def keys_cluster(folder: str) -> Resource:
    """Return where the router asks for keys; it is there though nobody may listen."""
    return asked_beside(KEYS_CLUSTER, folder, KEYS_SOCKET)


def fetched_uris(checks: ProviderChecks) -> tuple[str, ...]:
    """Return the URLs from which keys are fetched."""
    return tuple(sorted({one.jwks_uri for one in checks.values() if one.jwks_uri}))


def asked_in(text: str) -> dict[str, Asked]:
    """Return the questions that Envoy has after reading a file of checks, by path and query.

    None in a damaged one, and of a release before, whose questions say no time, the URL alone.
    """
    try:
        [found] = json.loads(text)["resources"]
        checks = found["typed_config"]["providers"].values()
        fetched = [one["remote_jwks"]["http_uri"]["uri"] for one in checks if "remote_jwks" in one]
        parts = [urlsplit(one) for one in fetched]
        return {f"{one.path}?{one.query}": _asked(one.query) for one in parts}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def _asked(query: str) -> Asked:
    fields = parse_qs(query)
    return Asked(uri=fields["uri"][0], good_for_s=int(fields.get("good_for_s", ["0"])[0]))


def fetch_fault(fetched: Mapping[str, Fetched], *, asked: bool) -> str:
    """Say which keys cannot be fetched now, and whom the router lets in meanwhile.

    Args:
        fetched: What is known of each URL of keys.
        asked: Whether anybody answers who fetches keys.
    """
    return "; ".join(filter(None, (_fault(uri, one, asked) for uri, one in fetched.items())))


def _fault(uri: str, known: Fetched, asked: bool) -> str:
    if asked and known.at and not known.fault:
        return ""
    if not asked:
        wrong = f"nothing fetches the keys of {uri}: apply the stack again"
    elif known.fault:
        wrong = f"keys cannot be fetched from {uri}: {known.fault}"
    else:
        wrong = f"keys of {uri} are being fetched"
    if known.at:
        return f"{wrong}; those of {known.at} stay in force"
    return f"{wrong}; none were fetched yet, so its tokens are refused"
