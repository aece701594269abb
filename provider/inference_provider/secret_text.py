"""Secrets inside text: sealed for what is kept and compared, hidden for what is shown. Pure.

Goes in: text, and what placeholders stood for. Comes out: the text with a digest, or `[secret]`, in
place of each. The userinfo of a URL is a secret whoever wrote it.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr

SECRET_PREFIX = "secret:sha256:"
"""Starts the digest that stands for a secret in properties."""

HIDDEN = "[secret]"
"""What stands for a secret wherever one is shown."""

LONG_ENOUGH = 4
"""Shorter values would be found inside ordinary words; they are a secret only where they are all
of a text."""

_ORDINARY = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null"})
"""Values that hide nothing: who reads them knows no more than the field."""

_MARK = re.compile(rf"{SECRET_PREFIX}[0-9a-f]{{16}}")
_USERINFO = re.compile(rf"(?<=://)(?!{_MARK.pattern}@)[^/?#\s]+(?=@)")

Secrets = tuple[SecretStr, ...]


def is_ordinary(value: str) -> bool:
    """Whether a value is blank, or a word that hides nothing."""
    return not value.strip() or value.lower() in _ORDINARY


def userinfo_in(texts: Iterable[str]) -> Secrets:
    """Return the userinfo of every URL in some texts."""
    return tuple(SecretStr(found) for text in texts for found in _USERINFO.findall(text))


def mark(value: str) -> str:
    """Return the digest that stands for a value."""
    return SECRET_PREFIX + hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()[:16]


def sealed(text: str, secrets: Secrets = ()) -> str:
    """Write each secret in a text as its digest; doing it twice changes nothing."""
    text = _USERINFO.sub(lambda found: mark(found.group()), text)
    whole, inside = _patterns(secrets)
    if text in whole:
        return mark(text)
    return inside.sub(lambda found: found.group(1) or mark(found.group()), text)


def hidden(text: str, secrets: Secrets = ()) -> str:
    """Write each secret in a text as `[secret]`, and each digest of one."""
    return _MARK.sub(HIDDEN, sealed(text, secrets))


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
    """Whether a secret, or the digest of one, stands anywhere in a JSON value."""
    if isinstance(value, str):
        return hidden(value, secrets) != value
    if isinstance(value, Mapping):
        return any(holds_secret(item, secrets) for item in value.values())
    if isinstance(value, list | tuple):
        return any(holds_secret(item, secrets) for item in value)
    return False


@functools.lru_cache(maxsize=64)
def _patterns(secrets: Secrets) -> tuple[frozenset[str], re.Pattern[str]]:
    """Return values that are secret as a whole, and what finds digests and values in a text."""
    values = {secret.get_secret_value() for secret in secrets}
    values = {value for value in values if not is_ordinary(value)}
    inside = sorted((v for v in values if len(v) >= LONG_ENOUGH), key=len, reverse=True)
    # a digest comes first: a value may be a part of one
    return frozenset(values), re.compile("|".join([f"({_MARK.pattern})", *map(re.escape, inside)]))
