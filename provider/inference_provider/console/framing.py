"""Requests that a proxy before a server may have read otherwise, or that are too large. Pure."""

from typing import NamedTuple

from starlette.types import Scope

HEADER_BYTES = 64 * 1024
"""Of a request's target and headers together."""
CLOSES = {"connection": "close"}
"""Header of the answer: what follows on the connection may be what others did not mean as one."""
_LENGTHS = {b"content-length", b"transfer-encoding"}
_ENCODED = (b"%2f", b"%5c")
"""What a proxy before a server takes for a part of a name, and the server for its end."""
_VERSIONS = ("1.0", "1.1")


class Misframed(NamedTuple):
    """How a request is refused, with `CLOSES`."""

    status: int
    told: str


def misframed(scope: Scope) -> Misframed | None:
    """Return why a request is not answered; None where it is."""
    headers = scope["headers"]
    if {name for name, _ in headers} >= _LENGTHS:
        return Misframed(400, "A body has a length or chunks, and not both.")
    if scope["http_version"] not in _VERSIONS:
        return Misframed(505, "Ask by HTTP/1.1.")
    if any(one in scope["raw_path"].lower() for one in _ENCODED):
        return Misframed(400, "A path has no encoded slash.")
    size = sum(len(name) + len(value) for name, value in headers)
    if size + len(scope["raw_path"]) + len(scope["query_string"]) > HEADER_BYTES:
        return Misframed(431, f"Headers have {HEADER_BYTES} bytes at the most.")
    return None
