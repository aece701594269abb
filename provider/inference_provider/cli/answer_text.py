"""What an endpoint has answered -> text, of an answer of any length only as much as is shown."""

from contextlib import suppress

import httpx

TEXTUAL = ("text/", "application/json", "application/problem+json")
"""Content types whose answers end in a newline here, so that a prompt stands on its own line."""
_ERROR_BYTES = 64 * 1024
"""Of an error, which a model may write at any length; a few hundred characters are shown."""


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
        return content.decode(charset or "utf-8")
    return content.decode(errors="replace")
