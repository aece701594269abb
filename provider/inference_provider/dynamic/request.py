"""Which resource the engine is asking about in this thread.

It stands in the request that the SDK's plugin handles. The SDK hands none of it to a provider, so
it is read from the handler's frame; where the SDK has another shape nothing is known.
"""

import sys
from types import FrameType

_HANDLERS = frozenset({"Check", "Create", "Update", "Delete"})
"""Methods of the SDK's servicer; their argument `request` carries the resource's URN."""


def handled_urn() -> str:
    """Return the URN of the resource that this thread handles; empty where it is not known."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in _HANDLERS:
            urn = getattr(frame.f_locals.get("request"), "urn", "")
            if isinstance(urn, str) and urn:
                return urn
        frame = frame.f_back
    return ""
