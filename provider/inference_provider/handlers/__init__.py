"""The operations on one resource, independent of the engine that requests them."""

from inference_provider.handlers.check import Opener
from inference_provider.handlers.claims import ONLY_READ
from inference_provider.handlers.fields import is_unknown, not_written
from inference_provider.handlers.held import (
    UNKNOWN,
    Call,
    Checked,
    Difference,
    Entry,
    Held,
    Inputs,
    Unknown,
)
from inference_provider.handlers.program import Program
from inference_provider.handlers.resource import Handlers

__all__ = [
    "ONLY_READ",
    "UNKNOWN",
    "Call",
    "Checked",
    "Difference",
    "Entry",
    "Handlers",
    "Held",
    "Inputs",
    "Opener",
    "Program",
    "Unknown",
    "is_unknown",
    "not_written",
]
