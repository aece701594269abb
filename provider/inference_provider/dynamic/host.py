"""What the SDK's host of dynamic providers knows and does not pass on, read from its frames.

`python -m pulumi.dynamic` gives a provider the properties of a call and nothing else, and reports
every error as a traceback. The servicer's method that handles a call is further up the thread's
stack, and there the rest is found. Where the SDK has another shape, nothing is found and nothing
changes.
"""

import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from inference_provider.errors import InferenceError

_METHODS = frozenset({"Check", "Diff", "Create", "Read", "Update", "Delete"})
"""Methods of the SDK's servicer that call a provider; each has a local `request`."""


def servicer_frame() -> FrameType | None:
    """Return the frame of the servicer's method that this thread runs in, if it runs in one."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in _METHODS and "request" in frame.f_locals:
            return frame
        frame = frame.f_back
    return None


def served_urn() -> str:
    """Return the URN of the resource that this thread's call is about; empty where unknown."""
    frame = servicer_frame()
    urn = getattr(frame.f_locals["request"], "urn", "") if frame else ""
    return urn if isinstance(urn, str) else ""


def show_errors_as_sentences() -> bool:
    """Make the host report an InferenceError by its message alone.

    The host formats what was raised with `traceback.format_exc`. The name `traceback` in its module
    is bound to a namesake that returns the message for an InferenceError; any other exception, a
    fault in the code, keeps its traceback.

    Returns:
        Whether it does so now; otherwise an error is shown under a traceback.
    """
    frame = servicer_frame()
    if frame is None:
        return False
    found = frame.f_globals.get("traceback")
    if found is traceback:
        frame.f_globals["traceback"] = _SENTENCES
    return found in (traceback, _SENTENCES)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Show an error as its message; where the host insists on a traceback, summary last.

    A message of several lines says what failed in the first, and what a server logged in the
    others. Under a traceback only the last line is read.
    """
    try:
        yield
    except InferenceError as exc:
        plain = show_errors_as_sentences()
        first, *others = str(exc).splitlines()
        if plain or not others:
            raise
        summary = f"{first[:-1]}, above" if first.endswith(":") else first
        raise InferenceError("\n".join([*others, summary])) from None


def forward_cancel() -> None:
    """Make the engine's Cancel stop whatever waits in this process.

    The host answers Cancel and does nothing. gRPC has bound the method already, so the method's
    code is replaced, and not the method.
    """
    frame = servicer_frame()
    servicer = type(frame.f_locals.get("self")) if frame else None
    cancel = vars(servicer).get("Cancel") if servicer else None
    if isinstance(cancel, types.FunctionType) and cancel.__code__.co_varnames == _CANCEL_ARGUMENTS:
        cancel.__code__ = _cancel.__code__


_CANCEL_ARGUMENTS = ("self", "request", "context")


def _cancel(_self: object, _request: object, _context: object) -> object:
    """Run as the host's method: its globals are the host's, so all it needs is imported here."""
    from google.protobuf.empty_pb2 import Empty  # noqa: PLC0415

    from inference_provider.targets.stopping import ask_to_stop  # noqa: PLC0415

    ask_to_stop()
    return Empty()


def _sentence_or_traceback() -> str:
    error = sys.exc_info()[1]
    return str(error) if isinstance(error, InferenceError) else traceback.format_exc()


_SENTENCES = types.SimpleNamespace(**{**vars(traceback), "format_exc": _sentence_or_traceback})
