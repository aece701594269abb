"""Output of a process -> text that an error may quote, without the secrets that we know. Pure.

Goes in: the text, and secrets that it may contain: keys, a deployment's variables, values of
placeholders. Comes out: the text with `[secret]` in place of each secret, whole or in part.
"""

import re
from collections.abc import Iterable, Iterator

from inference_provider.secret_text import (
    HIDDEN,
    LONG_ENOUGH,
    Secrets,
    hidden,
    is_ordinary,
)

PART = 6
"""Any run of this many characters of a secret is cut out, wherever it occurs."""


def without_secrets(text: str, secrets: Secrets = ()) -> str:
    """Replace every part of a secret that has 6 or more characters with `[secret]`.

    A secret of 4 or 5 characters, or one that repeats a single character, is replaced only where it
    is a whole word; a shorter one stays, and so does a word like `true`. The userinfo of any URL is
    replaced, too.

    Takes time proportional to the length of the text plus that of the secrets.
    """
    lines = {line for secret in secrets for line in secret.get_secret_value().splitlines()}
    values = {line for line in lines if len(line) >= LONG_ENOUGH and not is_ordinary(line)}
    text = _without_parts(text, values)
    words = [re.escape(v) for v in values if len(v) < PART or len(set(v)) == 1]
    if words:
        text = re.sub(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", HIDDEN, text)
    return hidden(text)


def _without_parts(text: str, values: Iterable[str]) -> str:
    parts = set(_parts(text))
    found = {part for value in values for part in _parts(value) if part in parts}
    # a line of dashes, or an indent, is no secret
    found = {part for part in found if len(set(part)) > 1}
    pieces: list[str] = []
    shown = end = 0
    for i, part in enumerate(_parts(text)):
        if part not in found:
            continue
        if i > end or not pieces:
            pieces += [text[shown:i], HIDDEN]
        shown = end = i + PART
    return "".join([*pieces, text[shown:]])


def _parts(text: str) -> Iterator[str]:
    return (text[i : i + PART] for i in range(len(text) - PART + 1))
