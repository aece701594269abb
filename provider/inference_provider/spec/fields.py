"""What a model's annotations say of its fields, and what follows from that for a value. Pure.

Goes in: a model, or a spec, or recorded properties. Comes out: roles and marks by field; what of a
spec is recorded; properties with the defaults of today filled in, or left out.
"""

import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union

from pydantic import BaseModel, SecretStr

from inference_provider.injection import is_reference
from inference_provider.secret_text import mark
from inference_provider.spec.base import LOCAL_PATH, FieldMark, FieldRole, SpecModel


@functools.cache
def field_roles(model: type[SpecModel]) -> Mapping[str, FieldRole]:
    """Return what a change of each top-level field means."""
    return {
        name: next((m for m in info.metadata if isinstance(m, FieldRole)), FieldRole())
        for name, info in model.model_fields.items()
    }


@functools.cache
def marked(model: type[BaseModel], field_mark: FieldMark) -> frozenset[str]:
    """Return the fields of a model, not of those inside it, that carry a mark."""
    return frozenset(
        name for name, info in model.model_fields.items() if field_mark in info.metadata
    )


def types_in(annotation: Any) -> tuple[type, ...]:
    """Return the classes inside Annotated, unions, tuple[...] and dict[...]."""
    if isinstance(annotation, type):
        return (annotation,)
    return tuple(found for part in typing.get_args(annotation) for found in types_in(part))


def models_in(annotation: Any) -> tuple[type[BaseModel], ...]:
    """Return the models among the classes inside an annotation."""
    return tuple(found for found in types_in(annotation) if issubclass(found, BaseModel))


def models_under(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return a model and every model inside it, by name."""
    found = {model.__name__: model}
    for info in model.model_fields.values():
        for inner in models_in(info.annotation):
            if inner.__name__ not in found:
                found |= models_under(inner)
    return found


@functools.cache
def kind_of(model: type[BaseModel]) -> str:
    """Return the literal that a model of a union on `kind` stands for; empty for any other."""
    info = model.model_fields.get("kind")
    literal = info.annotation if info else None
    return str(typing.get_args(literal)[0]) if typing.get_origin(literal) is Literal else ""


def model_for(models: tuple[type[SpecModel], ...], value: Any) -> type[SpecModel]:
    """Return the model of a union on `kind` that a mapping is written for; else the first."""
    if len(models) == 1:
        return models[0]
    kind = value.get("kind") if isinstance(value, Mapping) else None
    return next((model for model in models if kind and kind_of(model) == kind), models[0])


# -- specs -> properties ---------------------------------------------------------------------------


def in_clear(value: Any) -> Any:
    """Return a spec, or a value of one, as plain values with each secret in clear text."""
    if isinstance(value, BaseModel):
        return in_clear(value.model_dump(mode="python"))
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: in_clear(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [in_clear(item) for item in value]
    return value


_PLAIN = frozenset({str, int, float, bool, type(None)})
"""Of most values; asking each what else it may be takes a third of a drift's processor time."""


def recorded(spec: SpecModel) -> dict[str, Any]:
    """Return what is recorded of a spec: JSON values, no local path, each secret as its digest.

    What refers to a connection's secret stays as it is.
    """
    local = marked(type(spec), LOCAL_PATH)
    return {name: _json(value) for name, value in spec if name not in local}


def _json(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, SpecModel):
        return recorded(value)
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return text if is_reference(text) else mark(text)  # a reference is none
    if isinstance(value, Mapping):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value


# -- properties and the defaults of today ----------------------------------------------------------


def with_defaults(model: type[SpecModel], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties with the default of each field that they lack, at any depth.

    An older release knew fewer fields: what it recorded means the default of each new one. Local
    paths, which nobody records, are left out.
    """
    local = marked(model, LOCAL_PATH)
    known = {name: value for name, value in properties.items() if name not in local}
    return {**_defaults(model), **known, **in_nested(model, known, with_defaults)}


def without_defaults(model: type[SpecModel], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties without each field that has its default, at any depth."""
    defaults = _defaults(model)
    kept = {
        name: value
        for name, value in properties.items()
        if name not in defaults or value != defaults[name]
    }
    return {**kept, **in_nested(model, kept, without_defaults)}


@functools.cache
def _defaults(model: type[SpecModel]) -> Mapping[str, Any]:
    return {
        name: _json(info.get_default(call_default_factory=True))
        for name, info in model.model_fields.items()
        if not info.is_required() and LOCAL_PATH not in info.metadata
    }


# -- models inside others --------------------------------------------------------------------------


class _Shape(NamedTuple):
    """How the value of a field holds models: it stands for one, or it is a map or list of such."""

    models: tuple[type[SpecModel], ...]
    """A union where there are several; empty for a map or list."""
    inside: "_Shape | None" = None
    """Of each value of a map or list."""


_OnModel = Callable[[type[SpecModel], Mapping[str, Any]], dict[str, Any]]


def in_nested(
    model: type[SpecModel], properties: Mapping[str, Any], change: _OnModel
) -> dict[str, Any]:
    """Return the fields that hold other models, with `change` done to each of those."""
    return {
        name: _changed(shape, properties[name], change)
        for name, shape in _nested(model).items()
        if name in properties
    }


def keys_in(model: type[SpecModel], path: str) -> tuple[str, ...]:
    """Return the keys of a dotted path; one of a map, as of tags, may contain dots itself."""
    name, _, rest = path.partition(".")
    shape = _nested(model).get(name)
    if not rest:
        return (name,)
    if shape is None:
        return (name, rest)
    if shape.models:
        return (name, *_keys_in_one_of(shape.models, rest))
    inner = shape.inside.models if shape.inside else ()
    cuts = (i for i, character in enumerate(rest) if character == ".")
    for cut in cuts:
        if any(rest[cut + 1 :].partition(".")[0] in one.model_fields for one in inner):
            return (name, rest[:cut], *_keys_in_one_of(inner, rest[cut + 1 :]))
    return (name, rest)


def _keys_in_one_of(models: tuple[type[SpecModel], ...], path: str) -> tuple[str, ...]:
    name = path.partition(".")[0]
    return keys_in(next((m for m in models if name in m.model_fields), models[0]), path)


def _changed(shape: _Shape, value: Any, change: _OnModel) -> Any:
    if shape.inside is None:
        is_model = isinstance(value, Mapping)
        return change(model_for(shape.models, value), value) if is_model else value
    if isinstance(value, Mapping):
        return {key: _changed(shape.inside, item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(shape.inside, item, change) for item in value]
    return value


@functools.cache
def _nested(model: type[SpecModel]) -> Mapping[str, _Shape]:
    annotations = {name: info.annotation for name, info in model.model_fields.items()}
    return {name: _shape(found) for name, found in annotations.items() if models_in(found)}


def _shape(annotation: Any) -> _Shape:
    annotation = _bare(annotation)
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return _Shape((), _shape(parts[1]))
    if typing.get_origin(annotation) is tuple:
        return _Shape((), _shape(parts[0]))
    return _Shape(tuple(m for m in models_in(annotation) if issubclass(m, SpecModel)))


def _bare(annotation: Any) -> Any:
    """Return what an annotation is about, without Annotated and `| None`."""
    origin = typing.get_origin(annotation)
    parts = [part for part in typing.get_args(annotation) if part is not types.NoneType]
    only = origin is Annotated or (origin in (Union, types.UnionType) and len(parts) == 1)
    return _bare(parts[0]) if only else annotation
