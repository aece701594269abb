"""How a client asks a router for what an older release would ignore, and so not do."""

from collections.abc import Iterator, Mapping
from typing import Any

SUFFIX = "_edge"
"""Of a question with a table whose TLS, limits, ranges, rules, identity provider, traces or days of
calls count: an agent that does not know those does not know the question either, and refuses it in
place of serving without them."""
WAITING = "_waiting"
"""Of one with a table whose deployments may have no instance: an older agent knows the field, and
would let nobody wait."""
_OF_TABLES = ("tls", "sources", "trusted_hops", "outbound", "traces", "calls_days")
_OF_ENDPOINTS = ("limits", "max_body_mib", "sources", "provider")


def edged(question: str, table: Mapping[str, Any] | None) -> str:
    """Return the question to ask with a table; None for one without."""
    if table is None:
        return question
    if any(one.get("patience_s") for one in _deployments(table)):
        return question + WAITING
    of_endpoints = (one.get(f) for one in table.get("endpoints", ()) for f in _OF_ENDPOINTS)
    needs = any(table.get(field) for field in _OF_TABLES) or any(of_endpoints)
    return question + SUFFIX if needs else question


def _deployments(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for endpoint in table.get("endpoints", ()):
        yield from endpoint.get("deployments", ())
