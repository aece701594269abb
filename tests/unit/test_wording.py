"""What a person reads about a value of a wrong form."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import StringConstraints, TypeAdapter, ValidationError

from inference_provider import spec as specs
from inference_provider.files.wording import faults_of
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, StackSpec
from inference_provider.spec.base import SpecModel
from inference_provider.spec.cluster import ClusterIngress
from inference_provider.spec.reference import ImageName


def patterns(schema: Any) -> Iterator[str]:
    """Yield the patterns of values and of keys."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        yield from schema.get("patternProperties", ())
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            yield from patterns(inner)


def kinds() -> Iterator[type[SpecModel]]:
    yield StackSpec
    for name in specs.__all__:
        found = getattr(specs, name)
        if isinstance(found, type) and issubclass(found, SpecModel):
            yield found


ALL = sorted({pattern for kind in kinds() for pattern in patterns(kind.model_json_schema())})


@pytest.mark.parametrize("pattern", ALL)
def test_what_has_a_wrong_form_is_told_in_words(pattern):
    adapter = TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python("\x00")
    [fault] = faults_of(refused.value, EnvironmentSpec)
    assert "wrong format" not in fault.reason
    assert not re.search(r"\^|\\", fault.remedy)


@pytest.mark.parametrize(
    "name",
    [
        "python",
        "python:3.12-slim",
        "debian-python:12",
        "registry.example.org/team/router:1",
        "Registry.example.org:5000/a/b__c/d.e:V1.0_x",
        f"sha256:{'0a' * 32}",
        f"mcr.microsoft.com/azureml/minimal:latest@sha256:{'0a' * 32}",
    ],
)
def test_names_of_images_are_taken(name):
    assert TypeAdapter(ImageName).validate_python(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "Bad Image!!", "team/Router:1", "python:", "a//b", "-a", "https://x/y", "x@sha256:1234"],
)
def test_what_names_no_image_is_refused_with_an_example(name):
    with pytest.raises(ValidationError) as refused:
        EnvironmentSpec(name="plain", image=name)
    [fault] = faults_of(refused.value, EnvironmentSpec)
    assert fault.reason == "not the name of an image"
    assert "'registry.example.org/team/name:1'" in fault.remedy


@pytest.mark.parametrize("asked", [1, "25%", False, -1])
def test_a_surge_that_is_not_0_says_what_to_do(asked):
    with pytest.raises(ValidationError) as refused:
        DeploymentSpec(endpoint="iris", name="blue", environment="plain:1", surge=asked)
    [fault] = faults_of(refused.value, DeploymentSpec)
    assert (fault.path, fault.reason) == ("surge", "only 0 is known")
    assert fault.remedy == "leave it out, and the old instances serve until the new ones do"


def test_what_is_no_full_host_name_is_refused_with_an_example():
    with pytest.raises(ValidationError) as refused:
        ClusterIngress(host="score")
    [fault] = faults_of(refused.value, ClusterIngress)
    assert fault.reason == "not a full host name"
    assert fault.remedy == "write it like 'score.example.org'"


@pytest.mark.parametrize(
    ("field", "remedy"),
    [
        ("endpoint", "write a value"),
        ("description", "write a value, or leave the field out"),
    ],
)
def test_only_what_need_not_be_there_is_to_be_left_out(field, remedy):
    with pytest.raises(ValidationError) as refused:
        DeploymentSpec(
            **{"endpoint": "iris", "name": "blue", "environment": "plain:1", field: None}
        )
    [fault] = faults_of(refused.value, DeploymentSpec)
    assert (fault.reason, fault.remedy) == ("expected text, got nothing", remedy)
