"""Fields as an engine keeps them <-> specs. Pure.

Goes in: JSON values, `UNKNOWN` among them in a preview. Comes out: specs, or one fault a broken
rule, and the normalized inputs that an engine compares.
"""

import functools
import os
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from inference_provider.errors import SpecError
from inference_provider.files.wording import faults_of
from inference_provider.handlers.held import UNKNOWN, Fields
from inference_provider.observed import Kind
from inference_provider.secret_text import Secrets, mark, sealed
from inference_provider.spec import SpecModel

_LOCAL_PATHS = frozenset(
    {"path", "requirements_file", "stack_file"}
    | {"code_configuration.code", "code_configuration.stack_file"}
)
"""Where content came from on one machine: kept in inputs, never recorded by a target. Dotted: a tag
or a variable may have such a name too."""

COMPUTED: Mapping[Kind, frozenset[str]] = {
    Kind.WORKSPACE: frozenset({"router_url"}),
    Kind.MODEL: frozenset({"content_hash", "reference"}),
    Kind.ENVIRONMENT: frozenset({"content_hash", "reference"}),
    Kind.ENDPOINT: frozenset({"scoring_uri", "openapi_uri", "primary_key", "secondary_key"}),
    Kind.DEPLOYMENT: frozenset({"generation"}),
}
"""Outputs of a kind, and inputs that a check computes: never written by a person."""


def is_unknown(value: Any) -> bool:
    """Whether a value, or anything inside it, is decided only when the program is applied."""
    if isinstance(value, Mapping):
        return any(is_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(is_unknown(item) for item in value)
    return value is UNKNOWN


def plain(value: Any) -> Any:
    """Return a value without nulls, integral floats as integers, tuples as lists."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def parse(spec_type: type[SpecModel], fields: Fields) -> SpecModel:
    """Validate known fields.

    Raises:
        SpecError: With every fault; values are never in it.
    """
    try:
        return spec_type.model_validate(fields)
    except ValidationError as exc:
        raise SpecError(faults_of(exc, spec_type), spec_type.__name__) from None


def parse_known(spec_type: type[SpecModel], fields: Fields) -> SpecModel:
    """Validate what a preview knows already; fields that wait stand at their default.

    Rules between several fields are looked at when all are known.

    Raises:
        SpecError: With every fault in what is known.
    """
    unknown = frozenset(name for name, item in fields.items() if is_unknown(item))
    known = {name: item for name, item in fields.items() if name not in unknown}
    try:
        return _excusing(spec_type, unknown).model_validate(known)
    except ValidationError as exc:
        raise SpecError(faults_of(exc, spec_type), spec_type.__name__) from None


@functools.cache
def _excusing(spec_type: type[SpecModel], unknown: frozenset[str]) -> type[SpecModel]:
    """Derive a model in which some fields may be missing and rules between fields are off."""
    rules = spec_type.__pydantic_decorators__.model_validators
    excused = [name for name in unknown if name in spec_type.model_fields]
    namespace: dict[str, Any] = {
        "__module__": __name__,
        "__annotations__": dict.fromkeys(excused, Any),
        **dict.fromkeys(excused, None),
        # An attribute of the rule's name takes its place.
        **dict.fromkeys(rules, lambda self: self),
    }
    return types.new_class(
        spec_type.__name__, (spec_type,), exec_body=lambda body: body.update(namespace)
    )


def inputs_of(spec: SpecModel) -> dict[str, Any]:
    """Return every field of a spec as JSON values: secrets in clear, nulls left out."""
    dumped: dict[str, Any] = plain(_revealed(spec.model_dump(mode="python")))
    return dumped


def _revealed(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _revealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    return value


def of_spec(spec_type: type[SpecModel], fields: Fields) -> dict[str, Any]:
    """Return those fields that the spec has: no output, and none of a newer release."""
    return {name: item for name, item in fields.items() if name in spec_type.model_fields}


def comparable(spec_type: type[SpecModel], fields: Fields) -> dict[str, Any]:
    """Return the content of fields: today's defaults filled in, paths on one machine left out.

    A state of an older release has no value for a field that came later.
    """
    mine = of_spec(spec_type, fields)
    try:
        waiting = {name: item for name, item in mine.items() if is_unknown(item)}
        mine = {**inputs_of(parse_known(spec_type, mine)), **waiting}
    except SpecError:  # an older release took it: it is compared as it is
        pass
    content: dict[str, Any] = _without_local_paths(mine)
    return content


def _without_local_paths(value: Any, path: str = "") -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: _without_local_paths(item, f"{path}{key}.")
        for key, item in value.items()
        if f"{path}{key}" not in _LOCAL_PATHS
    }


def beyond_default(spec_type: type[SpecModel], recorded: Fields, live: Fields) -> dict[str, Any]:
    """Return what is there now of fields that a state has no value for, where it is no default.

    Such a field came with a newer release, or has none as its default.
    """
    meant = comparable(spec_type, recorded)
    return {
        name: item
        for name, item in plain(of_spec(spec_type, live)).items()
        if name not in recorded and item != meant.get(name)
    }


def live_inputs(recorded: Fields, live: Fields, placeholders: Secrets = ()) -> dict[str, Any]:
    """Return recorded inputs with what is there now in place of what they say.

    Args:
        recorded: Inputs of the last update; decide which fields are looked at.
        live: Properties as a target answers them, secrets as digests.
        placeholders: Secrets that `recorded` has in clear.
    """
    return {
        name: _live_value(item, live.get(name, item), name, placeholders)
        for name, item in recorded.items()
    }


def _live_value(recorded: Any, live: Any, path: str, placeholders: Secrets) -> Any:
    if path in _LOCAL_PATHS:
        return recorded
    if isinstance(live, Mapping) and isinstance(recorded, Mapping):
        kept = {key: item for key, item in recorded.items() if f"{path}.{key}" in _LOCAL_PATHS}
        merged = {
            key: _live_value(recorded.get(key), item, f"{path}.{key}", placeholders)
            for key, item in live.items()
        }
        return plain({**kept, **merged})
    if isinstance(recorded, list) and isinstance(live, list) and len(recorded) == len(live):
        pairs = zip(recorded, live, strict=True)
        return [_live_value(one, other, path, placeholders) for one, other in pairs]
    if _same_secret(recorded, live, placeholders) or _pins(recorded, live):
        return recorded
    return plain(live)


def _same_secret(recorded: Any, live: Any, placeholders: Secrets) -> bool:
    if not (isinstance(recorded, str) and isinstance(live, str)):
        return False
    return live in (mark(recorded), sealed(recorded, placeholders))


def _pins(asked: Any, live: Any) -> bool:
    """Whether `live` is what the reference `asked` stood for: `name:1` -> `name:1@sha256:…`."""
    if not (isinstance(asked, str) and isinstance(live, str)):
        return False
    pinned, digest_mark, _digest = live.partition("@sha256:")
    asked = asked.removeprefix("azureml:")
    latest = asked.endswith("@latest") and pinned.partition(":")[0] == asked.partition("@")[0]
    return bool(digest_mark) and (asked == pinned or latest)


def with_relative_paths(fields: Fields, folder: Path) -> dict[str, Any]:
    """Return fields with every local path relative to the program's folder.

    An absolute path differs by machine.
    """
    relative: dict[str, Any] = _relative(fields, "", folder)
    return relative


def _relative(value: Any, path: str, folder: Path) -> Any:
    if isinstance(value, Mapping):
        dot = f"{path}." if path else ""
        return {key: _relative(item, f"{dot}{key}", folder) for key, item in value.items()}
    if path in _LOCAL_PATHS and isinstance(value, str) and os.path.isabs(value):
        return os.path.relpath(value, folder)
    return value
