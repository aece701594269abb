"""Which resource the engine is asking about in this thread.

It stands in the request that the SDK's host handles; where the SDK has another shape nothing is
known.
"""

from inference_provider.dynamic.host import handler_frame


def handled_urn() -> str:
    """Return the URN of the resource that this thread handles; empty where it is not known."""
    frame = handler_frame()
    urn = getattr(frame.f_locals["request"], "urn", "") if frame else ""
    return urn if isinstance(urn, str) else ""
