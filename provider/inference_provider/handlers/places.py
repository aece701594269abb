"""Where a resource is: in two places, one address can name two resources."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError

from inference_provider.errors import Fault, TargetError
from inference_provider.handlers.held import UNKNOWN, Inputs, Unknown
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.target import Home, Place, place_from
from inference_provider.workspace.engine import Engine


class Located(NamedTuple):
    """A resource in its place."""

    place: Place | Unknown
    id: ResourceId


class Site(NamedTuple):
    """A place, and the target that was opened there."""

    place: Place
    target: Engine


def goes_elsewhere(kind: Kind, held: Inputs, wanted: Inputs) -> bool | None:
    """Whether a resource is wanted in another place; None if it is the same in other words."""
    place, was = place_of(kind, wanted), place_of(kind, held)
    if place is UNKNOWN:
        return False
    same_home = Home(wanted.home).is_that_of(held.home)
    if same_home is False:
        return True
    return False if place == was else None if same_home else True


def led_away(ids: Mapping[str, str], home: Home) -> Fault | None:
    """Say that a state's place leads to something else than it did; None if it does not."""
    if home.is_that_of(ids) is not False:
        return None
    what = home.told_by(ids)
    now = f"{home.ids[what]} ({home.name})"
    reason = f"its state says {what} {ids[what]}, and the target leads to {now} now"
    remedy = (
        "switch the context or host back; to move the stack then, name the old place in `target`,"
        " apply, and name the new one; if the old one is gone for good: `pulumi state delete`"
    )
    return Fault("", reason, remedy)


def refuse_another_home(inputs: Inputs, resource: str, home: Home) -> None:
    """Raise TargetError where a state's place leads to something else than it did."""
    fault = led_away(inputs.home, home)
    if fault is not None:
        raise TargetError("open", resource, fault.reason, fault.remedy)


def place_of(kind: Kind, inputs: Inputs) -> Place | Unknown:
    """Return where a resource is; UNKNOWN if a preview does not know, or it is not a place."""
    if kind != Kind.WORKSPACE or "target" not in inputs.fields:
        return inputs.place
    try:
        return place_from(inputs.fields["target"])
    except ValidationError:
        return UNKNOWN
