"""The signature of a model -> what `/swagger.json` says of its input and output. Pure."""

from __future__ import annotations

from typing import Any

from mlflow_input import Column, Signature

_OF_TYPE: dict[str, dict[str, str]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "binary": {"type": "string", "format": "byte"},
    "datetime": {"type": "string", "format": "date-time"},
}
_EXAMPLES: dict[str, Any] = {
    "boolean": True, "integer": 0, "long": 0, "float": 0.0, "double": 0.0, "string": "text",
    "binary": "", "datetime": "2026-01-01T00:00:00",
}  # fmt: skip


def input_schema(signature: Signature | None) -> dict[str, Any]:
    """Return the schema of a request's body."""
    data: dict[str, Any] = {"description": "A table, a list of rows, or tensors by name."}
    example: Any = {}
    if signature is not None and signature.of_tensors:
        data, example = _tensors(signature)
    elif signature is not None:
        data, example = _split(signature)
    params = {"type": "object", "description": "Parameters of the model."}
    return {
        "type": "object",
        "required": ["input_data"],
        "properties": {"input_data": data, "params": params},
        "example": {"input_data": example},
    }


def output_schema(signature: Signature | None) -> dict[str, Any]:
    """Return the schema of an answer, of what the signature says that the model returns."""
    if signature is None:
        return {"description": "What the model predicts."}
    if signature.of_tensors:
        return _tensors(signature)[0]
    if not signature.names:
        return {"type": "array", "items": _value(signature.columns[0])}
    return {"type": "array", "items": _record(signature)}


def _record(signature: Signature) -> dict[str, Any]:
    columns = enumerate(signature.columns)
    return {"type": "object", "properties": {_name(i, c): _value(c) for i, c in columns}}


def _split(signature: Signature) -> tuple[dict[str, Any], Any]:
    names = [_name(i, column) for i, column in enumerate(signature.columns)]
    row = [_EXAMPLES.get(column.type) for column in signature.columns]
    types = ", ".join(f"{n} ({c.type})" for n, c in zip(names, signature.columns))  # noqa: B905 - Python 3.7
    schema = {
        "type": "object",
        "description": f"Columns: {types}",
        "required": ["columns", "data"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "index": {"type": "array", "items": {"type": "integer"}},
            "data": {"type": "array", "items": {"type": "array", "items": {}}},
        },
    }
    return schema, {"columns": names, "index": [0], "data": [row]}


def _tensors(signature: Signature) -> tuple[dict[str, Any], Any]:
    if not signature.names:
        return _tensor(signature.columns[0]), []
    named = {str(one.name): _tensor(one) for one in signature.columns}
    return {"type": "object", "properties": named}, {name: [] for name in named}


def _tensor(column: Column) -> dict[str, Any]:
    described = f"{column.type} of shape {column.shape}"
    return {"type": "array", "items": {}, "description": described}


def _value(column: Column) -> dict[str, Any]:
    return dict(_OF_TYPE.get(column.type, {}))


def _name(place: int, column: Column) -> str:
    return str(place) if column.name is None else column.name
