"""drift report + waivers + history -> the report that says what is accepted, and since when. Pure.

A finding is known by its resource, its field and its verdict, so a value that changes again is the
same finding. One that is gone leaves the history; if it comes back, it begins again.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from inference_provider.drift import DriftReport, ResourceDrift, Verdict
from inference_provider.observed import ResourceId
from inference_provider.waivers import Finding, Sighting, Waiver

_SHOWN = 5
"""Fields that are named at most."""


class Key(NamedTuple):
    """What a finding is known by from one review to the next."""

    address: str
    """`Kind/workspace/name`."""
    field: str
    """Dotted; empty for the resource itself."""
    verdict: str
    """Of the resource."""


History = Mapping[Key, Sighting]


def keys_of(resource: ResourceDrift) -> dict[Key, Finding]:
    """Return the findings of a resource: itself first, then its fields."""
    address, verdict = resource.id.address, resource.verdict.value
    own = {Key(address, "", verdict): resource} if resource.is_finding else {}
    return {**own, **{Key(address, field.path, verdict): field for field in resource.fields}}


def noted(report: DriftReport, history: History, now: datetime) -> tuple[DriftReport, History]:
    """Return a report in which each finding says since when, and the history with this review.

    What cannot be read now is as it was: its findings neither go nor count.
    """
    found: dict[Key, Sighting] = {}
    for resource in report.resources:
        for key in keys_of(resource):
            was = history.get(key)
            first, times = (was.first_seen, was.times_seen) if was else (now, 0)
            found[key] = Sighting(first_seen=first, times_seen=times + 1, last_seen=now)
    silent = {r.id.address for r in report.resources if r.verdict == Verdict.UNREADABLE}
    kept = {key: was for key, was in history.items() if key.address in silent}
    said = tuple(_with_sightings(resource, found) for resource in report.resources)
    return report.model_copy(update={"resources": said}), {**kept, **found}


def _with_sightings(resource: ResourceDrift, found: History) -> ResourceDrift:
    address, verdict = resource.id.address, resource.verdict.value
    fields = tuple(
        field.model_copy(update={"sighting": found[Key(address, field.path, verdict)]})
        for field in resource.fields
    )
    own = found.get(Key(address, "", verdict))
    return resource.model_copy(update={"fields": fields, "sighting": own})


class _Accepted:
    """Waivers by address; knows which were of something."""

    def __init__(self, waivers: Iterable[Waiver], today: date) -> None:
        self._today = today
        self._by_address: dict[str, list[Waiver]] = {}
        for waiver in waivers:
            self._by_address.setdefault(waiver.address, []).append(waiver)
        self.used: set[Waiver] = set()

    def of(self, address: str, field: str) -> dict[str, Waiver]:
        """Return what a finding says of its waiver; the one that names most of its field counts."""
        fitting = [w for w in self._by_address.get(address, ()) if w.covers(address, field)]
        if not fitting:
            return {}
        self.used.update(fitting)
        best = max(fitting, key=lambda one: (one.expires >= self._today, len(one.field)))
        return {"waiver" if best.expires >= self._today else "expired_waiver": best}


def waived(report: DriftReport, waivers: Sequence[Waiver], now: datetime) -> DriftReport:
    """Return a report in which each finding says who accepts it, and notes on idle waivers."""
    accepted = _Accepted(waivers, now.date())
    resources = tuple(_with_waivers(resource, accepted) for resource in report.resources)
    silent = {r.id.address for r in report.resources if r.verdict == Verdict.UNREADABLE}
    known = {r.id.address: tuple(field.path for field in r.fields) for r in report.resources}
    idle = (one for one in waivers if one not in accepted.used and one.address not in silent)
    there = {r.id.workspace for r in report.resources}
    told = (_idle(one, known.get(one.address), report.stack, there) for one in idle)
    return report.model_copy(update={"resources": resources, "notes": (*report.notes, *told)})


def _with_waivers(resource: ResourceDrift, accepted: _Accepted) -> ResourceDrift:
    if resource.verdict in (Verdict.CLEAN, Verdict.UNREADABLE):
        return resource
    address = resource.id.address
    fields = tuple(
        field.model_copy(update=accepted.of(address, field.path)) for field in resource.fields
    )
    own = accepted.of(address, "") if resource.is_finding else {}
    return resource.model_copy(update={"fields": fields, **own})


def _idle(
    waiver: Waiver, differing: Sequence[str] | None, stack: str, workspaces: Container[str]
) -> str:
    """Say why a waiver matches nothing.

    Args:
        waiver: It.
        differing: The fields of its resource that differ; None where there is no such resource.
        stack: What is reviewed; others may keep their waivers in the same file.
        workspaces: Those of the stack.
    """
    told = f"the waiver of {waiver} by {waiver.owner} matches nothing"
    if differing is None:
        told = f"{told}, there is no such resource in stack '{stack}'"
        mine = ResourceId.parse(waiver.address).workspace in workspaces
        return f"{told}: remove it unless another stack has one" if mine else told
    if differing and not waiver.field:
        fields = ", ".join(differing[:_SHOWN])
        return f"{told}: it names no field, and what differs there is {fields}; add `field`"
    return f"{told}, that does not differ: remove it"
