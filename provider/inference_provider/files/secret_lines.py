"""The text of a stack file -> the lines in which a secret stands in clear."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from inference_provider.injection import is_reference
from inference_provider.secret_text import hidden, is_ordinary
from inference_provider.spec.fields import models_in, types_in
from inference_provider.spec.kinds import ROWS

_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")
_Models = tuple[type[BaseModel], ...]


def secret_lines(text: str) -> frozenset[int]:
    """Return the lines of a document that holds a stack, counted from 0; only LF ends one.

    A value that a placeholder or a connection gives is none. The userinfo of a URL is one anywhere.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    found: set[int] = set()
    for node in _secrets(root):
        start, end = node.start_mark.index, node.end_mark.index
        last = start + len(text[start:end].rstrip())
        found.update(range(bisect_right(starts, start) - 1, bisect_right(starts, last)))
    lines = (_PLACEHOLDER.sub("", line) for line in text.split("\n"))
    return frozenset(found | {i for i, line in enumerate(lines) if hidden(line) != line})


def _secrets(root: Any) -> Iterator[Any]:
    """Yield the scalars that are secrets."""
    models: dict[str, _Models] = {row.listing: row.models for row in ROWS.values()}
    for key, value in root.value:
        for item in value.value if isinstance(value, yaml.SequenceNode) else ():
            yield from _in_model(item, models.get(key.value, ()))


def _in_model(node: Any, models: _Models) -> Iterator[Any]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _in_model(item, models)
    for key, value in node.value if models and isinstance(node, yaml.MappingNode) else ():
        infos = [
            info
            for model in models
            for name, info in model.model_fields.items()
            if key.value in (name, info.alias)
        ]
        if any(SecretStr in types_in(info.annotation) for info in infos):
            yield from _in_clear(value)
        elif infos:
            yield from _in_model(value, _models_of(infos))
        else:  # what is merged, or a value of a mapping of models
            yield from _in_model(value, models)


def _models_of(infos: Iterable[Any]) -> _Models:
    return tuple(model for info in infos for model in models_in(info.annotation))


def _in_clear(node: Any) -> Iterator[Any]:
    """Yield the scalars of a field that holds secrets."""
    if isinstance(node, yaml.ScalarNode):
        text = node.value
        given = not _PLACEHOLDER.sub("", text).strip() or is_reference(text)
        if not (given or is_ordinary(text)):
            yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _in_clear(item)
    else:
        for _, value in node.value:
            yield from _in_clear(value)
