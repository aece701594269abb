"""RequestLimits: how many requests an endpoint takes in a minute, of all callers and of each."""

from typing import Annotated

from pydantic import Field

from inference_provider.spec.base import SpecModel

PerMinute = Annotated[int, Field(ge=1, le=1_000_000)]


class RequestLimits(SpecModel):
    """How many requests an endpoint takes; what is more is answered 429 with `Retry-After`.

    Each pod of a router counts for itself. A request that shows no valid key or token counts
    nothing.
    """

    requests_per_minute: PerMinute | None = None
    """Of all callers together; no limit when left out."""
    requests_per_minute_per_caller: PerMinute | None = None
    """Of each caller: of each of the two keys, or of each name in a token; no limit when left
    out."""
