"""What a record says -> a model of it, for a record of a release whose checks were fewer.

A check that became stricter refuses what is declared now, and must not lock anybody out of what
is there: what was accepted once is read as it was.
"""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

Model = TypeVar("Model", bound=BaseModel)


def unchecked(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """Return a model with the fields that it has, in its types, whatever its checks say of them."""
    known = model.model_fields.items()
    held = {name: _shaped(one.annotation, fields[name]) for name, one in known if name in fields}
    return model.model_construct(**held)


def _shaped(kind: Any, value: Any) -> Any:
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _shaped(inside[0], value)
    if origin in (Union, UnionType):
        shaped = (_shaped(one, value) for one in inside)
        return next((one for one in shaped if one is not value), value)
    if kind is SecretStr and isinstance(value, str):
        return SecretStr(value)
    if isinstance(value, Mapping):
        return _shaped_mapping(kind, inside, value)
    if isinstance(value, list | tuple):
        return tuple(_shaped(inside[0] if inside else Any, one) for one in value)
    return value


def _shaped_mapping(kind: Any, inside: tuple[Any, ...], value: Mapping[str, Any]) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return unchecked(kind, value)
    of = inside[1] if len(inside) > 1 else Any
    return {name: _shaped(of, one) for name, one in value.items()}
