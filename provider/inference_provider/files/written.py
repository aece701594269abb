"""pydantic's place of an error -> what a person wrote there, and what may be written there.

Goes in: a model and the parts of a place in it. A place inside a list has a number for a part, one
inside a map a key, and one inside a union of models the kind that was chosen, which nobody wrote.
"""

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from inference_provider.spec.base import COMPUTED
from inference_provider.spec.fields import kind_of, marked

_Place = tuple[str, ...]


def written(model: type[BaseModel], place: _Place) -> _Place:
    """Return the parts of a place without the kinds that pydantic puts between them."""
    found: list[str] = []
    here: Any = model
    for part in place:
        chosen = _chosen(here, part)
        if chosen is None:
            found.append(part)
        here = chosen or _inside(here, part)
    return tuple(found)


def known_fields(model: type[BaseModel], place: _Place) -> tuple[str, ...]:
    """Return the names of the fields a person may write at a place inside a model."""
    for here in _models_at(model, place):
        return tuple(name for name in here.model_fields if name not in marked(here, COMPUTED))
    return ()


def is_required(model: type[BaseModel], place: _Place) -> bool:
    """Whether what lies at a place has to be there."""
    fields = (_field(here, place[-1]) for here in _models_at(model, place[:-1]))
    return any(info.is_required() for info in fields if info)


def _models_at(model: type[BaseModel], place: _Place) -> tuple[type[BaseModel], ...]:
    here: Any = model
    for part in place:
        here = _chosen(here, part) or _inside(here, part)
    return tuple(one for one in _members(here) if _is_model(one))


def _chosen(annotation: Any, part: str) -> type[BaseModel] | None:
    """Return the model of a union on `kind` that a part of a place names."""
    models = [one for one in _members(annotation) if _is_model(one)]
    return next((one for one in models[1:] and models if kind_of(one) == part), None)


def _inside(annotation: Any, part: str) -> Any:
    """Return the annotation of what lies at a part; None where that is unknown."""
    for member in _members(annotation):
        if _is_model(member):
            if info := _field(member, part):
                return info.annotation
        elif get_origin(member) in (tuple, list, Sequence):
            return get_args(member)[0]
        elif get_origin(member) in (dict, Mapping):
            return get_args(member)[1]
    return None


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, of unions in it too; of anything else itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return tuple(found for one in get_args(annotation) for found in _members(one))
    return (annotation,)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _field(model: type[BaseModel], part: str) -> FieldInfo | None:
    fields = model.model_fields
    aliased = (info for info in fields.values() if info.alias == part)
    return fields.get(part) or next(aliased, None)
