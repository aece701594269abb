"""What an endpoint has answered -> text, of an answer of any length only as much as is shown."""

import codecs
from contextlib import suppress

import httpx

TEXTUAL = ("text/", "application/json", "application/problem+json")
"""Content types whose answers end in a newline here, so that a prompt stands on its own line."""
_ERROR_BYTES = 64 * 1024
"""Of an error, which a model may write at any length; a few hundred characters are shown."""
_NO_CHARSETS = frozenset(("punycode", "idna", "unicode-escape", "raw-unicode-escape"))
"""Names that Python takes for a charset and HTTP does not. The time that the first takes grows with
the square of the length, so a model could hold up whoever reads its answer."""


def beginning(answer: httpx.Response, most: int) -> tuple[bytes, bool]:
    """Read an answer as far as it is wanted.

    Args:
        answer: Its body not read yet.
        most: Bytes.

    Returns:
        At most so many, and whether there is more.

    Raises:
        httpx.HTTPError: It ends early.
    """
    read = bytearray()
    for piece in answer.iter_bytes():
        read += piece[: most + 1 - len(read)]  # a compressed one may be a thousand times its size
        if len(read) > most:
            return bytes(read[:most]), True
    return bytes(read), False


def error_text(answer: httpx.Response) -> str:
    """Return how an error begins; raises as `beginning` does."""
    return decoded(beginning(answer, _ERROR_BYTES)[0], answer.charset_encoding)


def decoded(content: bytes, charset: str | None) -> str:
    """Return text, whatever charset it is said to be of."""
    # LookupError: no charset, or none of text; httpx would take `hex` for one
    with suppress(LookupError, ValueError):
        known = codecs.lookup(charset or "utf-8").name.replace("_", "-")
        if known not in _NO_CHARSETS:
            return content.decode(known)
    return content.decode(errors="replace")
