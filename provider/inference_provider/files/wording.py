"""pydantic's errors -> faults in our words, with the nearest known name for a misspelled field.

Goes in: a ValidationError and the model it came from. Values are never shown, only their type.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from inference_provider.errors import Fault
from inference_provider.files.written import is_required, known_fields, written

_Words = Callable[[Mapping[str, Any], object], tuple[str, str]]
"""From an error's context and the value: what is wrong, and what to do."""

_NAME_RULE = "use 3 to 32 letters, digits and single dashes, starting with a letter"
_PATTERN_RULES = (
    (r"^[a-zA-Z]([-a-zA-Z0-9]*", "not a valid name", _NAME_RULE),
    (
        r"^[a-zA-Z]([-a-zA-Z0-9]{0,30}",
        "not a valid name",
        "use at most 32 letters, digits and dashes, starting with a letter",
    ),
    (
        r"^(azureml:)?",
        "not a reference to an asset",
        "write name:version, name@latest, or name:version@sha256:<64 hex digits>",
    ),
    (
        r"^[a-zA-Z0-9][-_.a-zA-Z0-9]",
        "not a valid name or version",
        "use letters, digits, `-`, `_` and `.`, starting with a letter or digit",
    ),
    (
        r"^[a-zA-Z0-9][-_a-zA-Z0-9]{2,32}$",
        "not a valid name",
        "use 3 to 33 letters, digits, `-` and `_`, starting with a letter or digit",
    ),
    (
        r"^[A-Za-z0-9*][A-Za-z0-9*._/-]*$",
        "not an action",
        "write it like 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action'",
    ),
    (
        r"^[A-Za-z0-9]([- A-Za-z0-9._()]",
        "not a name of a role",
        "use letters, digits, blanks, `-`, `_`, `.` and parentheses; begin with a letter or digit",
    ),
    (r"^[A-Za-z0-9-]+$", "not the name of a header", "use letters, digits and dashes"),
    (r"^[!-~]{1,512}$", "not an audience", "use visible ASCII characters, without blanks"),
    (
        r"^[A-Za-z0-9_-]{1,128}$",
        "not the name of a claim",
        "use letters, digits, `_` and `-`: sub, oid or preferred_username",
    ),
    (r"^[!-~]{1,256}$", "not the name of a claim", "use visible ASCII characters, without blanks"),
    (r"^3\.", "not a Python version", "write it in quotes, like '3.12'"),
    (r"^\d+(\.\d+)?m?$", "not an amount of cores", "write '2', '0.5' or '500m'"),
    (r"^\d+(\.\d+)?([KMGT]i?", "not an amount of memory", "write '512Mi' or '4Gi'"),
    (
        r"^([a-zA-Z0-9][-.a-zA-Z0-9]*(:",
        "not the name of an image",
        "write it like 'registry.example.org/team/name:1', with small letters before the tag",
    ),
    (
        r"^[a-z0-9][-_.:/a-z0-9]*$",
        "not a registry and its folder",
        "write it like 'registry.example.org/team'",
    ),
    (r"^(\d+c\.)?\d+g\.", "not a MIG profile", "write it like '1g.5gb'"),
    (r"^(\d{1,3}(:", "not a GPU", "write its number or UUID, as `nvidia-smi -L` prints it"),
    (
        r"^[a-zA-Z0-9]([- .a-zA-Z0-9]*",
        "not the name of a product",
        "use letters, digits, spaces, `-` and `.`, like 'A100-SXM4-80GB'",
    ),
    (r"^[1-9][0-9]*(k|M|G|T|Ki", "not a size", "write it like '20Gi'"),
    (
        r"^[a-z][a-z0-9+.-]*://[A-Za-z0-9][^",
        "not the URL of a prefix in a bucket",
        "write it like 's3://models/demo', without credentials, port and query",
    ),
    (
        r"^(\*\.)?([a-z0-9]",
        "not a full name",
        "write it like 'pypi.org' or '*.pythonhosted.org', with small letters; no address",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.",
        "not a full host name",
        "write it like 'score.example.org'",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "not a namespace",
        "use small letters, digits and `-`, starting and ending with a letter or digit",
    ),
    (r"^\d+(\.\d+)?(m|[k", "not an amount", "write it like '8', '500m' or '64Gi'"),
    (
        r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)",
        "not the name of a label",
        "write it like 'pool' or 'example.org/pool'",
    ),
    (
        r"^([a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?)?$",
        "not the value of a label",
        "use letters, digits, `-`, `_` and `.`, starting and ending with a letter or digit",
    ),
    (
        r"^[a-zA-Z0-9]([-./a-zA-Z0-9]*",
        "not what Kubernetes counts",
        "write it like 'pods', 'requests.cpu' or 'requests.nvidia.com/gpu'",
    ),
    (
        r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
        "not a name of Kubernetes",
        "use small letters, digits, `-` and `.`, starting and ending with a letter or digit",
    ),
    (
        r"^(\.{0,2}[A-Za-z0-9_-]|",
        "not a path in a Vault",
        "write it like 'team/openai', without `.`, `..`, and / at its ends",
    ),
    (r"^/", "a route starts with / and has no spaces", "write it like '/score'"),
)
_LEAVE_OUT = ", or leave the field out"
"""End of advice that a field which has to be there does not get."""
_PLACE = ("not a place in a secret store", "use visible ASCII characters, without blanks")
_FIXED: Mapping[str, tuple[str, str]] = {
    "missing": ("this field is missing", "add it"),
    "int_type": ("not a whole number", "write digits only"),
    "int_parsing": ("not a whole number", "write digits only"),
    "int_from_float": ("not a whole number", "write digits only"),
    "float_type": ("not a number", "write digits, with a point where needed"),
    "float_parsing": ("not a number", "write digits, with a point where needed"),
    "bool_type": ("not a boolean", "write true or false"),
    "bool_parsing": ("not a boolean", "write true or false"),
    "dict_type": ("not a mapping", "write `key: value` lines under it"),
    "model_type": ("not a mapping", "write `field: value` lines under it"),
    "tuple_type": ("not a list", "start each item with `- `"),
    "list_type": ("not a list", "start each item with `- `"),
}


_IN_PYTHON: Mapping[str, str] = {
    # reasons
    "not text: YAML reads it as a number, a date, true or false": "not text",
    # remedies
    "put it in quotes": "write a string",
    "put it in quotes: without them YAML reads on, off, yes and no as true or false": (
        "write one of them as a string"
    ),
    "start each item with `- `": "write a list",
    "write `key: value` lines under it": "write a dictionary",
    "write `field: value` lines under it": "write a dictionary",
    "write true or false": "write True or False",
    "paths are relative to the stack file": "paths are relative to the program's folder",
}
"""Words of a fault in a stack file -> those of the same fault in a program."""


def in_a_program(fault: Fault) -> Fault:
    """Return a fault in the words of somebody who wrote Python instead of YAML."""
    reason = _IN_PYTHON.get(fault.reason, fault.reason)
    return Fault(fault.path, reason, _IN_PYTHON.get(fault.remedy, fault.remedy), fault.line)


def faults_of(error: ValidationError, model: type[BaseModel]) -> tuple[Fault, ...]:
    """Return one fault for each error, paths relative to the model."""
    return tuple(_fault(details, model) for details in error.errors(include_url=False))


def _fault(details: Any, model: type[BaseModel]) -> Fault:
    loc = tuple(str(part) for part in details["loc"] if part != "[key]")
    reason, remedy = _words(details, loc, model)
    return Fault(".".join(written(model, loc)), reason, remedy)


def _words(details: Any, loc: tuple[str, ...], model: type[BaseModel]) -> tuple[str, str]:
    kind, context, value = details["type"], details.get("ctx", {}), details.get("input")
    if kind in _FIXED:
        return _FIXED[kind]
    if kind == "extra_forbidden":
        return unknown_field(loc[-1], known_fields(model, loc[:-1]))
    if kind == "too_short":
        remedy = "add one" if is_required(model, loc) else "add one, or leave it out"
        least = context["min_length"]
        return ("empty" if least == 1 else f"fewer than {least} items"), remedy
    # the pattern is that of an audience too
    if loc[-2:-1] == ("stored_credentials",) and context.get("pattern") == r"^[!-~]{1,512}$":
        return _PLACE
    special = _SPECIAL.get(kind)
    if special is not None:
        reason, remedy = special(context, value)
        if remedy.endswith(_LEAVE_OUT) and is_required(model, loc):
            remedy = remedy.removesuffix(_LEAVE_OUT)
        return reason, remedy
    return str(details["msg"]).replace("Input should", "it should"), ""


def unknown_field(name: str, known: tuple[str, ...]) -> tuple[str, str]:
    """Return what to say of an unknown field, with the known one that may be meant."""
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    remedy = f"did you mean '{near[0]}'?" if near else f"known fields: {', '.join(known)}"
    return f"unknown field '{name}'", remedy


def _pattern(context: Mapping[str, Any], _value: object) -> tuple[str, str]:
    pattern = str(context["pattern"])
    for start, reason, remedy in _PATTERN_RULES:
        if pattern.startswith(start):
            return reason, remedy
    return "wrong format", f"match {pattern}"


def _text(_context: Mapping[str, Any], value: object) -> tuple[str, str]:
    if isinstance(value, dict | list):
        return "not text", "write one plain value"
    if value is None:
        return "expected text, got nothing", f"write a value{_LEAVE_OUT}"
    return "not text: YAML reads it as a number, a date, true or false", "put it in quotes"


def _choice(context: Mapping[str, Any], value: object) -> tuple[str, str]:
    if isinstance(value, bool):
        hint = "put it in quotes: without them YAML reads on, off, yes and no as true or false"
        return f"expected {context['expected']}, got {str(value).lower()}", hint
    return "not a known value", f"use {context['expected']}"


def _own_rule(context: Mapping[str, Any], _value: object) -> tuple[str, str]:
    reason, _, remedy = str(context["error"]).partition("; ")
    return reason, remedy


def _limit(word: str, key: str, remedy: str) -> _Words:
    return lambda context, _value: (f"{word} the limit of {context[key]}", remedy)


_SPECIAL: Mapping[str, _Words] = {
    "string_pattern_mismatch": _pattern,
    "string_type": _text,
    "literal_error": _choice,
    "value_error": _own_rule,
    "less_than_equal": _limit("above", "le", "lower it"),
    "greater_than_equal": _limit("below", "ge", "raise it"),
    "string_too_short": lambda c, _: (
        f"shorter than {c['min_length']} characters",
        _NAME_RULE if c["min_length"] > 1 else "write at least one character",
    ),
    "string_too_long": lambda c, _: (f"longer than {c['max_length']} characters", "shorten it"),
}
