"""RequestLimits: how many requests an endpoint takes in a minute, and how large they may be."""

from typing import Annotated

from pydantic import Field

from inference_provider.spec.base import SpecModel

BODY_MIB, LARGEST_BODY_MIB = 100, 1024
PerMinute = Annotated[int, Field(ge=1, le=1_000_000)]


class RequestLimits(SpecModel):
    """How many requests an endpoint takes, and how large; what is more is answered 429 or 413.

    Each pod of a router counts for itself. A request that shows no valid key or token counts
    nothing.
    """

    requests_per_minute: PerMinute | None = None
    """Of all callers together; no limit when left out."""
    requests_per_minute_per_caller: PerMinute | None = None
    """Of each caller: of each of the two keys, or of each name in a token; no limit when left
    out."""
    max_body_mib: Annotated[int, Field(ge=1, le=LARGEST_BODY_MIB)] = BODY_MIB
    """Largest body of a request, MiB; a websocket has no limit."""
