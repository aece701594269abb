"""What the Engine sends as it comes: lines of a log, and what a command in a container says."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_HEADER = 8
"""Bytes before each frame of a command's output; the last four are its size."""


def lines_of(parts: Iterator[bytes]) -> Iterator[str]:
    """Yield whole lines of a stream that comes in parts of any size."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)


def spoken(stream: Any, said: bytes, limit_s: float) -> bytes:
    """Write to a command, end its input where that can be, and return its stdout and stderr.

    Raises:
        TimeoutError: It has not ended in time. The library would wait for ever.
    """
    raw, until_s = getattr(stream, "_sock", stream), time.monotonic() + limit_s
    raw.settimeout(limit_s)
    if said:
        raw.sendall(said)
    if not isinstance(raw, ssl.SSLSocket):  # that cannot end one direction only
        raw.shutdown(socket.SHUT_WR)
    heard = bytearray()
    while part := raw.recv(1 << 16):
        heard += part
        raw.settimeout(max(0.001, until_s - time.monotonic()))  # 0 would not wait at all
    return b"".join(_frames(bytes(heard)))


def _frames(heard: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(heard):
        begin = at + _HEADER
        at = begin + int.from_bytes(heard[at + 4 : begin], "big")
        yield heard[begin:at]


def close(stream: Any) -> None:
    """Close a command's stream, the socket that it borrows, and the answer that has that."""
    answer, raw = getattr(stream, "_response", None), getattr(stream, "_sock", None)
    stream.close()
    if raw is not None:
        raw.close()
    if answer is not None:
        with suppress(ValueError):  # it flushes what is closed
            answer.close()
