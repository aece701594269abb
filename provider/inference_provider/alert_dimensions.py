"""What the dimensions of alert rules name -> what no series can have, and what is not there. Pure.

A rule whose dimensions leave no series never fires, and nothing else would say so. Not in the types
of a rule, since records of a release that took such values must stay readable.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from inference_provider.errors import Fault
from inference_provider.metrics.catalogue import HEALTHY, UNHEALTHY
from inference_provider.observed import Kind, ObservedState, Presence, ResourceId
from inference_provider.plan import ActionKind, Plan
from inference_provider.spec.alert import AlertRule
from inference_provider.spec.base import ResourceName

_STATES = (HEALTHY, UNHEALTHY)
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_NAME = TypeAdapter[str](ResourceName)


def dimension_faults(rules: Mapping[str, AlertRule]) -> Iterator[Fault]:
    """Yield a fault for each value of a dimension that no series can have."""
    for name, rule in rules.items():
        for dimension, values in rule.dimensions.items():
            place = f"alerts.{name}.dimensions.{dimension}"
            for value in values:
                if remedy := _remedy(dimension, value):
                    yield Fault(place, f"'{value}' is none of it, so it would never fire", remedy)


def _remedy(dimension: str, value: str) -> str:
    """Return what to write instead of a value; empty where it is one."""
    known: Mapping[str, Sequence[str]] = {"State": _STATES, "statusCodeClass": _CLASSES}
    if dimension in known:
        return "" if value in known[dimension] else f"use {' or '.join(known[dimension])}"
    if dimension in ("statusCode", "modelStatusCode"):
        # 0: the caller got none
        is_one = re.fullmatch("[1-9][0-9]{2}", value) or (dimension, value) == ("statusCode", "0")
        return "" if is_one else "use digits, such as 503"
    if dimension == "deployment":
        return "" if _is_a_name(value) else "use the name of a deployment, such as blue"
    return "" if value else "name one"


def _is_a_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def unwatched(plan: Plan, observed: ObservedState) -> Iterator[str]:
    """Yield a note for each deployment that an alert is about and that will not be there."""
    after = {one.id.address: one.kind != ActionKind.DELETE for one in plan.actions}
    for action in plan.actions:
        if action.desired is None or action.id.kind != Kind.ENDPOINT:
            continue
        rules: Mapping[str, AlertRule] = getattr(action.desired.spec, "alerts", {})
        for name, rule in rules.items():
            for one in rule.dimensions.get("deployment", ()):
                of = _behind(action.id, one)
                is_there = observed.get(of).presence != Presence.ABSENT
                if not after.get(of.address, is_there):
                    said = f"alerts.{name} is about deployment '{one}', which is not there"
                    yield f"{action.id}: {said}"


def _behind(endpoint: ResourceId, name: str) -> ResourceId:
    update = {"kind": Kind.DEPLOYMENT, "name": f"{endpoint.name}/{name}"}
    return endpoint.model_copy(update=update)
