"""What a program writes for a field -> what Pulumi's SDK can send, or an error of one sentence.

A path becomes text. A resource becomes its name or its reference, where the field names one of its
kind. Any other type would end in a traceback from the SDK.
"""

import inspect
import os
from collections.abc import Mapping
from typing import Any

import pulumi

from inference_provider.dynamic.base import KindProvider
from inference_provider.spec.kinds import ROWS, Kind


def sendable(where: str, field: str, value: Any, expected: Kind | None = None) -> Any:
    """Return the value of a field as the SDK sends it.

    Args:
        where: The resource, for a message: `Model 'iris'`.
        field: Its field.
        value: What the program wrote.
        expected: Kind of the resources that may be written for the field's value.

    Raises:
        RunError: The value cannot be sent.
    """
    if isinstance(value, pulumi.Resource):
        return _attribute(where, field, value, expected)
    return _plain(where, field, value)


def kind_of(resource: object) -> Kind | None:
    """Return the kind of a resource of this SDK, whatever its class is called; else None."""
    provider = getattr(resource, "provider_type", None)
    if isinstance(provider, type) and issubclass(provider, KindProvider):
        return provider.kind
    return None


def _attribute(where: str, field: str, resource: pulumi.Resource, expected: Kind | None) -> Any:
    kind = kind_of(resource)
    given = kind.value if kind else type(resource).__name__
    if expected is None:
        raise pulumi.RunError(
            f"{where}: {field} does not take a resource; pass an attribute of the {given}"
        )
    attribute = "reference" if ROWS[expected].is_asset else "name"
    if kind == expected:
        return getattr(resource, attribute)
    raise pulumi.RunError(
        f"{where}: {field} expects {_with_article(expected.value)} or its {attribute}, "
        f"not {_with_article(given)}"
    )


def _with_article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "AEIOU" else f"a {kind}"


def _plain(where: str, path: str, value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float | pulumi.Output):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _unsendable(where, f"a key of {path}", key, "a name in quotes")
        return {key: _plain(where, f"{path}.{key}", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(where, f"{path}.{i}", item) for i, item in enumerate(value)]
    if inspect.isawaitable(value):
        return value
    raise _unsendable(where, path, value, "text, a number, True, False, a list or a dictionary")


def _unsendable(where: str, path: str, value: Any, wanted: str) -> pulumi.RunError:
    if isinstance(value, pulumi.Resource):
        wanted = f"an attribute of it, such as its name; {wanted}"
    return pulumi.RunError(f"{where}: {path} is of type {type(value).__name__}; write {wanted}")
