"""MLflow models without code answer on this machine as they do on Azure ML."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.azureml.examples import EXAMPLES, ONLINE, needs_examples
from tests.mlflow_models import write_model
from tests.ports import own_port

pytestmark = [pytest.mark.local, pytest.mark.timeout(1200)]

INFERCTL = [sys.executable, "-c", "from inference_provider.cli.main import main; main()"]
BUILT = Path(tempfile.gettempdir()) / "inference-mlflow-tests"
"""Keeps environments for the next run: to install MLflow takes minutes."""
TABLE = """\
import pandas as pd


class Model:
    def predict(self, rows):
        if (rows["age"] < 0).any():
            raise ValueError("an age below 0")
        kinds = {name: str(kind) for name, kind in rows.dtypes.items()}
        return pd.DataFrame({
            "thal": rows["thal"], "old": rows["age"] * 1.0, "at": rows["at"],
            "kinds": [kinds] * len(rows), "raw": [b"ab"] * len(rows),
        })


def _load_pyfunc(path):
    return Model()
"""
COLUMNS = [
    {"name": "age", "type": "long"},
    {"name": "thal", "type": "string"},
    {"name": "at", "type": "datetime"},
]
TENSOR = """\
class Model:
    def predict(self, given):
        return {name: one * 2 for name, one in given.items()}


def _load_pyfunc(path):
    return Model()
"""
PIXELS = {"dtype": "float32", "shape": [-1, 2]}
TENSORS = [{"name": "pixels", "type": "tensor", "tensor-spec": PIXELS}]
UNSIGNED = """\
class Model:
    def predict(self, given):
        return [type(given).__name__, given]


def _load_pyfunc(path):
    return Model()
"""


class Lab:
    """A folder, a state folder, and inferctl."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        BUILT.mkdir(exist_ok=True)
        (folder / "s").mkdir()
        (folder / "s/environments").symlink_to(BUILT)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def __call__(self, *words: str, said: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [*INFERCTL, *words], cwd=self.folder, input=said, text=True, capture_output=True,
            env={**os.environ, "INFERENCE_STATE_DIR": str(self.folder / "s")}, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def score(self, deployment: str, body: object) -> object:
        said = self(
            "score", "iris", "--deployment", deployment, "--data", "-", said=json.dumps(body)
        )
        return json.loads(said)

    def refused(self, deployment: str, body: object) -> str:
        words = ("score", "iris", "--deployment", deployment, "--data", "-")
        return self(*words, said=json.dumps(body), code=1)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """Deployments of three models of our own behind one endpoint."""
    made = Lab(Path(tempfile.mkdtemp()))
    write_model(made.folder, "table", TABLE, COLUMNS)
    write_model(made.folder, "tensor", TENSOR, TENSORS)
    write_model(made.folder, "unsigned", UNSIGNED)
    names = ("table", "tensor", "unsigned")
    stack = {
        "name": "mlflow",
        "workspaces": [{"name": "lab", "router_port": own_port()}],
        "models": [{"name": n, "path": n, "type": "mlflow_model"} for n in names],
        "endpoints": [{"name": "iris"}],
        "deployments": [{"endpoint": "iris", "name": n, "model": f"{n}:1"} for n in names],
        "traffic": [{"endpoint": "iris", "traffic": {"table": 100}}],
    }
    made.write("stack.yaml", json.dumps(stack))
    made("up")
    yield made
    made("down", "--yes")


def split(*rows, columns=("age", "thal", "at")):
    return {"input_data": {"columns": list(columns), "index": [*range(len(rows))], "data": [*rows]}}


def test_values_are_cast_by_the_signature_and_a_table_is_answered_as_records(lab):
    [row] = lab.score("table", split([63.0, 2, "2026-01-02T03:00:00+01:00"]))
    assert row == {
        "thal": "2",
        "old": 63.0,
        "at": "2026-01-02T02:00:00",
        "kinds": {"age": "int64", "thal": "object", "at": "datetime64[ns]"},
        "raw": "YWI=",
    }


def test_a_missing_text_and_a_missing_time_are_null(lab):
    [row] = lab.score("table", [{"age": 1, "thal": None, "at": None}])
    assert (row["thal"], row["at"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (split([63], columns=["age"]), "columns 'thal', 'at' are missing; the model asks for"),
        (split(["old", "2", None]), "column 'age', row 0: \\\"old\\\" is not of type long"),
        (split([1, "2", "soon"]), "column 'at', row 0: \\\"soon\\\" is not of type datetime"),
        ({"instances": []}, '\\"input_data\\" is missing'),
    ],
)
def test_what_a_caller_got_wrong_is_told_in_a_sentence(lab, body, sentence):
    told = lab.refused("table", body)
    assert "answered 424" in told
    assert sentence in told


def test_a_failing_prediction_is_an_error_of_the_model(lab):
    told = lab.refused("table", split([-1, "2", None]))
    assert "An unexpected error occurred in scoring script" in told
    assert "ValueError: an age below 0" in lab("logs", "iris/table")


def test_tensors_are_of_the_dtype_and_shape_of_the_signature(lab):
    assert lab.score("tensor", {"input_data": {"pixels": [[1, 2], [3, 4]]}}) == {
        "pixels": [[2.0, 4.0], [6.0, 8.0]]
    }
    assert lab.score("tensor", {"input_data": [[1, 2]]}) == {"pixels": [[2.0, 4.0]]}
    told = lab.refused("tensor", {"input_data": {"pixels": [1, 2]}})
    assert "tensor 'pixels' is of shape (2,); the model asks for (-1, 2)" in told


def test_a_model_without_a_signature_gets_what_is_sent(lab):
    assert lab.score("unsigned", {"input_data": [[1, 2]]}) == ["ndarray", [[1, 2]]]
    assert lab.score("unsigned", {"input_data": ["a", "b"]}) == ["list", ["a", "b"]]
    assert lab.score("unsigned", split([1], columns=["a"])) == ["DataFrame", [{"a": 1}]]


def test_nothing_is_written_beside_the_scoring_script(lab):
    code = {one.name for one in lab.folder.glob("s/workspaces/lab/running/*/code/*")}
    assert {one for one in code if one != "__pycache__"} == {
        "mlflow_input.py", "mlflow_output.py", "mlflow_score.py", "mlflow_swagger.py",
    }  # fmt: skip


def test_a_second_up_changes_nothing_and_nothing_drifts(lab):
    assert lab("up").startswith("no changes; 12 unchanged\n")
    assert "12 clean" in lab("drift")


@needs_examples
def test_the_example_of_azure_ml_answers_its_values():
    made, folder = Lab(Path(tempfile.mkdtemp())), EXAMPLES / ONLINE / "ncd"
    files = [str(folder / name) for name in ("create-endpoint.yaml", "sklearn-deployment.yaml")]
    declared = yaml.safe_load(made("convert", *files, "--all-traffic"))
    declared["workspaces"] = [{"name": "lab", "router_port": own_port()}]
    declared["models"][0]["path"] = str(folder / "sklearn-diabetes/model")
    made.write("stack.yaml", json.dumps(declared))
    made("up")
    try:
        request = str(folder / "sample-request-sklearn.json")
        answer = json.loads(made("score", "my-endpoint", "--data", request))
        assert answer == pytest.approx([11633.100167144928, 8522.117402885002], rel=1e-12)
    finally:
        made("down", "--yes")
