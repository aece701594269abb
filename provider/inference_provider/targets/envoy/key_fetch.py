"""A URL -> the public keys that it answers, or why not.

No redirect is followed and no proxy asked: whoever can change the answer can let anybody in.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import SplitResult, urlsplit

from inference_provider.files.jwks import has_key
from inference_provider.printable import one_line

_LONGEST_BYTES = 2**20


class FetchFault(Exception):
    """Why there are no keys, in words for a person."""


def fetch(uri: str, ca_file: str, limit_s: float) -> str:
    """Return the JSON Web Key Set that a URL answers, with at least one key that checks tokens.

    Args:
        uri: http:// or https://.
        ca_file: Certificates of authorities, PEM, one of which must vouch for the server; none is
            trusted when empty.
        limit_s: Longest time, but for finding the server's name, which the system bounds.

    Raises:
        FetchFault: It does not.
    """
    parts = urlsplit(uri)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with closing(_connection(parts, ca_file, limit_s)) as opened:
            opened.connect()
            with _cut_after(opened.sock, limit_s):
                opened.request("GET", path, headers={"accept": "application/json"})
                answer = opened.getresponse()
                if answer.status != 200:
                    raise FetchFault(f"it answers {answer.status}")
                found = answer.read(_LONGEST_BYTES + 1)
    except ssl.SSLCertVerificationError as wrong:
        raise FetchFault(f"its certificate is not trusted: {wrong.verify_message}") from None
    except TimeoutError:
        raise FetchFault(f"no answer within {limit_s:g} s") from None
    except OSError as wrong:
        raise FetchFault(one_line(wrong.strerror or type(wrong).__name__)) from None
    except http.client.HTTPException:
        raise FetchFault("what it answers is no HTTP, or was cut off") from None
    return _checked(found)


def _checked(found: bytes) -> str:
    if len(found) > _LONGEST_BYTES:
        raise FetchFault("its answer is longer than 1 MiB")
    text = found.decode(errors="replace")
    if not has_key(text):
        raise FetchFault("its answer holds no key that checks tokens")
    return text


def _connection(parts: SplitResult, ca_file: str, limit_s: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, parts.port, timeout=limit_s)
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        trusted.load_verify_locations(ca_file)
    return http.client.HTTPSConnection(host, parts.port, timeout=limit_s, context=trusted)


@contextmanager
def _cut_after(opened: socket.socket, limit_s: float) -> Iterator[None]:
    """End a connection whose server sends, but never comes to an end."""

    def cut() -> None:
        with suppress(OSError):  # it is closed
            # not TLS's own, which another thread must not call
            socket.socket.shutdown(opened, socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
