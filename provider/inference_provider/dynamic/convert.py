"""Pulumi's property bags <-> the handlers' plain values.

Goes in: what the engine hands a provider: numbers as floats, `Unknown` objects in a preview,
wrapped secrets, `__provider` among the fields. Comes out: inputs and what a state holds; and back,
the bags that Pulumi stores.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pulumi import output
from pulumi.runtime import rpc
from pydantic import SecretStr, ValidationError

from inference_provider.handlers import UNKNOWN, Held, Inputs, Unknown, is_unknown, not_written
from inference_provider.handlers.fields import plain
from inference_provider.handlers.state_keys import (
    DEGRADED_KEY,
    HELD_BY_KEY,
    HOME_KEY,
    INCARNATION_KEY,
    NOT_FIELDS,
    OWNER_KEY,
    PLACE_KEY,
    PLACEHOLDERS_KEY,
)
from inference_provider.observed import Kind
from inference_provider.spec.target import Place, json_of, place_from

Bag = dict[str, Any]
"""Fields by name, as JSON values; `Unknown` objects among them in a preview."""


def inputs_of(bag: Mapping[str, Any]) -> Inputs:
    """Read inputs from a bag."""
    plain_bag = _from_pulumi(bag)
    return Inputs(
        fields={name: item for name, item in plain_bag.items() if name not in NOT_FIELDS},
        owner=plain_bag.get(OWNER_KEY, ""),
        placeholders=tuple(map(SecretStr, plain_bag.get(PLACEHOLDERS_KEY, ()))),
        place=_place_of(plain_bag.get(PLACE_KEY, "local")),
        home=plain_bag.get(HOME_KEY, {}),
        degraded=plain_bag.get(DEGRADED_KEY, ""),
        held_by=plain_bag.get(HELD_BY_KEY, ""),
    )


def held_of(kind: Kind, bag: Mapping[str, Any]) -> Held:
    """Read what a state holds from a bag of outputs, which contains the inputs too."""
    outputs = {name: _from_pulumi(bag[name]) for name in not_written(kind) if name in bag}
    return Held(inputs_of(bag), outputs, _from_pulumi(bag.get(INCARNATION_KEY)) or "")


def bag_of_inputs(inputs: Inputs) -> Bag:
    """Write inputs as Pulumi stores them; what is not a field is left out when empty."""
    placeholders = [secret.get_secret_value() for secret in inputs.placeholders]
    optional = {
        PLACEHOLDERS_KEY: placeholders,
        PLACE_KEY: _bag_of_place(inputs.place),
        HOME_KEY: dict(inputs.home),
        DEGRADED_KEY: inputs.degraded,
        HELD_BY_KEY: inputs.held_by,
    }
    bag = {**inputs.fields, OWNER_KEY: inputs.owner, **_given(optional.items())}
    written: Bag = _to_pulumi(bag)
    return written


def bag_of_held(held: Held) -> Bag:
    """Write what a state holds as outputs: the inputs, and the outputs computed from them."""
    incarnation = _given([(INCARNATION_KEY, held.incarnation)])
    return {**bag_of_inputs(held.inputs), **_to_pulumi(held.outputs), **incarnation}


def _place_of(value: Any) -> Place | Unknown:
    if is_unknown(value):
        return UNKNOWN
    try:
        return place_from(value)
    except ValidationError:  # written by a newer release
        return UNKNOWN


def _bag_of_place(place: Place | Unknown) -> Any:
    if isinstance(place, Unknown):
        return place
    return "" if place == "local" else json_of(place)


def _given(items: Iterable[tuple[str, Any]]) -> Bag:
    return {name: item for name, item in items if item}


def _from_pulumi(value: Any) -> Any:
    """Return a value without secret wrappers and nulls, and with integral floats as integers."""
    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, output.Unknown) or value == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: _from_pulumi(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_from_pulumi(item) for item in value]
    return plain(value)


def _to_pulumi(value: Any) -> Any:
    if value is UNKNOWN:
        return output.UNKNOWN
    if isinstance(value, Mapping):
        return {key: _to_pulumi(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_pulumi(item) for item in value]
    return value
