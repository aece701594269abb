"""The models -> JSON Schema of the stack file, for editors.

`python -m inference_provider.files.schema` writes it; a test fails when it is stale. The first line
`# yaml-language-server: $schema=<path>` of a stack file makes an editor use it.
"""

import ast
import functools
import inspect
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from inference_provider.spec import SpecModel, StackSpec
from inference_provider.spec.base import COMPUTED
from inference_provider.spec.fields import kind_of, marked, models_under
from inference_provider.spec.gpus import NVIDIA, OTHER_VENDORS
from inference_provider.spec.kinds import ROWS
from inference_provider.spec.resources import MIG_PREFIX

SCHEMA_PATH = Path(__file__).parents[3] / "sdk" / "schema" / "stack.schema.json"
"""Where the repository keeps it."""

_MOVED = ("traffic", "mirror_traffic")


def stack_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a stack file."""
    schema = StackSpec.model_json_schema()
    definitions = schema["$defs"]
    models = models_under(StackSpec)
    _describe(StackSpec, schema)
    for name, definition in definitions.items():
        _describe(models[name], definition)
        for field in marked(models[name], COMPUTED):
            del definition["properties"][field]
    for row in ROWS.values():
        if len(row.models) > 1:
            schema["properties"][row.listing]["items"] = _by_kind(row.models)
            kinds = [kind_of(model) for model in row.models]
            kind = definitions[row.model.__name__]["properties"]["kind"]
            del kind["const"]
            kind["enum"] = kinds
    traffic = definitions["TrafficSpec"]["properties"]
    for field in _MOVED:
        definitions["EndpointSpec"]["properties"][field] = traffic[field]
    # that of an MLflow model without code is made of the model's own files
    definitions["DeploymentSpec"]["required"].remove("environment")
    amounts = definitions["ResourceAmounts"]["properties"]
    amounts["gpu"] = amounts["nvidia.com/gpu"]  # both spellings are read
    [slices] = definitions["Resources"]["properties"]["mig"]["patternProperties"].values()
    amounts = definitions["ResourceAmounts"]
    amounts["patternProperties"] = {f"^{MIG_PREFIX}": dict(slices)}
    count = next(one for name, one in amounts["properties"].items() if name in ("gpu", NVIDIA))
    amounts["properties"] |= dict.fromkeys(OTHER_VENDORS, count)
    of_a_name = definitions["Resources"]["properties"]["ulimits"]
    soft = definitions["Ulimit"]["properties"]["soft"]
    number = {key: soft[key] for key in ("type", "minimum", "maximum")}  # one number is both
    of_a_name["additionalProperties"] = {"anyOf": [number, {"$ref": "#/$defs/Ulimit"}]}
    schema["properties"]["azureml"] = {
        "description": "Files and folders of Azure ML YAML, whose items join those of the stack.",
        "items": {"type": "string"},
        "type": "array",
    }
    definitions["WorkspaceSpec"]["properties"]["registries"] = _registries()
    _open_placeholders(schema)
    schema["properties"]["$schema"] = {"type": "string"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Stack file of pulumi-inference",
    }


def _registries() -> dict[str, Any]:
    """Return what a workspace has for assets of registries; `azureml/registries.py` reads it."""
    asset = {"anyOf": [{"type": "string"}, {"type": "object"}]}
    assets = {"type": "object", "additionalProperties": asset}
    properties = {"environments": assets, "models": assets}
    registry = {"type": "object", "properties": properties, "additionalProperties": False}
    return {
        "description": "What stands for assets of registries of Azure: by registry, by"
        " environments or models, by name or NAME:VERSION, the fields of an asset, or a reference.",
        "type": "object",
        "additionalProperties": registry,
    }


def _describe(model: type[BaseModel], definition: dict[str, Any]) -> None:
    docs, fields = field_docs(model), definition["properties"]
    for name, info in model.model_fields.items():
        if name in docs:
            described = {**fields[info.alias or name], "description": docs[name]}
            fields[info.alias or name] = dict(sorted(described.items()))


@functools.cache
def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstring under each field of a model says; a field without one is left out.

    Read from the sources, so that no command has to.
    """
    bases = [base for base in reversed(model.__mro__) if issubclass(base, BaseModel)]
    return {
        name: text
        for base in bases
        if base is not BaseModel
        for name, text in _docs_in(inspect.getsource(base))
    }


def _docs_in(source: str) -> list[tuple[str, str]]:
    [declared] = ast.parse(source).body
    body = declared.body if isinstance(declared, ast.ClassDef) else []
    return [
        (field.target.id, inspect.cleandoc(text.value.value))
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(text.value.value, str)
    ]


def _by_kind(models: tuple[type[SpecModel], ...]) -> dict[str, Any]:
    """Choose a model by `kind`. With `oneOf`, an editor would mark all of an item for one field."""
    meant, *others = models
    chosen: dict[str, Any] = {"$ref": f"#/$defs/{meant.__name__}"}
    for model in reversed(others):
        says_so = {"properties": {"kind": {"const": kind_of(model)}}, "required": ["kind"]}
        then = {"$ref": f"#/$defs/{model.__name__}"}
        chosen = {"if": says_so, "then": then, "else": chosen}
    return chosen


def _open_placeholders(node: Any) -> None:
    """Remove the marks of passwords, and allow `${env:NAME}` where a pattern or number is needed.

    What it stands for is checked when the file is read.
    """
    if isinstance(node, list):
        for item in node:
            _open_placeholders(item)
    elif isinstance(node, dict):
        for item in list(node.values()):
            _open_placeholders(item)
        if node.get("format") == "password":
            del node["format"]
            node.pop("writeOnly", None)
        _allow_placeholder(node)


def _allow_placeholder(node: dict[str, Any]) -> None:
    constrained = "pattern" in node or node.get("type") in ("integer", "number", "boolean")
    if not constrained or not isinstance(node.get("type"), str):
        return
    about: dict[str, Any] = {
        key: node.pop(key) for key in ("title", "description", "default") if key in node
    }
    plain = dict(node)
    node.clear()
    node.update(about, anyOf=[plain, {"type": "string", "pattern": r"\$\{(env|file):[^}]+\}"}])


def schema_text() -> str:
    """Return the schema as it stands in the repository."""
    return json.dumps(stack_schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the schema into the repository."""
    SCHEMA_PATH.parent.mkdir(parents=True, exist_ok=True)
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
    sys.stdout.write(f"wrote {SCHEMA_PATH}\n")


if __name__ == "__main__":
    main()
