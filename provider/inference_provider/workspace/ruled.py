"""Deployments whose count an autoscale rule decides, and how many instances each has now."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.spec.deployment import RequestSettings
from inference_provider.spec.resources import ResourceAmounts
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import Compute
from inference_provider.workspace.statuses import Instance


@dataclass(frozen=True)
class Ruled:
    """A deployment whose count a rule decides."""

    id: ResourceId
    rule: AutoscaleRuleSpec
    count: int
    """Instances that the router sends requests to, or will when they are healthy again."""
    serving: tuple[str, ...]
    """Their names; where a target replaces instances by itself, what stands for them."""
    requests: ResourceAmounts
    """What each asks for."""
    max_concurrent: int = 1
    """Requests that each works on at a time; more wait in its queue."""
    left: tuple[str, ...] = ()
    """Names of those that run and get no requests: that come, that go, or that somebody left."""


def ruled(workspace: Workspace) -> tuple[Ruled, ...]:
    """Return the deployments with a rule that is on, sorted by name; skips unreadable records."""
    if not workspace.ports.records.exists():
        return ()
    with workspace.ports.records.still():
        rules = workspace.state.rules()
        records = [record for name in sorted(rules) if (record := _online(workspace, name))]
    if not records:
        return ()
    # all by one question, where there are several
    there = workspace.ports.compute.instances(records[0].id.name if len(records) == 1 else "")
    return tuple(_ruled(there.get(r.id.name, ()), r, rules[r.id.name]) for r in records)


def _online(workspace: Workspace, name: str) -> Record | None:
    place = workspace.ports.records.workspace
    with suppress(TargetError):
        id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace=place, name=name)
        record = workspace.state.record(id_)
        return record if record and record.variant == "online" else None
    return None


def _ruled(there: Collection[Instance], record: Record, rule: AutoscaleRuleSpec) -> Ruled:
    serving = [one for one in there if record.admits(one.name, one.generation)]
    names = tuple(one.name for one in serving)
    left = tuple(one.name for one in there if one not in serving)
    count = sum(one.stands_for for one in serving)
    asked, at_once = requests_of(record), _max_concurrent(record)
    return Ruled(record.id, rule, count, names, asked, at_once, left)


def requests_of(record: Record) -> ResourceAmounts:
    """Return what each instance of a deployment asks for."""
    with suppress(ValidationError):  # of a newer release
        asked = record.properties.get("resources", {}).get("requests", {})
        return ResourceAmounts.model_validate(asked)
    return ResourceAmounts()


def _max_concurrent(record: Record) -> int:
    with suppress(ValidationError):  # of a newer release
        asked = record.properties.get("request_settings", {})
        return RequestSettings.model_validate(asked).max_concurrent_requests_per_instance
    return RequestSettings().max_concurrent_requests_per_instance


def serving_of(compute: Compute, record: Record) -> tuple[Instance, ...]:
    """Return the instances of a deployment that its record admits."""
    there = compute.instances(record.id.name).get(record.id.name, ())
    return tuple(i for i in there if record.admits(i.name, i.generation))
