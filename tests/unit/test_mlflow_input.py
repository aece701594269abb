"""What callers of an MLflow model send, as its signature has it."""

import json
import math
from types import SimpleNamespace

import mlflow_input
import pytest
from mlflow_input import BadRequest, Column, Signature, Table

HEART = Signature(
    (
        Column("age", "long"),
        Column("oldpeak", "double"),
        Column("thal", "string"),
        Column("note", "string", required=False),
    )
)


def cast(table, signature=HEART):
    return {column.name: values for column, values in mlflow_input.cast(table, signature)}


def refused(call, *given):
    with pytest.raises(BadRequest) as told:
        call(*given)
    return str(told.value)


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        pytest.param('{"input_data": [[1]]}', ([[1]], None), id="input_data"),
        pytest.param('{"input_data": 1, "params": {"t": 1}}', (1, {"t": 1}), id="params"),
        pytest.param('[{"a": 1}]', ([{"a": 1}], None), id="bare list"),
    ],
)  # fmt: skip
def test_a_body_has_input_data_and_may_have_params(body, asked):
    assert mlflow_input.asked_of(body.encode()) == asked


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b" \n", 'the body is empty; send {"input_data": ...} as JSON'),
        (b"\xff\xfe", "the body is not UTF-8 text"),
        (b"a=1", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b'{"dataframe_split": {}}', '"input_data" is missing; send {"input_data": ...}'),
        (b"5", '"input_data" is missing; send {"input_data": ...}'),
        (b'{"input_data": [], "params": [1]}', '"params" must be an object: send {"name": value}'),
        (b"[" * 100_000, "the body is nested too deeply"),
    ],
)
def test_a_body_without_input_is_refused_in_a_sentence(body, sentence):
    assert refused(mlflow_input.asked_of, body) == sentence


@pytest.mark.parametrize(
    ("asked", "table"),
    [
        pytest.param(
            {"columns": ["a", "b"], "index": [7], "data": [[1, 2]]},
            Table(["a", "b"], [[1, 2]], [7]),
            id="split",
        ),
        pytest.param({"data": [[1, 2]]}, Table(None, [[1, 2]]), id="without names"),
        pytest.param(
            [{"a": 1}, {"a": 2, "b": 3}], Table(["a", "b"], [[1, None], [2, 3]]), id="records"
        ),
        pytest.param([[1, 2], [3, 4]], Table(None, [[1, 2], [3, 4]]), id="rows"),
        pytest.param({"tokens": [[1]], "mask": [[1]]}, None, id="tensors"),
        pytest.param([1, 2], None, id="numbers"),
        pytest.param("text", None, id="text"),
    ],
)
def test_a_table_is_known_however_it_is_written(asked, table):
    assert mlflow_input.table_of(asked) == table


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"columns": ["a"], "data": [[1, 2]]}, "row 0 has 2 values instead of 1"),
        ({"columns": "a", "data": [[1]]}, '"columns" is not a list of names'),
        ({"data": [1, 2]}, '"data" is not a list of rows, each a list of values'),
        (
            {"columns": ["a"], "index": [0, 1], "data": [[1]]},
            '"index" must be a list of 1 entries, one for each row',
        ),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(asked, sentence):
    assert refused(mlflow_input.table_of, asked) == sentence


def test_values_become_what_the_signature_says():
    given = Table(
        ["thal", "age", "oldpeak", "left out"], [[2, 63.0, 2, "x"], ["fixed", "41", "1.5", 0]]
    )
    assert cast(given) == {"age": [63, 41], "oldpeak": [2.0, 1.5], "thal": ["2", "fixed"]}


def test_columns_without_names_are_taken_in_their_order():
    assert cast(Table(None, [[63, 2.3, 2, None]])) == {"age": [63], "oldpeak": [2.3], "thal": ["2"]}


def test_a_missing_number_is_nan_and_a_missing_text_is_none():
    found = cast(Table(["age", "oldpeak", "thal"], [[1, None, None]]))
    assert math.isnan(found["oldpeak"][0])
    assert found["thal"] == [None]


def test_all_missing_columns_are_named_at_once():
    sentence = refused(cast, Table(["age"], [[63]]))
    assert sentence == (
        "columns 'oldpeak', 'thal' are missing; the model asks for 'age', 'oldpeak', 'thal', 'note'"
    )


@pytest.mark.parametrize(
    ("type_", "value", "became"),
    [
        ("boolean", True, True), ("boolean", "False", False), ("boolean", 1, True),
        ("integer", -(2**31), -(2**31)), ("long", "7", 7), ("float", "1e3", 1000.0),
        ("string", 2.5, "2.5"), ("string", True, "True"), ("binary", "AAE=", b"\x00\x01"),
        ("datetime", "2026-01-01", "2026-01-01"), ("Array(double)", [1.0], [1.0]),
    ],
)  # fmt: skip
def test_each_type_takes_what_azure_ml_takes(type_, value, became):
    [(_, values)] = mlflow_input.cast(Table(None, [[value]]), Signature((Column("x", type_),)))
    assert values == [became]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("boolean", "yes"), ("boolean", 2), ("boolean", None), ("integer", 2**31), ("long", 2**63),
        ("long", 1.5), ("long", None), ("long", math.inf), ("double", "much"), ("double", [1]),
        ("string", {"a": 1}), ("binary", "no base 64"), ("binary", 1), ("datetime", 20260101),
    ],
)  # fmt: skip
def test_another_value_is_refused_with_its_column_and_row(type_, value):
    one = Signature((Column("thal", type_),))
    told = refused(cast, Table(["thal"], [[value]]), one)
    assert told == f"column 'thal', row 0: {json.dumps(value)} is not of type {type_}"


def test_a_long_value_is_not_told_whole():
    told = refused(cast, Table(["x"], [["y" * 500]]), Signature((Column("x", "long"),)))
    assert told == f"column 'x', row 0: \"{'y' * 59}... is not of type long"


def test_an_optional_column_without_a_value_is_left_out():
    optional = Signature((Column("a", "long"), Column("b", "long", required=False)))
    assert cast(Table(["a", "b"], [[1, None]]), optional) == {"a": [1]}


@pytest.mark.parametrize(
    ("spec", "column"),
    [
        pytest.param(
            SimpleNamespace(name="a", type=SimpleNamespace(name="long"), optional=True),
            Column("a", "long", False),
            id="MLflow 1 and 2",
        ),
        pytest.param(
            SimpleNamespace(name="a", type=SimpleNamespace(name="double"), required=True),
            Column("a", "double", True),
            id="MLflow 3",
        ),
        pytest.param(
            SimpleNamespace(name=None, type="float32", shape=(-1, 4)),
            Column(None, "float32", True, (-1, 4)),
            id="tensor",
        ),
        pytest.param(
            SimpleNamespace(name="a", type="Array(long)"), Column("a", "Array(long)"), id="list"
        ),
    ],
)
def test_a_signature_is_read_from_every_version_of_mlflow(spec, column):
    schema = SimpleNamespace(inputs=[spec])
    assert mlflow_input.signature_of(schema) == Signature((column,))


def test_a_model_without_a_signature_asks_for_nothing():
    assert mlflow_input.signature_of(None) is None
