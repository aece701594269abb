"""What a process wrote -> text that an error may quote: no secret that we know is in it. Pure.

Goes in: the text, and what may stand in it: keys, variables of a deployment, what placeholders
stood for. Comes out: the text with `[secret]` in place of each, whole or in part.
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
"""Characters of a secret that are cut out wherever they stand, in its order."""


def without_secrets(text: str, secrets: Secrets = ()) -> str:
    """Return a text with every part of a secret, of 6 or more characters, as `[secret]`.

    A secret of 4 or 5 characters, or of one character many times, is taken out where it is a whole
    word; a shorter one is left, and so is a word like `true`. The userinfo of a URL is taken out
    whoever it belongs to.

    The time it takes grows with the length of the text and of the secrets, not with their product.
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
    # a line of dashes, or an indent, is nobody's secret
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
