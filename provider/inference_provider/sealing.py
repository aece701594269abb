"""Text encrypted with a workspace's key, and digests that only the key can produce.

AES-256-GCM, with the document's name as associated data: of two documents that somebody exchanged
neither can be read. The local target imports this at each start of an instance, so it imports
little.
"""

import base64
import hashlib
import hmac
import json

KEY_BYTES = 32
NONCE_BYTES = 12


class Unreadable(ValueError):
    """Not encrypted with this key, or changed since. Never quotes what it is about."""


def sealed(text: str, name: str, key: bytes, nonce: bytes) -> str:
    """Return a text encrypted, as JSON.

    Args:
        text: What nobody shall read.
        name: The document's; only under this name it can be read again.
        key: 32 bytes.
        nonce: 12 bytes, which must be others each time.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 20 ms

    found = AESGCM(key).encrypt(nonce, text.encode(errors="surrogatepass"), name.encode())
    return json.dumps({"cipher": "AES-256-GCM", "nonce": _text(nonce), "sealed": _text(found)})


def unsealed(document: bytes, name: str, key: bytes) -> str:
    """Return the text of an encrypted document.

    Raises:
        Unreadable: It is not one of this name and key.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - 20 ms
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        fields = json.loads(document)
        nonce, found = (base64.b64decode(fields[field]) for field in ("nonce", "sealed"))
        return AESGCM(key).decrypt(nonce, found, name.encode()).decode(errors="surrogatepass")
    except (ValueError, KeyError, TypeError, InvalidTag):
        raise Unreadable(f"'{name}' is not encrypted with this key") from None


def key_document(key: bytes) -> str:
    """Return the JSON text in which a key is kept."""
    return json.dumps({"key": _text(key)})


def key_in(document: bytes) -> bytes:
    """Return the key that a document holds. Raises Unreadable."""
    try:
        key = base64.b64decode(json.loads(document)["key"], validate=True)
    except (ValueError, KeyError, TypeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise Unreadable("not a key")
    return key


def keyed_digest(text: str, key: bytes) -> str:
    """Return 16 hex digits that say whether a text is the same, to who has the key alone."""
    own = hmac.digest(key, b"digest", "sha256")  # the key itself only encrypts
    return hmac.digest(own, text.encode(errors="surrogatepass"), hashlib.sha256).hex()[:16]


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
