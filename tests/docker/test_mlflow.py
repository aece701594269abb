"""An MLflow model without code in a container, its packages in an image of its own."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.docker_host import BASE_IMAGE
from tests.mlflow_models import write_model

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

MODEL = """\
class Model:
    def predict(self, rows):
        return rows.assign(old=rows["age"] * 1.5)


def _load_pyfunc(path):
    return Model()
"""
COLUMNS = [{"name": "age", "type": "long"}, {"name": "thal", "type": "string"}]


@pytest.fixture
def inferctl(tmp_path):
    name = f"mlflow{time.time_ns() % 10**9}"
    write_model(tmp_path, "table", MODEL, COLUMNS)
    stack = {
        "name": name,
        "workspaces": [{"name": name, "target": "docker", "base_image": BASE_IMAGE}],
        "models": [{"name": "table", "path": "table", "type": "mlflow_model"}],
        "endpoints": [{"name": "iris"}],
        "deployments": [{"endpoint": "iris", "name": "blue", "model": "table:1"}],
        "traffic": [{"endpoint": "iris", "traffic": {"blue": 100}}],
    }
    (tmp_path / "stack.yaml").write_text(json.dumps(stack))

    def run(*words, said=""):
        program = str(Path(sys.executable).with_name("inferctl"))
        done = subprocess.run(
            [program, *words], cwd=tmp_path, input=said, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield run
    run("down", "-y")


def test_it_answers_and_nothing_drifts(inferctl):
    inferctl("up", "-y")
    body = {"input_data": {"columns": ["age", "thal"], "data": [[63.0, 2]]}}
    answer = inferctl("score", "iris", "--data", "-", said=json.dumps(body))
    assert json.loads(answer) == [{"age": 63, "thal": "2", "old": 94.5}]
    assert "6 clean" in inferctl("drift")
