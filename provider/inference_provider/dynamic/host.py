"""What the SDK's host of dynamic providers knows but does not pass on, read from its frames.

`python -m pulumi.dynamic` passes a provider only the properties of a call, and reports every error
as a traceback. The rest is found in the frame of the servicer's method that handles the call,
further up the thread's stack. If a release of the SDK is built differently, nothing is found and
nothing changes.
"""

import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from inference_provider.errors import InferenceError

_METHODS = frozenset({"Check", "Diff", "Create", "Read", "Update", "Delete"})
"""Methods of the SDK's servicer that call a provider; each has a local variable `request`."""


def servicer_frame() -> FrameType | None:
    """Return the frame of the servicer's method that this thread is in, if any."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in _METHODS and "request" in frame.f_locals:
            return frame
        frame = frame.f_back
    return None


def served_urn() -> str:
    """Return the URN of the resource that this thread's call handles; empty if unknown."""
    frame = servicer_frame()
    urn = getattr(frame.f_locals["request"], "urn", "") if frame else ""
    return urn if isinstance(urn, str) else ""


def show_errors_as_sentences() -> bool:
    """Make the host report an InferenceError by its message, without a traceback.

    The host formats exceptions with `traceback.format_exc`. Its module's name `traceback` is bound
    to a stand-in that returns the message of an InferenceError; any other exception, a bug, keeps
    its traceback.

    Returns:
        Whether that worked; otherwise errors are shown under a traceback.
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
    """Show an error as its message; if the host adds a traceback, put the summary last.

    The first line of a message says what failed, and further lines quote a server's log. Under a
    traceback people read only the last line.
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
    """Make the engine's Cancel stop every wait in this process.

    The host answers Cancel and does nothing. gRPC has bound the method already, so this replaces
    the method's code object instead of the method.
    """
    frame = servicer_frame()
    servicer = type(frame.f_locals.get("self")) if frame else None
    cancel = vars(servicer).get("Cancel") if servicer else None
    if isinstance(cancel, types.FunctionType) and cancel.__code__.co_varnames == _CANCEL_ARGUMENTS:
        cancel.__code__ = _cancel.__code__


_CANCEL_ARGUMENTS = ("self", "request", "context")


def _cancel(_self: object, _request: object, _context: object) -> object:
    """Runs as the host's method, with the host's globals, so it must import all it needs."""
    from google.protobuf.empty_pb2 import Empty  # noqa: PLC0415

    from inference_provider.targets.stopping import ask_to_stop  # noqa: PLC0415

    ask_to_stop()
    return Empty()


def _sentence_or_traceback() -> str:
    error = sys.exc_info()[1]
    return str(error) if isinstance(error, InferenceError) else traceback.format_exc()


_SENTENCES = types.SimpleNamespace(**{**vars(traceback), "format_exc": _sentence_or_traceback})
