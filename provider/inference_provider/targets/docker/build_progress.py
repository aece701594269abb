"""What BuildKit says while it builds -> what a person needs of it. Pure.

Each line of its answer has the id of an image, an error, or a trace: a `StatusResponse` of its
gRPC interface. Only three fields of that are read here, so they are read as they lie on the wire.

Source: moby/buildkit api/services/control/control.proto (Vertex 1, 7; VertexLog 1, 4).
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

_VERTEXES, _LOGS = 1, 3
_DIGEST, _ERROR = 1, 7
_LOG_OF, _MESSAGE = 1, 4
_BYTES = 2
"""The wire type of text and of messages."""
_KEPT_BYTES = 64 * 1024
"""The end of what each step prints, which says why it failed."""
_COMMAND = 100
"""Shown characters of a command."""
COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_AROUND = re.compile(
    r"^(failed to solve(?: with frontend \S+)?: |failed to create LLB definition: )+"
)
_FAILED = re.compile(
    r"(?:executor failed running \[(?:/bin/sh -c )?(.*)\]"
    r"|process \"(?:/bin/sh -c )?(.*)\" did not complete successfully): exit code: (\d+)",
    re.DOTALL,
)


class Built(NamedTuple):
    """How a build ended."""

    image: str | None
    """Its id; None where it failed."""
    said: str
    """Why it failed: what the step that failed printed, and what is wrong with it."""


def outcome(answer: Iterable[Mapping[str, Any]]) -> Built:
    """Read the answer to a build, to its end."""
    image, error = None, ""
    printed: dict[bytes, bytes] = {}
    failed: dict[bytes, str] = {}
    for part in answer:
        if part.get("id") == "moby.image.id":
            image = str(part["aux"]["ID"])
        elif part.get("id") == "moby.buildkit.trace":
            status = list(_fields(base64.b64decode(part["aux"])))
            for vertex in _told(status, _VERTEXES):
                if vertex.get(_ERROR):
                    failed[vertex[_DIGEST]] = vertex[_ERROR].decode(errors="replace")
            for log in _told(status, _LOGS):
                so_far = printed.get(log[_LOG_OF], b"") + log.get(_MESSAGE, b"")
                printed[log[_LOG_OF]] = so_far[-_KEPT_BYTES:]
        error = error or str(part.get("error") or "")
    if not error:
        return Built(image, "")
    # others are ended then, and fail too
    blamed = [step for step, why in failed.items() if why in error] or [*failed]
    output = b"".join(printed.get(step, b"") for step in blamed)
    return Built(None, f"{COLOUR.sub('', output.decode(errors='replace'))}\n{_plain(error)}")


def _plain(error: str) -> str:
    """Return an error without what it says of the builder."""
    error = _AROUND.sub("", error)
    if failed := _FAILED.search(error):
        command = str(failed[1] or failed[2])
        shown = f"{command[:_COMMAND]}…" if len(command) > _COMMAND else command
        return f"(exit code {failed[3]} of `{shown}`)"
    return error


def _told(status: Iterable[tuple[int, bytes]], kind: int) -> Iterator[dict[int, bytes]]:
    yield from (dict(_fields(message)) for number, message in status if number == kind)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each field of a message that has bytes; all others are numbers."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        size, at = _varint(message, at)  # or the number itself
        if key & 7 == _BYTES:
            yield key >> 3, message[at : at + size]
            at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number that begins somewhere, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
