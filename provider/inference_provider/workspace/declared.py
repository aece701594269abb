"""Whether any record of a kind declares a field; each publication of a cluster asks that."""

import json
from functools import lru_cache

from inference_provider.observed import Kind
from inference_provider.workspace.ports import Records
from inference_provider.workspace.state import RECORDS

_KNOWN = 20_000
"""Answers that are remembered, one a record and field."""


def any_declares(records: Records, kind: Kind, field: str) -> bool:
    """Whether a record of a kind has something in a field; skips what cannot be read."""
    beginning = f"{kind.value}."
    documents = records.section(RECORDS).items()
    return any(_declares(text, field) for name, text in documents if name.startswith(beginning))


@lru_cache(_KNOWN)  # an edit changes few records
def _declares(document: bytes, field: str) -> bool:
    try:
        return bool(json.loads(document)["properties"].get(field))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
