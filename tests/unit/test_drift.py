"""Drift: verdicts, columns, origin and blame."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.growth import EIGHT_TIMES, growth

from inference_provider.cli.report import text
from inference_provider.desired import DesiredResource, resolve
from inference_provider.drift import drift
from inference_provider.observed import (
    Actor,
    JournalEntry,
    ObservedResource,
    ObservedState,
    Presence,
    Record,
    ResourceId,
)
from inference_provider.spec import StackSpec

ANA = Actor(user="ana", command="inferctl up")
BEN = Actor(user="ben", ci_job="ci 7", command="inferctl split")
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
DEPLOYMENT = {
    "endpoint": "iris",
    "name": "blue",
    "environment": "plain:1",
    "instance_count": 2,
    "environment_variables": {"PASSWORD": "hunter2"},
    "code_configuration": {"code": "src", "content_hash": "a" * 64},
}
STACK = {
    "name": "demo",
    "environments": [{"name": "plain", "dependencies": ["numpy"]}],
    "endpoints": [{"name": "iris"}],
    "deployments": [DEPLOYMENT],
    "traffic": [{"endpoint": "iris", "traffic": {"blue": 100}}],
}
BLUE = "Deployment/default/iris/blue"
ENDPOINT = "Endpoint/default/iris"
TRAFFIC = "Traffic/default/iris"


def declared(**deployment) -> tuple[DesiredResource, ...]:
    document = {**STACK, "deployments": [{**DEPLOYMENT, **deployment}]}
    return resolve(StackSpec.model_validate(document))


def applied(resource: DesiredResource, **update) -> ObservedResource:
    record = Record(
        id=resource.id, owner="demo", properties=resource.properties, actor=ANA, time=NOON
    )
    there = ObservedResource(id=resource.id, presence=Presence.PRESENT, record=record)
    return there.model_copy(update=update)


def entry(address: str, minutes: float, action: str = "create", actor=ANA, fields=()):
    time = NOON + timedelta(minutes=minutes)
    resource = ResourceId.parse(address)
    return JournalEntry(time=time, actor=actor, action=action, id=resource, fields=fields)


def state(journal=(), without=(), **updates) -> ObservedState:
    """Everything as declared, except what `updates` says of `blue` or `traffic`."""
    addresses = {"blue": BLUE, "traffic": TRAFFIC}
    changed = {addresses[name]: update for name, update in updates.items()}
    resources = {
        resource.id.address: applied(resource, **changed.get(resource.id.address, {}))
        for resource in declared()
        if resource.id.address not in without
    }
    return ObservedState(resources=resources, journal=tuple(journal))


def of(report, address: str):
    return next(found for found in report.resources if found.id.address == address)


def test_everything_as_declared_is_clean_and_exits_0():
    report = drift(declared(), state(), "demo")
    assert report.counts == {
        "drifted": 0, "missing": 0, "unmanaged": 0, "clean": 5, "unreadable": 0,
    }  # fmt: skip
    assert report.exit_code == 0


def test_instances_gone_without_a_recorded_stop_are_not_called_changed_by_hand():
    journal = [entry(BLUE, 0.001)]
    report = drift(declared(), state(journal, blue={"live": {"instance_count": 1}}), "demo")
    found = of(report, BLUE)
    (field,) = found.fields
    assert (field.path, field.declared, field.recorded, field.live) == ("instance_count", 2, 2, 1)
    assert (field.origin, field.actor, field.time) == (
        "not running as recorded; nobody recorded stopping it", "unknown", None,
    )  # fmt: skip
    assert (field.severity, field.change_class, found.fix) == ("capacity", "live", "live")
    assert report.exit_code == 2


def test_change_by_hand_is_blamed_on_what_the_journal_saw_after_the_record():
    journal = [entry(BLUE, 0), entry(BLUE, 5, "stop", BEN, ("instance_count",))]
    report = drift(declared(), state(journal, blue={"live": {"instance_count": 0}}), "demo")
    assert of(report, BLUE).fields[0].actor == "ben in ci 7 (inferctl split)"


def test_stop_of_the_workspace_explains_instances_that_are_gone():
    journal = [entry(BLUE, 0), entry("Workspace/default/default", 5, "stop", BEN)]
    report = drift(declared(), state(journal, blue={"live": {"instance_count": 0}}), "demo")
    assert of(report, BLUE).fields[0].actor == "ben in ci 7 (inferctl split)"


def test_declared_other_than_recorded_is_not_yet_applied_and_names_who_recorded_it():
    journal = [
        entry(BLUE, 0),
        entry(BLUE, 1, "update", BEN, ("instance_count",)),
        entry(BLUE, 2, "update", ANA, ("description",)),
    ]
    report = drift(declared(instance_count=3), state(journal), "demo")
    (field,) = of(report, BLUE).fields
    assert (field.declared, field.recorded, field.live) == (3, 2, 2)
    assert field.origin == "not yet applied"
    assert field.actor == "ben in ci 7 (inferctl split)"
    assert field.time == NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    "action", ["issue token", "rotate primary key", "rotate signing key", "score"]
)
def test_who_got_a_token_or_rotated_a_key_is_not_who_recorded_a_field(action: str):
    journal = [entry(ENDPOINT, 0), entry(ENDPOINT, 5, action, BEN)]
    other = {**STACK, "endpoints": [{"name": "iris", "auth_mode": "aml_token"}]}
    wanted = resolve(StackSpec.model_validate({**other, "deployments": [DEPLOYMENT]}))
    (field,) = of(drift(wanted, state(journal), "demo"), ENDPOINT).fields
    assert (field.path, field.actor, field.time) == ("auth_mode", "ana (inferctl up)", NOON)


def test_live_that_agrees_with_the_declaration_is_clean_whatever_the_record_says():
    report = drift(declared(instance_count=3), state(blue={"live": {"instance_count": 3}}), "demo")
    assert of(report, BLUE).verdict == "clean"


@pytest.mark.parametrize(
    ("deployment", "fix"),
    [
        pytest.param({"description": "new"}, "live", id="text"),
        pytest.param({"environment_variables": {"PASSWORD": "hunter3"}}, "rolling", id="variable"),
    ],
)
def test_a_fix_costs_what_its_heaviest_field_costs(deployment, fix):
    report = drift(declared(instance_count=3, **deployment), state(), "demo")
    assert of(report, BLUE).fix == fix


def test_secret_shows_neither_value_nor_digest():
    report = drift(declared(environment_variables={"OTHER": "hunter3"}), state(), "demo")
    fields = {field.path: field for field in of(report, BLUE).fields}
    gone = fields["environment_variables.PASSWORD"]
    assert (gone.declared, gone.recorded) == (None, "[secret]")
    assert "sha256:" not in "".join(str(field.declared) for field in fields.values())


def test_secret_inside_a_whole_mapping_shows_neither_value_nor_digest():
    blue = next(resource for resource in declared() if resource.id.address == BLUE)
    properties = dict(blue.properties)
    properties["environment_variables"] = None
    record = Record(id=blue.id, owner="demo", properties=properties, actor=ANA, time=NOON)
    report = drift(declared(), state(blue={"record": record}), "demo")
    assert of(report, BLUE).fields[0].declared == {"PASSWORD": "[secret]"}


def test_never_applied_is_missing_and_creation_mends_it():
    report = drift(declared(), ObservedState(), "demo")
    found = of(report, BLUE)
    assert (found.verdict, found.fix, found.reason, found.actor) == (
        "missing", "create", "it was never applied", "unknown",
    )  # fmt: skip
    assert report.exit_code == 2


def test_deleted_is_missing_and_names_who_deleted_it():
    journal = [entry(BLUE, 0), entry(BLUE, 9, "delete", BEN)]
    found = of(drift(declared(), state(journal, without=(BLUE,)), "demo"), BLUE)
    assert (found.verdict, found.reason) == ("missing", "it was deleted")
    assert found.actor == "ben in ci 7 (inferctl split)"


def test_unreachable_is_unreadable_not_missing_and_exits_1():
    unknown = {"presence": Presence.UNKNOWN, "reason": "the router does not answer"}
    report = drift(declared(instance_count=3), state(traffic=unknown), "demo")
    found = of(report, TRAFFIC)
    assert (found.verdict, found.reason) == ("unreadable", "the router does not answer")
    assert report.exit_code == 1


def test_own_label_declared_nowhere_is_unmanaged_and_anothers_is_not_mentioned():
    left = [resource for resource in declared() if resource.id.address != TRAFFIC]
    journal = [entry(TRAFFIC, 0, actor=BEN)]
    found = of(drift(left, state(journal), "demo"), TRAFFIC)
    assert (found.verdict, found.fix) == ("unmanaged", "delete")
    assert found.actor == "ben in ci 7 (inferctl split)"
    assert drift((), state(), "other").resources == ()


def test_resource_of_another_stack_is_drift_of_its_owner():
    blue = next(resource for resource in declared() if resource.id.address == BLUE)
    record = Record(id=blue.id, owner="other", properties=blue.properties, actor=BEN, time=NOON)
    found = of(drift(declared(), state(blue={"record": record}), "demo"), BLUE)
    (field,) = found.fields
    assert (field.path, field.declared, field.live) == ("owner", "demo", "other")
    assert (field.origin, field.severity) == ("owned by another stack", "identity")


def test_what_limps_is_drifted_although_no_field_differs():
    found = of(
        drift(declared(), state(blue={"degraded": "1 instance does not answer"}), "demo"), BLUE
    )
    assert (found.verdict, found.reason) == ("drifted", "1 instance does not answer")
    assert (found.fields, found.fix) == ((), "live")


@pytest.mark.parametrize("tags", [{}, {"team": "ml"}])
def test_what_instances_were_started_with_is_fixed_by_new_ones_whatever_else_differs(tags):
    was = {"degraded": "its instances run with earlier values", "is_outdated": True}
    found = of(drift(declared(tags=tags), state(blue=was), "demo"), BLUE)
    assert [field.path for field in found.fields] == [f"tags.{name}" for name in tags]
    assert found.fix == "rolling"


def test_tag_with_a_dot_in_its_name_is_found_in_every_column():
    report = drift(declared(tags={"a.b": "new"}), state(), "demo")
    (field,) = of(report, BLUE).fields
    assert (field.path, field.declared, field.recorded, field.live) == (
        "tags.a.b", "new", None, None,
    )  # fmt: skip


def test_stop_that_a_start_undid_explains_nothing_that_is_gone_now():
    place = "Workspace/default/default"
    journal = [entry(place, 5, "stop", BEN), entry(place, 6, "start", BEN)]
    report = drift(declared(), state(journal, blue={"live": {"instance_count": 0}}), "demo")
    (field,) = of(report, BLUE).fields
    assert field.origin == "not running as recorded; nobody recorded stopping it"
    assert (field.actor, field.time) == ("unknown", None)


def test_more_instances_than_recorded_were_changed_by_hand():
    report = drift(declared(), state(blue={"live": {"instance_count": 3}}), "demo")
    assert of(report, BLUE).fields[0].origin == "changed by hand"


@pytest.mark.parametrize(
    ("minutes", "told"),
    [
        ({"stop": 5}, ("ben in ci 7 (inferctl split)", NOON + timedelta(minutes=5))),
        ({"stop": 5, "start": 6}, ("unknown", None)),
        ({"stop": -5}, ("unknown", None)),  # applied since
        ({}, ("unknown", None)),
    ],
)
def test_who_stopped_a_workspace_is_told_of_what_no_field_tells(minutes, told):
    place = "Workspace/default/default"
    journal = [entry(place, when, action, BEN) for action, when in minutes.items()]
    report = drift(declared(), state(journal, traffic={"degraded": "no router"}), "demo")
    found = of(report, TRAFFIC)
    assert (found.actor, found.time) == told
    assert ("stopped by ben" in text(report)) is (told[1] is not None)


def test_stop_of_the_workspace_is_not_blamed_for_what_is_not_yet_applied():
    journal = [entry(BLUE, 0), entry("Workspace/default/default", 5, "stop", BEN)]
    report = drift(declared(instance_count=3), state(journal), "demo")
    assert of(report, BLUE).fields[0].actor == "ana (inferctl up)"


def test_a_review_takes_time_in_proportion_to_what_has_drifted_and_to_the_journal():
    (blue,) = (one for one in declared() if one.id.address == BLUE)

    def review(count: int):
        ids = [blue.id.model_copy(update={"name": f"iris/d{i}"}) for i in range(count)]
        wanted = [blue.model_copy(update={"id": one}) for one in ids]
        there = {
            one.id.address: applied(one, live={"instance_count": 1}, degraded="one is gone")
            for one in wanted
        }
        stops = [entry(one.address, 5, "stop", BEN, ("instance_count",)) for one in ids]
        more = [entry(one.address, 4, "stop", ANA, ("tags",)) for one in ids for _ in range(20)]
        journal = [*stops, *more]
        return wanted, ObservedState(resources=there, journal=tuple(journal))

    def found(count: int):
        wanted, there = reviews[count]
        return drift(wanted, there, "demo")

    reviews = {count: review(count) for count in (100, 800)}
    assert growth(found, 100) < EIGHT_TIMES
    assert {(f.actor, f.path) for one in found(800).resources for f in one.fields} == {
        ("ben in ci 7 (inferctl split)", "instance_count")
    }
