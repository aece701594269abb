"""The mark of a field that names other resources, and what the fields of one resource name. Pure.

Goes in: a model, and fields by name: of a spec, a record or a program. Comes out: each resource of
the same workspace that they name. How a text names an asset is known to `reference.py`.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretStr

from inference_provider.injection import injected
from inference_provider.spec.base import Kind
from inference_provider.spec.reference import Reference

_Fields = Mapping[str, Any]


class Named(NamedTuple):
    """A resource that a field of another one of its workspace names."""

    field: str
    """The field: `endpoint`, `traffic.blue`."""
    kind: Kind
    parts: tuple[Any, ...]
    """Its name, as the fields of its kind's identity behind the workspace; of an asset a Reference.
    What a program wrote may contain values that only an engine knows."""

    @property
    def name(self) -> str:
        """Its name in its workspace: `iris`, `iris/blue`, `iris:1`, `iris@latest`."""
        if isinstance(self.parts, Reference):
            return self.parts.asset
        return "/".join(self.parts)


@dataclass(frozen=True)
class Names:
    """What a field names; stands in the field's annotation."""

    kinds: tuple[Kind, ...]
    """Kinds of what it may name."""
    read: Callable[[str, Any, _Fields], Iterator[Named]]
    """From the field, its value and all fields."""
    is_name: bool = False
    """Whether its whole value stands for one resource, of the first of its kinds in a program."""
    remedy: str = ""
    """What to do when it names what is not there; empty to declare that."""


@functools.cache
def names_of(model: type[BaseModel]) -> Mapping[str, Names]:
    """Return the fields of a model that name others, with their marks."""
    marks = {
        name: next((m for m in info.metadata if isinstance(m, Names)), None)
        for name, info in model.model_fields.items()
    }
    return {name: mark for name, mark in marks.items() if mark is not None}


def named_in(model: type[BaseModel], fields: _Fields) -> tuple[Named, ...]:
    """Return what fields name, in the order of the model's fields."""
    return tuple(
        named
        for field, names in names_of(model).items()
        if (value := fields.get(field)) is not None
        for named in names.read(field, value, fields)
    )


# -- the marks -------------------------------------------------------------------------------------


def names(
    kind: Kind, *, behind: str = "", only_if: tuple[str, str] | None = None, remedy: str = ""
) -> Names:
    """Mark a field whose value is the name of a resource.

    Args:
        kind: Of the resource.
        behind: The field that names the endpoint it is behind; empty for what has none.
        only_if: Another field, and its default: with any other value this field names nothing.
        remedy: What to do when the resource is not there; empty to declare it.
    """

    def read(field: str, value: Any, fields: _Fields) -> Iterator[Named]:
        if only_if and fields.get(only_if[0]) not in (None, only_if[1]):
            return
        if not behind:
            yield Named(field, kind, (value,))
        elif fields.get(behind) is not None:
            yield Named(field, kind, (fields[behind], value))

    return Names((kind,), read, is_name=True, remedy=remedy)


def names_asset(kind: Kind) -> Names:
    """Mark a field whose value is the reference of an asset."""

    def read(field: str, value: Any, _fields: _Fields) -> Iterator[Named]:
        if isinstance(value, str):
            yield Named(field, kind, Reference.parse(value))

    return Names((kind,), read, is_name=True)


def names_shares(kind: Kind, *, behind: str, remedy: str) -> Names:
    """Mark a field that has a share for each resource behind an endpoint; 0 names none."""

    def read(field: str, value: Any, fields: _Fields) -> Iterator[Named]:
        endpoint = fields.get(behind)
        if not isinstance(value, Mapping) or endpoint is None:
            return
        for name, share in value.items():
            if isinstance(share, int | float) and share > 0:
                yield Named(f"{field}.{name}", kind, (endpoint, name))

    return Names((kind,), read, remedy=remedy)


def names_principal(kind: Kind, *, only_if: tuple[str, str], remedy: str) -> Names:
    """Mark a field that names an identity, or an endpoint whose own identity is meant.

    Args:
        kind: Of an identity; `endpoints/iris` means that of the endpoint.
        only_if: Another field, and its default: with any other value this field names nothing.
        remedy: What to do when the identity is not there.
    """
    by_name = names(kind, only_if=only_if)
    of_endpoint = names_path({"endpoints": Kind.ENDPOINT})

    def read(field: str, value: Any, fields: _Fields) -> Iterator[Named]:
        for named in by_name.read(field, value, fields):
            its = isinstance(value, str) and "/" in value
            yield from of_endpoint.read(field, value, fields) if its else (named,)

    return Names((kind, Kind.ENDPOINT), read, is_name=True, remedy=remedy)


def names_path(kinds: Mapping[str, Kind]) -> Names:
    """Mark a field with a text such as `endpoints/iris`.

    Args:
        kinds: By the word before the slash; a text with another word names nothing. What follows
            the name, as in `endpoints/iris/deployments/blue`, is part of what it names.
    """

    def read(field: str, value: Any, _fields: _Fields) -> Iterator[Named]:
        word, _, rest = value.partition("/") if isinstance(value, str) else ("", "", "")
        name = rest.partition("/")[0]
        if name and word in kinds:
            yield Named(field, kinds[word], (name,))

    return Names(tuple(kinds.values()), read)


def names_connections() -> Names:
    """Mark a field of variables, of which some get their value of a connection."""

    def read(field: str, value: Any, _fields: _Fields) -> Iterator[Named]:
        for variable, text in value.items() if isinstance(value, Mapping) else ():
            clear = text.get_secret_value() if isinstance(text, SecretStr) else text
            asked = injected(clear) if isinstance(clear, str) else None
            if asked is not None:
                yield Named(f"{field}.{variable}", Kind.CONNECTION, (asked.connection,))

    return Names((Kind.CONNECTION,), read)
