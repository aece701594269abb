"""Requests of HTTP/2 frame by frame, as no client library would send them."""

import socket
import struct
from collections.abc import Iterable

from tests.local.server.routing import Served

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4
Headers = Iterable[tuple[str, str]]
_STATIC = {0x88: "200", 0x89: "204", 0x8A: "206", 0x8B: "304", 0x8C: "400", 0x8D: "404"}
_INDEXED_BY_STATUS = 0x48
_DIGITS = ("00000", "00001", "00010", *(f"{code:06b}" for code in range(0b011001, 0b100000)))
"""Huffman's code of each digit in HPACK."""


def literal(name: str, value: str) -> bytes:
    """Return one header in HPACK, without a table and without Huffman's code."""
    texts = (name.encode("latin-1"), value.encode("latin-1"))
    return b"\0" + b"".join(bytes([len(text)]) + text for text in texts)


def frame(kind: int, flags: int = 0, body: bytes = b"", stream: int = 1) -> bytes:
    return struct.pack(">HBBBI", len(body) >> 8, len(body) & 255, kind, flags, stream) + body


def request_frames(method: str, *keys: str, body_follows: bool = False) -> bytes:
    """Return a connection's first request, up to its body.

    Args:
        method: Of the request.
        keys: A header `authorization` each.
        body_follows: Whether these frames are not the last ones.
    """
    asked = {":method": method, ":scheme": "http", ":path": "/endpoints/chat/score"}
    headers = [*asked.items(), (":authority", "router"), *(("authorization", key) for key in keys)]
    flags = END_HEADERS if body_follows else END_HEADERS | END_STREAM
    head = frame(HEADERS, flags, b"".join(literal(*one) for one in headers))
    return PREFACE + frame(SETTINGS, stream=0) + head


def answered(served: Served, headers: Headers, body: bytes = b"", trailers: Headers = ()) -> str:
    """Send one request; return the status of its answer, `reset` or `closed`."""
    after = b"".join(literal(*one) for one in trailers)
    sent = [(HEADERS, END_HEADERS, b"".join(literal(*one) for one in headers))]
    sent += [(DATA, 0, body)] if body else []
    sent += [(HEADERS, END_HEADERS, after)] if after else []
    kind, flags, last = sent.pop()
    frames = [frame(*one) for one in (*sent, (kind, flags | END_STREAM, last))]
    with socket.create_connection(("127.0.0.1", served.ports[0]), 10) as opened:
        opened.sendall(b"".join([PREFACE, frame(SETTINGS, stream=0), *frames]))
        received = opened.makefile("rb")
        while len(head := received.read(9)) == 9:
            high, low, kind, _, _ = struct.unpack(">HBBBI", head)
            payload = received.read(high * 256 + low)
            if kind == HEADERS:
                return _status(payload)
            if kind in (RESET, GOAWAY):
                return "reset"
    return "closed"


def _status(block: bytes) -> str:
    if block[0] in _STATIC:
        return _STATIC[block[0]]
    assert block[0] == _INDEXED_BY_STATUS, block
    text = block[2 : 2 + (block[1] & 127)]
    if not block[1] & 128:
        return text.decode()
    bits, found = "".join(f"{byte:08b}" for byte in text), ""
    while len(found) < 3:
        [digit] = [n for n, code in enumerate(_DIGITS) if bits.startswith(code)]
        found, bits = found + str(digit), bits[len(_DIGITS[digit]) :]
    return found
