"""What the SDK's host of dynamic providers knows and does not hand over, read from its frames.

`python -m pulumi.dynamic` gives a provider the properties of a call and nothing else, and reports
every error as a traceback. The method of its servicer that handles a call is further up the stack
of the thread, and there the rest is found. Where the SDK has another shape nothing is found, and
nothing changes.
"""

import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from inference_provider.errors import InferenceError

_HANDLERS = frozenset({"Check", "Diff", "Create", "Read", "Update", "Delete"})
"""Methods of the SDK's servicer that call a provider; each has a local `request`."""


def handler_frame() -> FrameType | None:
    """Return the frame of the servicer's method that this thread runs in, if it runs in one."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in _HANDLERS and "request" in frame.f_locals:
            return frame
        frame = frame.f_back
    return None


def handled_urn() -> str:
    """Return the URN of the resource that this thread handles; empty where it is not known."""
    frame = handler_frame()
    urn = getattr(frame.f_locals["request"], "urn", "") if frame else ""
    return urn if isinstance(urn, str) else ""


def tell_errors_as_sentences() -> bool:
    """Let the host end a call that failed on purpose with the error's message alone.

    The host formats what was raised by `traceback.format_exc`. The name `traceback` in its module
    is given a namesake that returns the message for an InferenceError; a fault in the code, any
    other exception, keeps its traceback.

    Returns:
        Whether it does so now; otherwise an error is shown under a traceback.
    """
    frame = handler_frame()
    if frame is None:
        return False
    found = frame.f_globals.get("traceback")
    if found is traceback:
        frame.f_globals["traceback"] = _SENTENCES
    return found in (traceback, _SENTENCES)


@contextmanager
def sense_last() -> Iterator[None]:
    """Let an error end in its sense where it is shown under a traceback: its end is what is read.

    A message of several lines has its sense in the first and what a server logged in the others.
    """
    try:
        yield
    except InferenceError as exc:
        plain = tell_errors_as_sentences()
        first, *others = str(exc).splitlines()
        if plain or not others:
            raise
        sense = f"{first[:-1]}, above" if first.endswith(":") else first
        raise InferenceError("\n".join([*others, sense])) from None


def hear_a_stop() -> None:
    """Let the engine's call to cancel reach whoever waits in this process.

    The host answers it and does nothing. Its method is bound by gRPC already, so the method's code
    is exchanged, and not the method.
    """
    frame = handler_frame()
    servicer = type(frame.f_locals.get("self")) if frame else None
    cancel = vars(servicer).get("Cancel") if servicer else None
    if isinstance(cancel, types.FunctionType) and cancel.__code__.co_varnames == _CANCEL_ARGUMENTS:
        cancel.__code__ = _cancel.__code__


_CANCEL_ARGUMENTS = ("self", "request", "context")


def _cancel(_self: object, _request: object, _context: object) -> object:
    """Run as the host's method: its globals are the host's, so all it needs is imported here."""
    from google.protobuf.empty_pb2 import (  # type: ignore[import-untyped]  # noqa: PLC0415
        Empty,
    )

    from inference_provider.targets.stopping import ask_to_stop  # noqa: PLC0415

    ask_to_stop()
    return Empty()


def _sentence_or_traceback() -> str:
    error = sys.exc_info()[1]
    return str(error) if isinstance(error, InferenceError) else traceback.format_exc()


_SENTENCES = types.SimpleNamespace(**{**vars(traceback), "format_exc": _sentence_or_traceback})
