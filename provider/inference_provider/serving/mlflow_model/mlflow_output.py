"""What a model predicts -> JSON, as Azure ML writes it: bare, tables as records.

Goes in: any value that models return, of numpy, pandas, SciPy or PyTorch too, which are known by
what they can do, so that none is imported. NaN and infinity, which JSON has no word for, are null.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID


def answer_of(result: Any) -> str:
    """Return the body of the answer.

    Raises:
        TypeError: A value in it has no form in JSON.
    """
    return json.dumps(plain(result), allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value as JSON's own: None, bool, int, float, str, list and dict."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, Iterator)):
        return [plain(one) for one in value]
    for kinds, written in _SINGLE:
        if isinstance(value, kinds):
            return written(value)
    return None if _is_missing(value) else _of_libraries(value)


_SINGLE: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((bool, type(None)), lambda value: value),
    (str, str),
    (int, int),
    (float, lambda value: float(value) if math.isfinite(value) else None),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(value).decode("ascii")),
    ((Decimal, UUID), str),
)
"""Values that are one, and how they are written; numpy's floats and texts are of Python's too."""


def _of_libraries(value: Any) -> Any:
    if hasattr(value, "columns") and hasattr(value, "to_dict"):  # a table of pandas
        return plain(value.to_dict(orient="records"))
    if hasattr(value, "to_frame") and hasattr(value, "loc"):  # a column of one
        return plain(value.to_frame())
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind and kind in "mM" and hasattr(value, "shape"):  # its own list may be of nanoseconds
        return [plain(one) for one in value] if value.shape else str(value)
    for way in ("isoformat", "toarray", "tolist", "numpy", "to_dict", "model_dump"):
        if hasattr(value, way):
            found = getattr(value, way)()
            if found is not value:
                return plain(found)
    kind = f"{type(value).__module__}.{type(value).__name__}"
    raise TypeError(f"the model returned a value of {kind}, which has no form in JSON")


def _is_missing(value: Any) -> bool:
    """Whether it is NaT or NA: equal to nothing, not even to itself."""
    if getattr(value, "shape", ()) or hasattr(value, "columns"):
        return False
    if type(value).__name__ == "NAType":
        return True
    try:
        return bool(value != value)  # noqa: PLR0124 - nothing else is
    except (TypeError, ValueError):
        return False
