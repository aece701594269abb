"""Which fields hold text of a person's own, where a secret may stand.

Names, references and amounts have a pattern, and enumerations have words, that no secret keeps;
folders, content hashes and addresses say where something is.
"""

import functools
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any

from inference_provider.spec.base import ChangeClass, FieldRole, SpecModel

_PLACES = frozenset({"bind_address", "path", "requirements_file", "code", "content_hash"})


def is_free_text(spec_type: type[SpecModel], path: str) -> bool:
    """Whether text at a dotted path of a spec may be anything."""
    name, _, inside = path.partition(".")
    if name not in _free_fields(spec_type):
        return False
    model = _model_in(spec_type.model_fields[name].annotation)
    return is_free_text(model, inside) if model and inside else True


@functools.cache
def _free_fields(spec_type: type[SpecModel]) -> frozenset[str]:
    return frozenset(
        name
        for name, info in spec_type.model_fields.items()
        if name not in _PLACES
        and _is_free(info.annotation, info.metadata)
        and not _is_identity(info.metadata)
    )


def _is_identity(metadata: Iterable[Any]) -> bool:
    return any(isinstance(m, FieldRole) and m.change == ChangeClass.REPLACE for m in metadata)


def _is_free(annotation: Any, metadata: Iterable[Any] = ()) -> bool:
    if _has_pattern(metadata):
        return False
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation is str or issubclass(annotation, SpecModel)
    if typing.get_origin(annotation) is Annotated:
        return _is_free(annotation.__origin__, annotation.__metadata__)
    return any(_is_free(argument) for argument in typing.get_args(annotation))


def _has_pattern(metadata: Iterable[Any]) -> bool:
    return any(
        getattr(m, "pattern", None) is not None or _has_pattern(getattr(m, "metadata", ()))
        for m in metadata
    )


def _model_in(annotation: Any) -> type[SpecModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, SpecModel) else None
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
