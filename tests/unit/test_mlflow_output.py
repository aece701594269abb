"""What MLflow models predict, as JSON."""

import datetime
import decimal
import math
from types import SimpleNamespace

import mlflow_output
import numpy as np
import pytest
from scipy.sparse import csr_matrix


class Missing:
    """As NaT and NaN are: equal to nothing."""

    def __eq__(self, other):
        return False

    __hash__ = None


class Frame:
    """A table, as pandas has it."""

    columns = ("a", "b")

    def to_dict(self, orient):
        assert orient == "records"
        return [{"a": np.int64(1), "b": math.nan}, {"a": np.int64(2), "b": Missing()}]


class Series:
    loc = None

    def to_frame(self):
        return Frame()


NA = type("NAType", (), {})()


@pytest.mark.parametrize(
    ("result", "body"),
    [
        pytest.param(np.array([1.5, math.nan]), "[1.5, null]", id="array"),
        pytest.param(np.array([[1, 2]], dtype="int32"), "[[1, 2]]", id="matrix"),
        pytest.param(np.float32(0.5), "0.5", id="scalar of numpy"),
        pytest.param(np.bool_(True), "true", id="boolean of numpy"),
        pytest.param(7, "7", id="scalar"),
        pytest.param("text", '"text"', id="text"),
        pytest.param(None, "null", id="nothing"),
        pytest.param([1, (2.0, math.inf), {"a": True}], '[1, [2.0, null], {"a": true}]', id="list"),
        pytest.param({"out": np.zeros(2)}, '{"out": [0.0, 0.0]}', id="tensors by name"),
        pytest.param(Frame(), '[{"a": 1, "b": null}, {"a": 2, "b": null}]', id="table"),
        pytest.param(Series(), '[{"a": 1, "b": null}, {"a": 2, "b": null}]', id="column"),
        pytest.param(
            np.array(["2026-01-02", "NaT"], dtype="datetime64[ns]"),
            '["2026-01-02T00:00:00.000000000", null]',
            id="times of numpy",
        ),
        pytest.param([datetime.date(2026, 1, 2)], '["2026-01-02"]', id="date"),
        pytest.param([b"\x00\x01", bytearray(b"a")], '["AAE=", "YQ=="]', id="bytes"),
        pytest.param(np.array([b"ab"]), '["YWI="]', id="bytes of numpy"),
        pytest.param([NA], "[null]", id="NA"),
        pytest.param([decimal.Decimal("1.10")], '["1.10"]', id="decimal"),
        pytest.param(csr_matrix([[0, 1]]), "[[0, 1]]", id="sparse"),
        pytest.param(iter([1, 2]), "[1, 2]", id="iterator"),
        pytest.param(SimpleNamespace(numpy=lambda: np.ones(1)), "[1.0]", id="tensor"),
        pytest.param(SimpleNamespace(model_dump=lambda: {"a": 1}), '{"a": 1}', id="pydantic"),
    ],
)
def test_every_result_of_a_model_is_bare_json(result, body):
    assert mlflow_output.answer_of(result) == body


def test_a_result_without_a_form_in_json_is_named():
    with pytest.raises(TypeError, match=r"returned a value of builtins\.object, which has no form"):
        mlflow_output.answer_of([object()])
