"""A plan and what is there -> a sentence for each role that an identity will lack. Pure.

What the plan deletes gives no role any more, and what it makes does, so a deployment is refused
before anything starts. What one role allows is decided in `access.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from inference_provider.access import Principal
from inference_provider.observed import Kind, ObservedState, ResourceId
from inference_provider.plan import ActionKind, Plan
from inference_provider.role_needs import Grants, lacking, reach_of
from inference_provider.spec import EnvironmentSpec, Reference

_Known = Mapping[ResourceId, Any]


def lacking_roles(plan: Plan, observed: ObservedState, user: str) -> Iterator[str]:
    """Yield a sentence for each role that the identity of a changed deployment will lack.

    Args:
        plan: What is to be done.
        observed: What is there before.
        user: Who deploys.
    """
    after = _after(plan, observed)
    grants: dict[str, Grants] = {}
    for action in plan.pending:
        if action.desired is None or action.id.kind != Kind.DEPLOYMENT:
            continue
        spec, place = action.desired.spec, action.id.workspace
        endpoint = after.get(ResourceId(kind=Kind.ENDPOINT, workspace=place, name=spec.endpoint))
        space = after.get(ResourceId.of_workspace(place))
        if endpoint is None or space is None or action.desired.variant != "online":
            continue  # refused elsewhere
        reach = reach_of(vars(spec), space, _environment(spec, place, after))
        if place not in grants:  # once a workspace, and not once a deployment
            grants[place] = _grants(place, space, after)
        for sentence in lacking(endpoint, reach, grants[place], Principal("user", user)):
            yield f"{action.id}: {sentence}"


def _after(plan: Plan, observed: ObservedState) -> _Known:
    """Return the properties of everything once the plan is done."""
    there = {o.id: o.record.properties for o in observed.resources.values() if o.record}
    gone = {action.id for action in plan.actions if action.kind == ActionKind.DELETE}
    made = {a.id: a.desired.properties for a in plan.actions if a.desired is not None}
    return {**{id_: fields for id_, fields in there.items() if id_ not in gone}, **made}


def _grants(place: str, space: Mapping[str, Any], after: _Known) -> Grants:
    given = (
        fields
        for id_, fields in after.items()
        if id_.kind == Kind.ROLE_ASSIGNMENT and id_.workspace == place
    )
    return Grants.of(given, space)


def _environment(spec: Any, place: str, after: _Known) -> EnvironmentSpec | None:
    asked = Reference.parse(spec.environment)
    named = ResourceId(kind=Kind.ENVIRONMENT, workspace=place, name=asked.asset)
    fields = after.get(named)
    if fields is None or fields.get("content_hash") != asked.digest:
        return None
    return EnvironmentSpec.model_construct(**fields)
