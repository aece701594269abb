"""Errors of ours <-> JSON, so that what an agent raises reaches its client as itself. Pure."""

from collections.abc import Mapping
from typing import Any

from inference_provider.errors import (
    Busy,
    InferenceError,
    NotReady,
    OutOfCapacity,
    RouterRejected,
    TargetError,
    TargetUnreachable,
)

_TARGET_ERRORS: Mapping[str, type[TargetError]] = {
    one.__name__: one for one in (TargetError, TargetUnreachable, NotReady, OutOfCapacity, Busy)
}


def written(fault: InferenceError) -> dict[str, Any]:
    """Return an error as JSON."""
    if isinstance(fault, RouterRejected):
        return {"type": "RouterRejected", "reason": fault.reason}
    if isinstance(fault, TargetError):
        kind = type(fault).__name__ if type(fault).__name__ in _TARGET_ERRORS else "TargetError"
        fields = {n: getattr(fault, n) for n in ("operation", "resource", "reason", "remedy")}
        return {"type": kind, **fields}
    return {"type": "InferenceError", "reason": str(fault)}


def read(found: Mapping[str, Any]) -> InferenceError:
    """Return the error that `written` wrote."""
    kind, fields = found["type"], {n: str(v) for n, v in found.items() if n != "type"}
    if kind == "RouterRejected":
        return RouterRejected(fields["reason"])
    if kind in _TARGET_ERRORS:
        return _TARGET_ERRORS[kind](**fields)
    return InferenceError(fields.get("reason", ""))
