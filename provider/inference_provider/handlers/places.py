"""Where a resource is: in two places, one address can name two resources."""

from typing import NamedTuple

from pydantic import ValidationError

from inference_provider.handlers.held import UNKNOWN, Inputs, Unknown
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.target import Place, place_from
from inference_provider.workspace.engine import Engine


class Located(NamedTuple):
    """A resource in its place."""

    place: Place | Unknown
    id: ResourceId


class Site(NamedTuple):
    """A place, and the target that was opened there."""

    place: Place
    target: Engine


def place_of(kind: Kind, inputs: Inputs) -> Place | Unknown:
    """Return where a resource is; UNKNOWN if a preview does not know, or it is not a place."""
    if kind != Kind.WORKSPACE or "target" not in inputs.fields:
        return inputs.place
    try:
        return place_from(inputs.fields["target"])
    except ValidationError:
        return UNKNOWN
