"""Values <-> JSON that every parser reads alike (RFC 8259 and RFC 7493).

Goes in: a value of ours, or text that a model answered. Comes out: ASCII text without NaN, lone
surrogates or doubled keys; or the text's value, where it is such JSON.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

DEEPEST = 60
"""Levels of an answer that is passed on as JSON; parsers with a limit allow 64 or more."""


def write(value: Any, indent: int | None = 2) -> str:
    """Return a value as JSON; what JSON has no form for stands as text."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def read(text: str) -> Any:
    """Return the value of strict JSON.

    Raises:
        ValueError: It is none, or not all parsers would read the same value.
    """
    try:
        value = json.loads(
            text,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_unlike,
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    level, depth = [value], 0
    while level:
        depth += 1
        level = [item for one in level for item in _inside(one)]
    if depth > DEEPEST:
        raise ValueError("nested too deep")
    json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is a UnicodeEncodeError
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value).encode(errors="replace").decode()


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant[:20]} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _whole(digits: str) -> int:
    _finite(digits)  # other languages read each number as a float
    return int(digits)


def _unlike(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
