"""A document against the table of its fields -> what is unknown, of the wrong type, or refused.

Azure ML's own message stands in parentheses where it has one for the same fault. What a value may
be beyond its type is checked by the models of `spec/`, which the fields are mapped to.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from inference_provider.errors import Fault
from inference_provider.files.azureml.documents import AzureDocument
from inference_provider.files.azureml.fields import (
    FLAG,
    KINDS,
    MAP,
    NUMBER,
    TEXT,
    TEXTS,
    WHOLE,
    Field,
)
from inference_provider.files.lines import join
from inference_provider.files.wording import unknown_field

_OPTION = {"name": "--name NAME", "endpoint_name": "--endpoint NAME"}
SCALES_BY_DEFAULT = "ManagedOnlineEndpoint supports DefaultScaleSettings only."


class _Node(NamedTuple):
    field: Field | None
    inside: dict[str, "_Node"]


def checked(document: AzureDocument) -> list[Fault]:
    """Return every fault that a document has by itself, in the order of the document."""
    fields = KINDS[document.kind].fields
    faults = list(_walk(document, document.value, _tree(fields), ""))
    for one in fields:
        if one.required and document.value.get(one.path) is None:
            option = _OPTION.get(one.path)
            remedy = f"add it, or pass {option}" if option else "add it"
            reason = "this field is missing (Azure ML: Missing data for required field.)"
            faults.append(document.fault(one.path, reason, remedy))
    return faults


def words(value: str) -> str:
    """Return how a word is compared: Azure ML takes `AMLToken` for `aml_token`."""
    return value.lower().replace("_", "")


def _tree(fields: tuple[Field, ...]) -> _Node:
    root = _Node(None, {})
    for one in fields:
        node, parts = root, _parts(one.path)
        for i, part in enumerate(parts):
            known = node.inside.get(part, _Node(None, {}))
            if i == len(parts) - 1:
                known = _Node(one, known.inside)
            node.inside[part] = known
            node = known
    return root


def _parts(path: str) -> list[str]:
    return re.split(r"\.(?!com/)", path)  # `nvidia.com/gpu` is one key


def _walk(document: AzureDocument, value: Any, node: _Node, path: str) -> Iterator[Fault]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            known = node.inside.get(key, node.inside.get("*"))
            here = join(path, key)
            if known is None:
                reason, remedy = unknown_field(key, tuple(node.inside))
                yield document.fault(here, f"{reason} (Azure ML: Unknown field.)", remedy)
            elif known.field is not None and not (known.inside and isinstance(inner, Mapping)):
                yield from _value(document, inner, known.field, here)
            elif inner is not None:
                yield from _walk(document, inner, known, here)
    elif "[]" in node.inside and isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _walk(document, inner, node.inside["[]"], join(path, str(i)))
    else:
        wanted = "a list" if "[]" in node.inside else "a mapping"
        yield document.fault(path, f"expected {wanted}", "write `field: value` lines under it")


def _value(document: AzureDocument, value: Any, known: Field, path: str) -> Iterator[Fault]:
    if known.refused:
        yield document.fault(path, "not supported", known.refused)
    elif isinstance(known.values, tuple):
        yield from _word(document, value, known.values, path)
    elif value is not None and not _IS.get(known.values, _anything)(value):
        said = _AZURE.get(known.values)
        told = f"expected {known.values}, got {_type(value)}" + (
            f" (Azure ML: {said})" if said else ""
        )
        yield document.fault(path, told, _REMEDY.get(known.values, ""))


def _word(
    document: AzureDocument, value: Any, known: tuple[str, ...], path: str
) -> Iterator[Fault]:
    if isinstance(value, bool):
        reason = f"expected one of {', '.join(known)}, got {str(value).lower()}"
        hint = "put it in quotes: without them YAML reads on, off, yes and no as true or false"
        yield document.fault(path, reason, hint)
    elif value is not None and words(str(value)) not in map(words, known):
        if path == "scale_settings.type" and known == ("default",):
            reason = f"'{value}' is not supported (Azure ML: {SCALES_BY_DEFAULT})"
            yield document.fault(path, reason, "declare `autoscale_rules` in a stack file")
            return
        if path == "identity.type":
            reason = f"'{value}' is not supported"
            yield document.fault(path, reason, "use system_assigned, or write a stack file")
            return
        reason = f"'{value}' is not known (Azure ML: Value '{value}' passed is not in set)"
        yield document.fault(path, reason, f"use one of: {', '.join(known)}")


def _whole(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lstrip("-").isdecimal()
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    if isinstance(value, str):
        return value.replace(".", "", 1).isdecimal()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flag(value: Any) -> bool:
    return isinstance(value, bool) or str(value).lower() in ("true", "false")


def _anything(_value: Any) -> bool:
    return True


_IS: Mapping[str, Callable[[Any], bool]] = {
    TEXT: lambda value: isinstance(value, str | int | float) and not isinstance(value, bool),
    WHOLE: _whole,
    NUMBER: _number,
    FLAG: _flag,
    MAP: lambda value: isinstance(value, Mapping),
    TEXTS: lambda value: isinstance(value, list),
}
_AZURE = {TEXT: "Not a valid string.", WHOLE: "Not a valid integer."}
_REMEDY = {
    TEXT: "write one plain value, in quotes",
    WHOLE: "write digits only",
    NUMBER: "write digits, with a point where needed",
    FLAG: "write true or false",
}


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    names = {dict: "a mapping", list: "a list", float: "a fraction", str: "text", int: "a number"}
    return names.get(type(value), "something else")
