"""Secrets inside text: sealed (as digests) to keep and compare, hidden to show. Pure.

Goes in: text, and values of placeholders. Comes out: the text with a digest, or `[secret]`, in
place of each. The userinfo of a URL is always a secret.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr

SECRET_PREFIX = "secret:sha256:"
"""Prefix of the digest that stands for a secret in properties."""

KEYED_PREFIX = "secret:hmac:"
"""Prefix of a keyed digest: without the key, a guessed secret cannot be checked against it."""

HIDDEN = "[secret]"
"""Shown in place of a secret."""

LONG_ENOUGH = 4
"""Shorter values occur inside ordinary words, so they count as a secret only when they are the
whole text."""

_ORDINARY = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null"})
"""Values that are not worth hiding: they reveal nothing."""

_MARK = re.compile(rf"(?:{SECRET_PREFIX}|{KEYED_PREFIX})[0-9a-f]{{16}}")
_USERINFO = re.compile(rf"(?<=://)(?!{_MARK.pattern}@)[^/?#\s]+(?=@)")
_SSH_USER = re.compile(r"(?<=\bssh://)[^/?#\s:@]+(?=@)")
"""Only a name: what ssh takes for a secret is a key."""

Secrets = tuple[SecretStr, ...]


def is_ordinary(value: str) -> bool:
    """Whether a value is blank, or a word that is not worth hiding."""
    return not value.strip() or value.lower() in _ORDINARY


def userinfo_in(texts: Iterable[str]) -> Secrets:
    """Return the userinfo of every URL in some texts."""
    return tuple(SecretStr(found) for text in texts for found in _USERINFO.findall(text))


def mark(value: str) -> str:
    """Return the digest that stands for a value."""
    return SECRET_PREFIX + hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()[:16]


def sealed(text: str, secrets: Secrets = ()) -> str:
    """Replace each secret in a text with its digest; idempotent."""
    text = _USERINFO.sub(lambda found: mark(found.group()), text)
    whole, inside = _patterns(secrets)
    if text in whole:
        return mark(text)
    return inside.sub(lambda found: found.group(1) or mark(found.group()), text)


def hidden(text: str, secrets: Secrets = ()) -> str:
    """Replace each secret in a text, and each digest of one, with `[secret]`.

    The name of an ssh user is shown: without it nobody could follow what an error advises.
    """
    whole, inside = _patterns(secrets)
    users = (name for name in _SSH_USER.findall(text) if name not in whole)
    shown = {mark(name): name for name in users if not inside.search(name)}
    return _MARK.sub(lambda found: shown.get(found.group(), HIDDEN), sealed(text, secrets))


def masked(value: Any) -> Any:
    """Return a JSON value with `[secret]` in place of every secret's digest, at any depth."""
    if isinstance(value, str):
        return _MARK.sub(HIDDEN, value)
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value


def holds_secret(value: Any, secrets: Secrets = ()) -> bool:
    """Whether a JSON value contains a secret, or the digest of one, anywhere."""
    if isinstance(value, str):
        return hidden(value, secrets) != value
    if isinstance(value, Mapping):
        return any(holds_secret(item, secrets) for item in value.values())
    if isinstance(value, list | tuple):
        return any(holds_secret(item, secrets) for item in value)
    return False


@functools.lru_cache(maxsize=64)
def _patterns(secrets: Secrets) -> tuple[frozenset[str], re.Pattern[str]]:
    """Return values that are secret as a whole text, and a pattern for digests and long values."""
    values = {secret.get_secret_value() for secret in secrets}
    values = {value for value in values if not is_ordinary(value)}
    inside = sorted((v for v in values if len(v) >= LONG_ENOUGH), key=len, reverse=True)
    # digests first: a value may be part of one
    return frozenset(values), re.compile("|".join([f"({_MARK.pattern})", *map(re.escape, inside)]))
