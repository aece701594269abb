"""Which fields hold text of a person's own, where a secret may stand.

Names, references and amounts have a pattern, and enumerations have words, that no secret keeps;
folders, content hashes and addresses say where something is.
"""

import functools
import typing
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel

from inference_provider.spec.base import (
    COMPUTED,
    FREE_TEXT,
    LOCAL_PATH,
    NO_SECRET,
    ChangeClass,
    FieldRole,
    SpecModel,
)
from inference_provider.spec.fields import models_in


def is_free_text(spec_type: type[BaseModel], path: str) -> bool:
    """Whether text at a dotted path of a spec may be anything."""
    name, _, inside = path.partition(".")
    if name not in free_fields(spec_type):
        return False
    models = models_in(spec_type.model_fields[name].annotation)
    return is_free_text(models[0], inside) if models and inside else True


@functools.cache
def free_fields(spec_type: type[BaseModel]) -> frozenset[str]:
    """Return the fields of a model that hold free text, or models that may."""
    return frozenset(
        name
        for name, info in spec_type.model_fields.items()
        if (FREE_TEXT in info.metadata or _is_free(info.annotation, info.metadata))
        and not _is_identity(info.metadata)
        and not any(mark in info.metadata for mark in (COMPUTED, NO_SECRET))
        and (LOCAL_PATH not in info.metadata or _may_be_content(info.annotation))
    )


def _may_be_content(annotation: Any) -> bool:
    """Whether what a path leads to may also be written in its place."""
    return typing.get_origin(annotation) is dict or any(
        _may_be_content(argument) for argument in typing.get_args(annotation)
    )


def _is_identity(metadata: Iterable[Any]) -> bool:
    return any(isinstance(m, FieldRole) and m.change == ChangeClass.REPLACE for m in metadata)


def _is_free(annotation: Any, metadata: Iterable[Any] = ()) -> bool:
    if _has_pattern(metadata):
        return False
    if isinstance(annotation, type):
        return annotation is str or issubclass(annotation, SpecModel)
    if typing.get_origin(annotation) is Annotated:
        return _is_free(annotation.__origin__, annotation.__metadata__)
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:  # no placeholder stands in a key
        parts = parts[1:]
    return any(_is_free(part) for part in parts)


def _has_pattern(metadata: Iterable[Any]) -> bool:
    return any(
        getattr(m, "pattern", None) is not None or _has_pattern(getattr(m, "metadata", ()))
        for m in metadata
    )
