"""The JSON Schema of the stack file, as an editor reads it."""

from inference_provider.files.schema import SCHEMA_PATH, schema_text, stack_schema
from inference_provider.files.stack_file import LISTINGS


def test_schema_in_the_repository_is_fresh():
    assert SCHEMA_PATH.read_text(encoding="utf-8") == schema_text(), (
        "stale; run `python -m inference_provider.files.schema`"
    )


def test_schema_is_draft_2020_12():
    assert stack_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_schema_knows_every_top_level_list():
    assert {"name", "$schema", *LISTINGS} == set(stack_schema()["properties"])


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


def test_a_number_may_be_a_placeholder():
    count = stack_schema()["$defs"]["DeploymentSpec"]["properties"]["instance_count"]
    assert count["anyOf"] == [
        {"maximum": 50, "minimum": 0, "type": "integer"},
        {"type": "string", "pattern": r"\$\{(env|file):[^}]+\}"},
    ]
