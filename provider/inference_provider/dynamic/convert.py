"""Pulumi's property bags <-> specs. Pure.

Goes in: what the engine hands a provider: numbers as floats, `Unknown` objects in a preview,
wrapped secrets, `__provider` among the fields. Comes out: specs, or one fault a broken rule, and
the normalized inputs that Pulumi compares.
"""

import functools
import types
from collections.abc import Mapping
from typing import Any

from pulumi.output import Unknown
from pulumi.runtime import rpc
from pydantic import SecretStr, ValidationError

from inference_provider.errors import SpecError
from inference_provider.files.wording import faults_of
from inference_provider.secret_text import Secrets, mark, sealed
from inference_provider.spec import SpecModel

PROVIDER_KEY = "__provider"
"""Where the SDK keeps the pickled provider, among the fields a person wrote."""

OWNER_KEY = "stack"
"""Input that holds the owner's label; not a field of any spec."""

PLACEHOLDERS_KEY = "placeholders"
"""Input that holds what placeholders of a stack file stood for in the fields; not a field."""

LOCAL_FIELDS = frozenset({"path", "requirements_file", "code", "stack_file"})
"""Where content came from on one machine: kept in inputs, never recorded by a target."""

Bag = dict[str, Any]
"""Fields by name, as JSON values; `Unknown` objects among them in a preview."""


def plain(value: Any) -> Any:
    """Return a value without secret wrappers and nulls, integral floats as integers."""
    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def is_unknown(value: Any) -> bool:
    """Whether a value, or anything inside it, is decided only when the program is applied."""
    if isinstance(value, Mapping):
        return any(is_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(is_unknown(item) for item in value)
    return isinstance(value, Unknown) or value == rpc.UNKNOWN


def written_fields(bag: Mapping[str, Any], computed: frozenset[str]) -> Bag:
    """Return what a person wrote for the spec: no `__provider`, owner, or computed field."""
    hidden = {PROVIDER_KEY, OWNER_KEY, PLACEHOLDERS_KEY, *computed}
    return {name: item for name, item in plain(bag).items() if name not in hidden}


def placeholders_of(bag: Mapping[str, Any]) -> Secrets:
    """Return what placeholders stood for in the fields of a resource."""
    return tuple(SecretStr(value) for value in plain(bag.get(PLACEHOLDERS_KEY)) or ())


def parse(spec_type: type[SpecModel], fields: Bag) -> SpecModel:
    """Validate known fields.

    Raises:
        SpecError: With every fault; values are never in it.
    """
    try:
        return spec_type.model_validate(fields)
    except ValidationError as exc:
        raise SpecError(faults_of(exc, spec_type), spec_type.__name__) from None


def parse_known(spec_type: type[SpecModel], fields: Bag) -> SpecModel:
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


def inputs_of(spec: SpecModel) -> Bag:
    """Return every field of a spec as JSON values: secrets in clear, nulls left out."""
    dumped: Bag = plain(_revealed(spec.model_dump(mode="python")))
    return dumped


def _revealed(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _revealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    return value


def live_inputs(recorded: Bag, live: Mapping[str, Any], placeholders: Secrets = ()) -> Bag:
    """Return Pulumi's recorded inputs with what is there now in place of what they say.

    Args:
        recorded: Inputs of the last update; decide which fields are looked at.
        live: Properties as a target answers them, secrets as digests.
        placeholders: Secrets that `recorded` has in clear.
    """
    return {
        name: _live_value(item, live.get(name, item), name, placeholders)
        for name, item in recorded.items()
    }


def _live_value(recorded: Any, live: Any, name: str, placeholders: Secrets) -> Any:
    if name in LOCAL_FIELDS:
        return recorded
    if isinstance(live, Mapping) and isinstance(recorded, Mapping):
        kept = {key: item for key, item in recorded.items() if key in LOCAL_FIELDS}
        merged = {
            key: _live_value(recorded.get(key), item, key, placeholders)
            for key, item in live.items()
        }
        return plain({**kept, **merged})
    if isinstance(recorded, list) and isinstance(live, list) and len(recorded) == len(live):
        pairs = zip(recorded, live, strict=True)
        return [_live_value(one, other, "", placeholders) for one, other in pairs]
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
    pinned, mark, _digest = live.partition("@sha256:")
    asked = asked.removeprefix("azureml:")
    latest = asked.endswith("@latest") and pinned.partition(":")[0] == asked.partition("@")[0]
    return bool(mark) and (asked == pinned or latest)


def model_paths(fields: Bag, relative: Any) -> Bag:
    """Return fields with every local path passed through `relative`."""
    changed = {k: relative(v) for k, v in fields.items() if k in LOCAL_FIELDS and v is not None}
    code = fields.get("code_configuration")
    if isinstance(code, Mapping) and isinstance(code.get("code"), str):
        changed["code_configuration"] = {**code, "code": relative(code["code"])}
    return {**fields, **changed}
