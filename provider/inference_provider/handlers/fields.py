"""Fields as an engine keeps them <-> specs. Pure.

Goes in: JSON values, some of them `UNKNOWN` in a preview. Comes out: specs, or one fault per broken
rule; and the normalized inputs that an engine compares.
"""

import functools
import os
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from inference_provider.errors import SpecError
from inference_provider.files.wording import faults_of
from inference_provider.handlers.held import UNKNOWN, Fields
from inference_provider.observed import Kind
from inference_provider.secret_text import Secrets, mark, sealed
from inference_provider.spec import SpecModel
from inference_provider.spec.base import LOCAL_PATH
from inference_provider.spec.fields import in_clear, marked, models_in, with_defaults
from inference_provider.spec.kinds import ROWS
from inference_provider.spec.reference import Reference


def not_written(kind: Kind) -> frozenset[str]:
    """Return the fields of a kind that no user writes: outputs, and computed inputs."""
    return ROWS[kind].output_names | ROWS[kind].computed


def is_unknown(value: Any) -> bool:
    """Whether a value, or anything inside it, is known only when the program is applied."""
    if isinstance(value, Mapping):
        return any(is_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(is_unknown(item) for item in value)
    return value is UNKNOWN


def plain(value: Any) -> Any:
    """Return a value without nulls, with integral floats as integers and tuples as lists."""
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
        SpecError: With every fault; it never contains a value.
    """
    try:
        return spec_type.model_validate(fields)
    except ValidationError as exc:
        raise SpecError(faults_of(exc, spec_type), spec_type.__name__) from None


def parse_known(spec_type: type[SpecModel], fields: Fields) -> SpecModel:
    """Validate what a preview knows already; unknown fields get their default.

    Rules between several fields are checked only when all of them are known.

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
        # A plain attribute of the same name switches a rule off.
        **dict.fromkeys(rules, lambda self: self),
    }
    return types.new_class(
        spec_type.__name__, (spec_type,), exec_body=lambda body: body.update(namespace)
    )


def inputs_of(spec: SpecModel) -> dict[str, Any]:
    """Return every field of a spec as JSON values: secrets in clear text, nulls left out."""
    dumped: dict[str, Any] = plain(in_clear(spec))
    return dumped


def of_spec(spec_type: type[SpecModel], fields: Fields) -> dict[str, Any]:
    """Return only the fields that the spec has: no outputs, and none of a newer release."""
    return {name: item for name, item in fields.items() if name in spec_type.model_fields}


@functools.cache
def _local_paths(model: type[BaseModel]) -> frozenset[str]:
    """Return the dotted names of fields that hold a local path.

    Dotted, because a tag or a variable may have the same last name.
    """
    inside = (
        f"{name}.{path}"
        for name, info in model.model_fields.items()
        for inner in models_in(info.annotation)
        for path in _local_paths(inner)
    )
    return marked(model, LOCAL_PATH) | frozenset(inside)


def beyond_default(model: type[SpecModel], recorded: Fields, live: Fields) -> dict[str, Any]:
    """Return live values of fields that a state does not have, where they are not the default.

    Such a field was added by a newer release, or has null as its default.
    """
    meant = plain(with_defaults(model, recorded))
    return {
        name: item
        for name, item in plain(of_spec(model, live)).items()
        if name not in recorded and item != meant.get(name)
    }


def live_inputs(
    model: type[SpecModel], recorded: Fields, live: Fields, placeholders: Secrets = ()
) -> dict[str, Any]:
    """Return recorded inputs, updated with the live values.

    Local paths stay as recorded: a target does not know them.

    Args:
        model: The spec that the inputs belong to.
        recorded: Inputs of the last update; only their fields are updated.
        live: Properties as a target reports them, secrets as digests.
        placeholders: Secrets that `recorded` contains in clear text.
    """
    local = _local_paths(model)

    def live_value(was: Any, now: Any, path: str) -> Any:
        if path in local:
            return was
        if isinstance(now, Mapping) and isinstance(was, Mapping):
            kept = {key: item for key, item in was.items() if f"{path}.{key}" in local}
            found = {k: live_value(was.get(k), item, f"{path}.{k}") for k, item in now.items()}
            return plain({**kept, **found})
        if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
            pairs = zip(was, now, strict=True)
            return [live_value(one, other, path) for one, other in pairs]
        if _same_secret(was, now, placeholders) or _pins(was, now):
            return was
        return plain(now)

    return {name: live_value(item, live.get(name, item), name) for name, item in recorded.items()}


def _same_secret(recorded: Any, live: Any, placeholders: Secrets) -> bool:
    if not (isinstance(recorded, str) and isinstance(live, str)):
        return False
    return live in (mark(recorded), sealed(recorded, placeholders))


def _pins(asked: Any, live: Any) -> bool:
    """Whether `live` pins the reference `asked`: `name:1` -> `name:1@sha256:…`."""
    if not (isinstance(asked, str) and isinstance(live, str)):
        return False
    said, pinned = Reference.parse(asked), Reference.parse(live)
    return not said.digest and bool(pinned.digest) and said.fits(pinned.name, pinned.version)


def with_relative_paths(model: type[SpecModel], fields: Fields, folder: Path) -> dict[str, Any]:
    """Return fields with every local path made relative to the program's folder.

    An absolute path would differ between machines.
    """
    local = _local_paths(model)

    def relative(value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return {key: relative(item, f"{path}.{key}") for key, item in value.items()}
        if path in local and isinstance(value, str) and os.path.isabs(value):
            return os.path.relpath(value, folder)
        return value

    return {name: relative(item, name) for name, item in fields.items()}
