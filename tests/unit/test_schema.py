"""The JSON Schema of the stack file, as an editor reads it."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from inference_provider.files.schema import SCHEMA_PATH, schema_text, stack_schema
from inference_provider.spec.kinds import LISTED


def test_schema_in_the_repository_is_fresh():
    assert SCHEMA_PATH.read_text(encoding="utf-8") == schema_text(), (
        "stale; run `python -m inference_provider.files.schema`"
    )


@pytest.fixture
def quickstart():
    root = Path(__file__).parents[2]
    return yaml.safe_load((root / "examples" / "01-quickstart" / "stack.yaml").read_text())


def faults(document) -> list[str]:
    found = Draft202012Validator(stack_schema()).iter_errors(document)
    return sorted(".".join(str(part) for part in fault.path) for fault in found)


def test_an_editor_finds_no_fault_in_the_quickstart(quickstart):
    assert faults(quickstart) == []


def test_an_editor_marks_what_the_loader_refuses(quickstart):
    quickstart["deployments"][0]["instance_count"] = "many"
    quickstart["deployments"][1]["request_settings"]["request_timeout_ms"] = 180_001
    quickstart["endpoints"][0]["kind"] = "sometimes"
    assert faults(quickstart) == [
        "deployments.0.instance_count",
        "deployments.1.request_settings.request_timeout_ms",
        "endpoints.0.kind",
    ]


def test_schema_is_draft_2020_12():
    Draft202012Validator.check_schema(stack_schema())
    assert stack_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_schema_knows_every_top_level_list():
    assert {"name", "$schema", "azureml", *LISTED} == set(stack_schema()["properties"])


def test_a_workspace_may_say_what_stands_for_assets_of_registries():
    known = {"azureml": {"environments": {"sklearn-1.5": {"conda_file": "c.yml"}, "b": "mine:1"}}}
    validator = Draft202012Validator(stack_schema())
    for registries, is_valid in ((known, True), ({"azureml": {"jobs": {}}}, False)):
        stack = {"name": "s", "workspaces": [{"name": "default", "registries": registries}]}
        assert validator.is_valid(stack) is is_valid


def test_only_the_stack_name_is_required():
    assert stack_schema()["required"] == ["name"]


def test_traffic_may_stand_on_the_endpoint():
    endpoint = stack_schema()["$defs"]["EndpointSpec"]["properties"]
    assert {"traffic", "mirror_traffic"} <= set(endpoint)


def test_content_hash_is_not_offered():
    assert "content_hash" not in schema_text()


def test_a_secret_is_plain_text():
    variables = stack_schema()["$defs"]["DeploymentSpec"]["properties"]["environment_variables"]
    assert variables["additionalProperties"] == {"type": "string"}


def test_unknown_fields_are_marked_in_the_editor():
    models = [d for d in stack_schema()["$defs"].values() if d["type"] == "object"]
    assert all(model["additionalProperties"] is False for model in models)


def test_a_ulimit_is_one_number_or_two(quickstart):
    limits = {"nofile": 65536, "core": {"soft": 0, "hard": -1}, "files": 1, "cpu": -2}
    quickstart["deployments"][0]["resources"] = {"shm_size": "4g", "ulimits": limits}
    at = "deployments.0.resources.ulimits"
    assert faults(quickstart) == [at, f"{at}.cpu"]


def test_a_number_may_be_a_placeholder():
    count = stack_schema()["$defs"]["DeploymentSpec"]["properties"]["instance_count"]
    assert count["anyOf"] == [
        {"maximum": 50, "minimum": 0, "type": "integer"},
        {"type": "string", "pattern": r"\$\{(env|file):[^}]+\}"},
    ]
