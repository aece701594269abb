"""What the table of fields says of a field is what the field does, held for every field of it.

A field that becomes something changes the stack when it alone is changed; one that becomes nothing
does not, and one that is refused is refused. Which value shows it is found by trying: of the type
that the table gives, some are valid for one field and some for another.
"""

import functools
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from inference_provider.errors import SpecError
from inference_provider.files import load_azure
from inference_provider.files.azureml.fields import (
    ANY,
    FLAG,
    KINDS,
    MAP,
    NUMBER,
    TEXT,
    TEXTS,
    WHOLE,
    Field,
)
from inference_provider.files.azureml.overrides import Overrides

CONDA = {"dependencies": [{"pip": ["six==1.17.0"]}]}
ROUTES = {
    f"{one}_route": {"path": "/", "port": 5001} for one in ("liveness", "readiness", "scoring")
}
ENDPOINT = {"name": "iris", "auth_mode": "key"}
SPLIT = {**ENDPOINT, "traffic": {"blue": 100}}
BLUE = {
    "name": "blue",
    "endpoint_name": "iris",
    "model": {"path": "model"},
    "environment": {"conda_file": CONDA, "image": "python:3.12"},
    "code_configuration": {"code": "code", "scoring_script": "score.py"},
    "data_collector": {"collections": {"changed": {"enabled": True}}},
}
OTHER = {**BLUE, "name": "changed"}
OWN = {**BLUE, "environment": {"image": "python:3.12", "inference_config": ROUTES}}
BUILT = {**BLUE, "environment": {"build": {"path": "code"}, "inference_config": ROUTES}}
MODEL = {"name": "weights", "version": "1", "path": "model"}
CONDAS = {"name": "env", "conda_file": CONDA, "image": "python:3.12"}
BUILDS = {"name": "env", "build": {"path": "code"}, "inference_config": ROUTES}
IMAGES = {"name": "env", "image": "python:3.12", "inference_config": ROUTES}
BASES: dict[str, list[dict[str, Any]]] = {
    "online_endpoint": [ENDPOINT, SPLIT],
    "online_deployment": [BLUE, OWN, BUILT],
    "model": [MODEL],
    "environment": [CONDAS, BUILDS, IMAGES],
}
"""Documents of each kind, of which a field is changed or added."""

VALUES: dict[str, list[Any]] = {
    TEXT: [
        "changed",
        "/changed",
        "changed.py",
        "2",
        "512Mi",
        "minute",
        "Standard_DS3_v2",
        "https://example.org/v2/model.schema.json",
        "https://example.org/v2/environment.schema.json",
    ],
    WHOLE: [7, 100, 1],
    NUMBER: [0.5],
    FLAG: [True, False],
    MAP: [{"changed": "changed"}],
    TEXTS: [["changed"]],
    ANY: [
        "changed",
        "azureml:changed:1",
        {"dependencies": [{"pip": ["six==1.16.0"]}]},
        {"path": "changed"},
        {"conda_file": CONDA, "image": "python:3.12", "description": "changed"},
    ],
}
"""Values to try, by what the table says a value is."""

SERVED = [name for name, kind in KINDS.items() if not kind.unserved]


def fields(meant) -> list[Any]:
    return [
        pytest.param(name, one, id=f"{name}:{one.path}")
        for name in SERVED
        for one in KINDS[name].fields
        if meant(one)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    for name in ("code", "changed"):
        (folder / name).mkdir()
        (folder / name / "Dockerfile").write_text("FROM python:3.12\n")
        (folder / name / "changed").write_text("FROM python:3.13\n")
        for script in ("score.py", "changed.py"):
            (folder / name / script).write_text(f"def init(): ...\ndef run(_): '{script}'\n")
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_text("1")
    return folder


@functools.cache
def stack_of(folder, kind: str, text: str, target: str):
    """Return the stack of a document, as JSON, with all that it may name."""
    document = json.loads(text)
    named: dict[str, list[dict[str, Any]]] = {
        "online_endpoint": [BLUE, OTHER] if document.keys() & {"traffic", "mirror_traffic"} else [],
        "online_deployment": [{**ENDPOINT, "traffic": {}}, {"name": "changed", "auth_mode": "key"}],
    }
    assets = [
        {"name": "changed", "version": "1", "path": "model"},
        {"name": "changed", "version": "1", "conda_file": CONDA},
    ]
    files = []
    for i, value in enumerate([document, *named.get(kind, []), *assets]):
        file = folder / f"{i}.yml"
        file.write_text(json.dumps({"$schema": _schema(value), **value}))
        files.append(file)
    return load_azure(files, Overrides(stack="demo"), target).spec.model_dump(mode="json")


def _schema(value: dict[str, Any]) -> str:
    if "path" in value:
        return "https://example.org/model.schema.json"
    if value.keys() & {"conda_file", "image", "build"}:
        return "https://example.org/environment.schema.json"
    kind = "Deployment" if "endpoint_name" in value else "Endpoint"
    return f"https://example.org/managedOnline{kind}.schema.json"


def with_value(document: dict[str, Any], path: str, value: Any) -> dict[str, Any] | None:
    """Return a copy with a value at a path of the table; None where there is something else."""
    head, _, rest = path.partition(".") if not path.startswith("nvidia.com") else (path, "", "")
    if head == "[]":
        return None
    head = "changed" if head == "*" else head
    if not rest:
        return None if document.get(head) == value else {**document, head: value}
    inside = document.get(head, {})
    if rest.startswith("[]."):
        return {**document, head: [with_value({}, rest[3:], value)]}
    if not isinstance(inside, dict):
        return None
    inner = with_value(inside, rest, value)
    return None if inner is None else {**document, head: inner}


def changed(kind: str, one: Field) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield documents, each with the same one in which the field is another."""
    known: list[Any] = VALUES[one.values] if isinstance(one.values, str) else [*one.values]
    for document in BASES[kind]:
        for value in known:
            other = with_value(document, one.path, value)
            if other is not None:
                yield document, other


def outcomes(folder, kind: str, one: Field) -> Iterator[tuple[Any, Any]]:
    """Yield the stacks before and after each change that is valid; on processes and containers."""
    for before, after in changed(kind, one):
        for target in ("docker", "local"):
            with suppress(SpecError):
                first = stack_of(folder, kind, json.dumps(before), target)
                second = stack_of(folder, kind, json.dumps(after), target)
                yield first, second


@pytest.mark.parametrize(
    ("kind", "one"), fields(lambda f: not f.refused and not f.to.startswith("nothing"))
)
def test_a_field_that_becomes_something_changes_the_stack_alone(folder, kind, one):
    assert any(before != after for before, after in outcomes(folder, kind, one))


@pytest.mark.parametrize(("kind", "one"), fields(lambda f: f.to.startswith("nothing")))
def test_a_field_that_becomes_nothing_is_taken_and_changes_nothing(folder, kind, one):
    found = list(outcomes(folder, kind, one))
    assert found
    assert all(before == after for before, after in found)


@pytest.mark.parametrize(("kind", "one"), fields(lambda f: f.refused))
def test_a_field_that_is_refused_is_refused_with_what_to_do(folder, kind, one):
    for _, after in changed(kind, one):
        with pytest.raises(SpecError) as refused:
            stack_of(folder, kind, json.dumps(after), "docker")
        assert one.refused in [fault.remedy for fault in refused.value.faults]
