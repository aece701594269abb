"""Waivers and the history of findings, beside what the command line shows of them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from inference_provider.drift import DriftReport, FieldDrift, ResourceDrift
from inference_provider.observed import ResourceId
from inference_provider.reviewed import Key, noted, waived
from inference_provider.waivers import Sighting, Waiver

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
TRAFFIC = "Traffic/default/iris"


def field(path: str) -> FieldDrift:
    return FieldDrift(
        path=path,
        declared=1,
        recorded=2,
        live=2,
        severity="capacity",
        change_class="live",
        origin="not yet applied",
    )


def report(verdict: str, *paths: str) -> DriftReport:
    fields = tuple(map(field, paths))
    one = ResourceDrift(id=ResourceId.parse(TRAFFIC), verdict=verdict, fields=fields)
    return DriftReport(stack="demo", resources=(one,))


def waiver(path: str, expires: date = date(2026, 1, 9), owner: str = "ana") -> Waiver:
    return Waiver(address=TRAFFIC, field=path, owner=owner, reason="why", expires=expires)


def test_what_cannot_be_read_neither_goes_from_the_history_nor_counts():
    _, seen = noted(report("drifted", "traffic.blue"), {}, NOON)
    later = NOON + timedelta(days=1)
    key = Key(TRAFFIC, "traffic.blue", "drifted")
    silent = Key(TRAFFIC, "", "unreadable")
    _, seen = noted(report("unreadable"), seen, later)
    assert seen[key] == Sighting(first_seen=NOON, times_seen=1, last_seen=NOON)
    assert seen[silent] == Sighting(first_seen=later, times_seen=1, last_seen=later)
    _, seen = noted(report("drifted", "traffic.blue"), seen, later)
    assert seen == {key: Sighting(first_seen=NOON, times_seen=2, last_seen=later)}
    assert noted(report("clean"), seen, later)[1] == {}


@pytest.mark.parametrize(
    ("path", "covered"),
    [("traffic", True), ("traffic.blue", True), ("traffic.blu", False), ("traffi", False),
     ("traffic.blue.x", False), ("", False)],
)  # fmt: skip
def test_a_waiver_covers_its_field_and_what_lies_below_it(path, covered):
    (found,) = waived(report("drifted", "traffic.blue"), [waiver(path)], NOON).resources
    assert (found.fields[0].waiver is not None, found.is_waived) == (covered, covered)


def test_one_in_force_counts_before_one_that_expired_and_the_narrower_before_the_wider():
    expired = waiver("traffic.blue", expires=date(2026, 1, 1), owner="ben")
    wide, narrow = waiver("traffic"), waiver("traffic.blue", owner="cat")
    for waivers, owner in (([expired, wide], "ana"), ([wide, narrow], "cat")):
        found = waived(report("drifted", "traffic.blue"), waivers, NOON)
        (one,) = found.resources[0].fields
        assert (one.waiver and one.waiver.owner, one.expired_waiver) == (owner, None)
        assert found.notes == ()


def test_the_last_day_of_a_waiver_ends_in_utc():
    waivers = [waiver("traffic", expires=NOON.date())]
    for hours, code in ((11, 0), (12, 2)):
        found = waived(report("drifted", "traffic.blue"), waivers, NOON + timedelta(hours=hours))
        assert found.exit_code == code
