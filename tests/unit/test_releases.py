"""Another release knows other fields: what it recorded is no change, and nothing restarts."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import pytest

from inference_provider.compare import (
    changes_to,
    compare,
    generation_after,
    with_generation,
)
from inference_provider.desired import DesiredResource, resolve
from inference_provider.drift import drift
from inference_provider.files import load_stack
from inference_provider.observed import (
    Actor,
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    Record,
    ResourceId,
)
from inference_provider.plan import plan
from inference_provider.spec import DeploymentSpec, SpecModel, StackSpec
from inference_provider.spec.base import ROLLS
from inference_provider.spec.resources import Resources

FIRST_RELEASE = Path(__file__).parents[1] / "fixtures" / "first-release"
BLUE = ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name="iris/blue")
OLDER = "0123456789ab"
"""A generation that another release hashed, over other fields."""


class Cache(SpecModel):
    """A model that a later release adds."""

    size_mib: int = 64


class LaterResources(Resources):
    """Resources of a later release."""

    cache: Cache = Cache()


class LaterDeployment(DeploymentSpec):
    """A deployment of a later release, which has two rolling fields more."""

    resources: Annotated[LaterResources, ROLLS] = LaterResources()
    sidecars: Annotated[tuple[Cache, ...], ROLLS] = ()


def fields(**others):
    base = {"endpoint": "iris", "name": "blue", "environment": "env:1@sha256:" + "b" * 64}
    return {**base, "environment_variables": {"TOKEN": "hunter2"}, **others}


def blue(model=DeploymentSpec, **others):
    return DesiredResource(id=BLUE, spec=model.model_validate(fields(**others)), owner="demo")


def record(desired, generation=OLDER):
    return Record(
        id=desired.id,
        owner="demo",
        properties=desired.properties,
        generation=generation,
        actor=Actor(user="ana"),
        time=datetime(2026, 1, 2, tzinfo=UTC),
    )


def present(*records):
    return ObservedState(
        resources={
            found.id.address: ObservedResource(id=found.id, presence=Presence.PRESENT, record=found)
            for found in records
        }
    )


def test_a_field_with_a_default_that_a_release_adds_leaves_the_generation():
    assert blue(LaterDeployment).generation == blue().generation


def test_a_field_that_a_release_adds_is_part_of_the_generation_once_it_says_something():
    said = {"resources": {"cache": {"size_mib": 128}}}
    assert blue(LaterDeployment, **said).generation != blue().generation


def test_a_generation_is_the_same_in_every_process():
    assert blue().generation == "5cd802ff3136"


@pytest.mark.parametrize(
    "field", [n for n, i in DeploymentSpec.model_fields.items() if not i.is_required()]
)
def test_a_record_that_lacks_a_field_is_no_change_no_drift_and_keeps_its_generation(field):
    desired = blue(**{"environment_variables": {}})
    older = record(desired)
    del older.properties[field]
    state = present(older)
    assert plan([desired], state, "demo").pending == ()
    assert drift([desired], state, "demo").exit_code == 0
    assert generation_after(desired, older) == OLDER


@pytest.mark.parametrize("field", ["request_settings", "readiness_probe", "resources"])
def test_a_record_that_lacks_every_field_of_a_nested_model_is_no_change(field):
    older = record(blue())
    older.properties[field] = {}
    assert changes_to(blue(), older.properties) == ()


def test_a_field_that_is_missing_in_a_record_differs_from_what_is_not_the_default():
    older = record(blue())
    del older.properties["instance_count"]
    assert [str(change) for change in changes_to(blue(instance_count=3), older.properties)] == [
        "instance_count: 1 -> 3 (live)"
    ]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"instance_count": 3}, id="count"),
        pytest.param({"tags": {"team": "a"}}, id="tags"),
        pytest.param({"request_settings": {"request_timeout_ms": 9000}}, id="timeout"),
    ],
)
def test_what_is_not_rolling_keeps_the_generation_of_the_record(changed):
    assert generation_after(blue(**changed), record(blue())) == OLDER


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"environment": "env:2@sha256:" + "c" * 64}, id="environment"),
        pytest.param({"environment_variables": {"TOKEN": "hunter3"}}, id="secret"),
        pytest.param({"resources": {"limits": {"gpu": 1}}}, id="nested"),
    ],
)
def test_what_is_rolling_gives_another_generation(changed):
    found = generation_after(blue(**changed), record(blue()))
    assert found == blue(**changed).generation
    assert found != OLDER


def test_without_a_record_the_generation_is_hashed():
    assert generation_after(blue(), None) == blue().generation
    assert generation_after(blue(), record(blue(), generation="")) == blue().generation


def test_a_default_that_another_release_had_gives_another_generation():
    older = record(blue(), generation=blue().generation)
    older.properties["instance_type"] = "what-was-the-default"
    assert generation_after(blue(), older) not in ("", older.generation)


def test_other_kinds_have_no_generation():
    stack = StackSpec.model_validate({"name": "demo", "endpoints": [{"name": "iris"}]})
    assert [generation_after(resource, None) for resource in resolve(stack)] == ["", ""]


def test_a_settled_generation_stays():
    settled = with_generation(blue(), record(blue()))
    assert settled.generation == OLDER
    assert generation_after(settled, record(settled, OLDER)) == OLDER
    assert with_generation(settled, None).generation == blue().generation


def test_what_the_first_release_recorded_is_no_change_and_keeps_its_generations():
    folder = FIRST_RELEASE / "state" / "workspaces" / "older" / "records"
    records = {
        unquote(path.stem): Record.model_validate_json(path.read_text())
        for path in sorted(folder.glob("*.json"))
    }
    desired = resolve(load_stack(FIRST_RELEASE / "stack" / "stack.yaml"))
    assert plan(desired, present(*records.values()), "older").pending == ()
    assert drift(desired, present(*records.values()), "older").exit_code == 0
    kept = [generation_after(r, records[f"{r.id.kind.value}.{r.id.name}"]) for r in desired]
    assert [generation for generation in kept if generation] == ["5efdeb203621", "f13bf4d3613d"]


RULE = {"endpoint": "iris", "deployment": "blue", "max_instances": 5}


def scaled(**others):
    stack = {
        "name": "demo",
        "environments": [{"name": "env", "content_hash": "b" * 64}],
        "endpoints": [{"name": "iris"}],
        "deployments": [{"endpoint": "iris", "name": "blue", "environment": "env:1"}],
    }
    return resolve(StackSpec.model_validate({**stack, **others}))


def test_a_field_that_another_resource_owns_is_not_compared():
    old, new = {"instance_count": 4, "description": "a"}, {"instance_count": 1, "description": "b"}
    found = compare(Kind.DEPLOYMENT, old, new, owned={"instance_count"})
    assert [change.path for change in found] == ["description"]


@pytest.mark.parametrize(("rules", "verdicts"), [((), ["instance_count"]), ((RULE,), [])])
def test_the_count_under_an_autoscale_rule_is_neither_planned_nor_drift(rules, verdicts):
    desired = scaled(autoscale_rules=rules)
    there = present(*(record(resource) for resource in desired))
    live = there.resources[BLUE.address].model_copy(update={"live": {"instance_count": 4}})
    state = ObservedState(resources={**there.resources, BLUE.address: live})
    planned = [c.path for action in plan(desired, state, "demo").pending for c in action.changes]
    drifted = [f.path for found in drift(desired, state, "demo").resources for f in found.fields]
    assert (planned, drifted) == (verdicts, verdicts)
