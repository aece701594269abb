"""What annotations say of fields, and properties with and without the defaults of today."""

from typing import Annotated, Literal

import pytest

from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec, SpecModel
from inference_provider.spec.base import COMPUTED, LOCAL_PATH, ROLLS
from inference_provider.spec.deployment import CodeConfiguration
from inference_provider.spec.fields import (
    marked,
    model_for,
    recorded,
    with_defaults,
    without_defaults,
)


class Inner(SpecModel):
    """A model inside another."""

    size: int
    color: str = "red"
    folder: Annotated[str, LOCAL_PATH] = "."


class Cat(SpecModel):
    """One kind of a union."""

    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(SpecModel):
    """Another kind of it."""

    kind: Literal["dog"]
    tricks: tuple[str, ...] = ()


class Outer(SpecModel):
    """A model with others in every form."""

    name: str
    one: Annotated[Inner, ROLLS] = Inner(size=1)
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    named: dict[str, Inner] = {}
    maybe_named: dict[str, Inner] | None = None
    pet: Cat | Dog | None = None
    tags: dict[str, str] = {}


@pytest.mark.parametrize(
    ("model", "mark", "fields"),
    [
        (ModelSpec, LOCAL_PATH, {"path", "stack_file"}),
        (ModelSpec, COMPUTED, {"content_hash", "stack_file"}),
        (EnvironmentSpec, LOCAL_PATH, {"requirements_file", "conda_file"}),
        (EnvironmentSpec, COMPUTED, {"content_hash"}),
        (CodeConfiguration, LOCAL_PATH, {"code", "stack_file"}),
        (CodeConfiguration, COMPUTED, {"content_hash", "stack_file"}),
        (DeploymentSpec, LOCAL_PATH, set()),
    ],
)
def test_marks_stand_on_the_fields(model, mark, fields):
    assert marked(model, mark) == fields


def test_local_paths_are_not_recorded_at_any_depth():
    spec = Outer(name="a", many=(Inner(size=2, folder="/home/ana"),))
    assert recorded(spec)["many"] == [{"size": 2, "color": "red"}]


@pytest.mark.parametrize(
    ("older", "today"),
    [
        ({}, {"size": 1, "color": "red"}),
        ({"one": {"size": 5}}, {"size": 5, "color": "red"}),
        ({"one": {"size": 5, "color": "blue"}}, {"size": 5, "color": "blue"}),
        ({"one": {"size": 5, "folder": "/home/ana"}}, {"size": 5, "color": "red"}),
    ],
)
def test_a_field_that_is_missing_has_its_default(older, today):
    assert with_defaults(Outer, {"name": "a", **older})["one"] == today


@pytest.mark.parametrize(
    ("field", "older", "today"),
    [
        ("maybe", {"size": 5}, {"size": 5, "color": "red"}),
        ("maybe", None, None),
        ("many", [{"size": 5}], [{"size": 5, "color": "red"}]),
        ("named", {"a": {"size": 5}}, {"a": {"size": 5, "color": "red"}}),
        ("maybe_named", {"a": {"size": 5}}, {"a": {"size": 5, "color": "red"}}),
        ("pet", {"lives": 7}, {"kind": "cat", "lives": 7}),
        ("pet", {"kind": "dog"}, {"kind": "dog", "tricks": []}),
        ("tags", {"color": "blue"}, {"color": "blue"}),
    ],
)
def test_defaults_are_filled_in_at_every_depth(field, older, today):
    assert with_defaults(Outer, {field: older})[field] == today


def test_a_required_field_that_is_missing_stays_missing():
    assert "name" not in with_defaults(Outer, {})


def test_a_field_that_nobody_knows_is_kept():
    assert with_defaults(Outer, {"unheard_of": 1})["unheard_of"] == 1


def test_defaults_are_left_out_at_every_depth():
    spec = Outer(name="a", one=Inner(size=1), many=(Inner(size=2),), named={"b": Inner(size=3)})
    assert without_defaults(Outer, recorded(spec)) == {
        "name": "a",
        "many": [{"size": 2}],
        "named": {"b": {"size": 3}},
    }


@pytest.mark.parametrize(
    ("written", "model"),
    [({}, Cat), ({"kind": "dog"}, Dog), ({"kind": "cow"}, Cat), ("dog", Cat), (None, Cat)],
)
def test_a_union_is_chosen_by_kind_and_the_first_where_none_fits(written, model):
    assert model_for((Cat, Dog), written) == model
