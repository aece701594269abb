"""Requests in HTTP/2 without an upgrade, frame by frame."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">HBBBI", 0, 0, 4, 0, 0)
"""What a connection begins with, and settings that change nothing."""
_HEADERS, _END_HEADERS, _END_STREAM = 1, 4, 1


def _literal(name: str, value: str) -> bytes:
    """Return one header in HPACK, without a table and without Huffman's code."""
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))


def request_frames(method: str, *keys: str, body_follows: bool = False) -> bytes:
    """Return a connection's first request, up to its body.

    Args:
        method: Of the request.
        keys: A header `authorization` each.
        body_follows: Whether these frames are not the last ones.
    """
    asked = {":method": method, ":scheme": "http", ":path": "/endpoints/chat/score"}
    headers = [*asked.items(), (":authority", "router"), *(("authorization", key) for key in keys)]
    block = b"".join(_literal(*one) for one in headers)
    flags = _END_HEADERS if body_follows else _END_HEADERS | _END_STREAM
    return PREFACE + struct.pack(">HBBBI", 0, len(block), _HEADERS, flags, 1) + block
