"""Digests of secrets in records, as they are kept: each by the workspace's key. Pure.

What is compared is a plain digest of a secret, which whoever tries all short texts finds out. So it
is kept by a key, and put back when a record is read, where the secret itself is kept too. One that
is kept nowhere else, a password inside a URL, stays a plain digest: nobody could put that back.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from inference_provider.sealing import keyed_digest
from inference_provider.secret_text import KEYED_PREFIX, SECRET_PREFIX, mark

PLACEHOLDERS, BLUEPRINTS, WEBHOOKS = "placeholders", "blueprints", "webhooks"
"""Sections of what is kept beside records, with secrets in clear text."""
_PLAIN = re.compile(rf"{SECRET_PREFIX}[0-9a-f]{{16}}")
_KEYED = re.compile(rf"{KEYED_PREFIX}[0-9a-f]{{16}}")


def by_key(text: str, key: bytes) -> str:
    """Return a plain digest as one that needs the key; any other text stays."""
    whole = text.startswith(SECRET_PREFIX)
    return KEYED_PREFIX + keyed_digest(text, key) if whole else text


def with_keyed(value: Any, values: Callable[[], Iterable[str]], key: Callable[[], bytes]) -> Any:
    """Return JSON with the digests of some secrets by a key.

    Args:
        value: What is to be kept.
        values: Returns the secrets that are kept too; asked only if there is a digest.
        key: Returns the workspace's; asked only if there is one of such a secret.
    """
    known = {mark(one) for one in values()} if _holds(value, SECRET_PREFIX) else set()
    if not known:
        return value
    return _changed(value, _PLAIN, {plain: by_key(plain, key()) for plain in known})


def with_plain(value: Any, values: Callable[[], Iterable[str]], key: bytes | None) -> Any:
    """Return JSON as `with_keyed` had it; a digest of another secret than those stays."""
    if key is None or not _holds(value, KEYED_PREFIX):
        return value
    known = {mark(one) for one in values()}
    return _changed(value, _KEYED, {by_key(plain, key): plain for plain in known})


def kept_secrets(
    placeholders: bytes | None, blueprints: bytes | None = None, webhooks: bytes | None = None
) -> list[str]:
    """Return the secrets that are kept beside a record; none of what cannot be read.

    Args:
        placeholders: The document with values of its placeholders.
        blueprints: Of a deployment, the document with its variables.
        webhooks: Of an endpoint, the document with who is told of its alerts.
    """
    texts, outline, urls = _parsed(placeholders), _parsed(blueprints), _parsed(webhooks)
    variables = outline.get("environment_variables") if isinstance(outline, dict) else None
    found = texts if isinstance(texts, list) else []
    for named in (variables, urls):
        found = [*found, *(named.values() if isinstance(named, dict) else ())]
    return [one for one in found if isinstance(one, str)]


_SCALARS = frozenset({int, float, bool, type(None)})
"""Of many values; to ask each what else it may be takes a twentieth of a review."""


def _parsed(document: bytes | None) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(document) if document else None
    return None


def _holds(value: Any, prefix: str) -> bool:
    if type(value) in _SCALARS:
        return False
    if isinstance(value, str):
        return prefix in value
    if isinstance(value, Mapping):
        return any(_holds(item, prefix) for item in value.values())
    return isinstance(value, list | tuple) and any(_holds(item, prefix) for item in value)


def _changed(value: Any, pattern: re.Pattern[str], known: Mapping[str, str]) -> Any:
    if type(value) in _SCALARS:
        return value
    if isinstance(value, str):
        return pattern.sub(lambda found: known.get(found.group(), found.group()), value)
    if isinstance(value, Mapping):
        return {name: _changed(item, pattern, known) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(item, pattern, known) for item in value]
    return value
