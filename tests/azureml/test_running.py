"""Azure's examples, as they are, answer through the router of this machine as Azure ML does.

The scoring scripts are the tests' own: the examples' are to the same contract.
"""

import json

import pytest

from tests.azureml.examples import ONLINE, copied, needs_examples
from tests.azureml.running import Running

pytestmark = [needs_examples, pytest.mark.local, pytest.mark.timeout(900)]

REGRESSION = """\
import json
import os
from pathlib import Path

import joblib
import numpy


def init():
    global model
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    model = joblib.load(folder / "model" / "sklearn_regression_model.pkl")


def run(raw):
    return model.predict(numpy.array(json.loads(raw)["data"])).tolist()
"""
HALF = """\
import json


def init():
    pass


def run(raw):
    return [0.5 for _ in json.loads(raw)["data"]]
"""
IRIS = """\
import os
from pathlib import Path

import joblib
import numpy
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

NAMES = ("Setosa", "Versicolor", "Virginica")


def init():
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "models" / "iris.pkl")


@input_schema("iris", NumpyParameterType(numpy.array([[7.2, 3.2, 6.0, 1.8]])))
@output_schema(StandardPythonParameterType({"Category": ["Virginica"]}))
def run(iris):
    return {"Category": [NAMES[int(one)] for one in model.predict(iris)]}
"""
PICTURES = """\
from azureml_inference_server_http.api.aml_request import rawhttp
from PIL import Image


def init():
    pass


@rawhttp
def run(request):
    files = request.files.getlist("file[]")
    sizes = [{"filename": one.filename, "size": Image.open(one).size} for one in files]
    return {"response": sizes}
"""
SCRIPTS = {
    "model-1/onlinescoring/score.py": REGRESSION,
    "model-2/onlinescoring/score.py": HALF,
    "managed/inference-schema/code/score-numpy.py": IRIS,
    "managed/binary-payloads/code/multi-file-to-json-score.py": PICTURES,
}
SAMPLE = f"{ONLINE}/managed/sample"
SCHEMA = f"{ONLINE}/managed/inference-schema"
BINARY = f"{ONLINE}/managed/binary-payloads"
CUSTOM = f"{ONLINE}/custom-container/minimal/single-model"
DEPLOY = "cli/foundation-models/system/inference/text-classification/deploy.yml"
REQUEST = f"{ONLINE}/model-1/sample-request.json"
SCORES = [11055.977245525679, 4503.079536107787]
ENVIRONMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
name: as-processes
version: 1
conda_file: cli/endpoints/online/model-1/environment/conda.yaml
"""


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("running"), SCRIPTS)


@pytest.fixture(scope="module")
def state(examples):
    return Running(examples)


@pytest.fixture
def running(state):
    """inferctl, and `down` of what a test has brought up."""
    state.words = ()
    yield state
    if state.words:
        state("down", *state.words, "--yes")


def up(running, *words: str) -> str:
    running.words = words
    _, told = running.both("up", *words)
    return told


def test_v1_blue_serves_and_green_is_reached_by_its_name_alone(running):
    files = [f"{SAMPLE}/{one}.yml" for one in ("endpoint", "blue-deployment", "green-deployment")]
    up(running, *files, "--traffic", "blue=100 green=0")
    assert running.score("my-endpoint", REQUEST) == pytest.approx(SCORES)
    assert running.score("my-endpoint", REQUEST, "--deployment", "green") == [0.5, 0.5]
    up(running, *files, "--traffic", "blue=0 green=100")
    assert running.score("my-endpoint", REQUEST) == [0.5, 0.5]
    assert running("drift", *files, "--traffic", "blue=0 green=100").startswith("sample: 0 drifted")


def test_v2_what_was_built_for_numpy_1_gets_it_and_the_schema_is_served(running):
    up(
        running, f"{SAMPLE}/endpoint.yml", f"{SCHEMA}/model.yml", f"{SCHEMA}/deployment-numpy.yml",
        "--endpoint", "infsrv", "--all-traffic", "--set", "model=azureml:azureml-infschema:1",
    )  # fmt: skip
    scored = running.score("infsrv", f"{SCHEMA}/sample-inputs/numpy.json")
    assert scored == {"Category": ["Virginica", "Setosa"]}
    schema = running.ask("infsrv", "openapi_uri").json()
    assert "iris" in schema["definitions"]["ServiceInput"]["properties"]


def test_v3_several_files_of_one_form_pass_the_router(running, examples):
    up(
        running, f"{SAMPLE}/endpoint.yml", f"{BINARY}/binary-payloads-deployment.yml",
        "--endpoint", "binary", "--all-traffic",
        "--set", "code_configuration.scoring_script=multi-file-to-json-score.py",
    )  # fmt: skip
    picture = ("input.jpg", (examples / BINARY / "input.jpg").read_bytes())
    told = running.ask("binary", "scoring_uri", "POST", files=[("file[]", picture)] * 2)
    one = {"filename": "input.jpg", "size": [512, 340]}
    assert told.json() == {"response": [one, one]}


@pytest.mark.parametrize(
    ("endpoint", "deployment"),
    [
        (
            "conda-in-dockerfile/minimal-single-model-conda-in-dockerfile-endpoint.yml",
            "conda-in-dockerfile/minimal-single-model-conda-in-dockerfile-deployment.yml",
        ),
        (
            "minimal-single-model-endpoint.yml",
            "pip-in-dockerfile/minimal-single-model-pip-in-dockerfile-deployment.yml",
        ),
    ],
)
def test_v6_a_container_of_ones_own_scores_the_same_as_a_process(running, endpoint, deployment):
    running.write("environment.yml", ENVIRONMENT)
    up(
        running, f"{CUSTOM}/{endpoint}", f"{CUSTOM}/{deployment}", "environment.yml",
        "--var", "ENDPOINT_NAME=minimal", "--var", "ACR_NAME=mine", "--all-traffic",
        "--stack", "minimal", "--set", "environment=azureml:as-processes:1",
    )  # fmt: skip
    assert running.score("minimal", REQUEST) == pytest.approx(SCORES)


@pytest.mark.parametrize("which", ["payload1", "payload2", "custom1", "custom2"])
def test_v9_a_collector_is_read_and_refused_by_the_plan_alone(running, which):
    file = f"{ONLINE}/data-collector/workspace-blob-storage/workspace-blob-storage-{which}.YAML"
    _, told = running.both(
        "plan", f"{SAMPLE}/endpoint.yml", file, f"{SCHEMA}/model.yml", "--endpoint", "collects",
        "--set", "model=azureml:azureml-infschema:1",
        "--set", "environment.conda_file=../../model-1/environment/conda.yaml",
        "--set", "code_configuration.code=../../model-1/onlinescoring",
        code=1,
    )  # fmt: skip
    refused = [line for line in told.splitlines() if line.startswith("  ")]
    assert len(refused) == 1
    assert "data_collector: not supported yet" in refused[0]


def test_v10_a_deployment_without_model_and_code_serves_those_that_are_set(running):
    there = "../../../../endpoints/online/model-1"
    up(
        running, f"{SAMPLE}/endpoint.yml", DEPLOY, "--endpoint", "founded", "--all-traffic",
        "--stack", "founded", "--set", f"model.path={there}/model",
        "--set", f"environment.conda_file={there}/environment/conda.yaml",
        "--set", f"code_configuration.code={there}/onlinescoring",
        "--set", "code_configuration.scoring_script=score.py",
    )  # fmt: skip
    assert running.score("founded", REQUEST) == pytest.approx(SCORES)


RULES = """\
autoscale_rules:
  - endpoint: my-endpoint
    deployment: blue
    min_instances: 2
    max_instances: 5
    metrics:
      - {metric: CpuUtilizationPercentage, operator: greater_than, threshold: 70, change: 2}
      - {metric: CpuUtilizationPercentage, operator: less_than, threshold: 25, change: -1}
      - {metric: RequestLatency, operator: greater_than, threshold: 70, change: 1}
    schedules:
      - cron: 0 0 * * 6
        duration_s: 172800
        time_zone: America/Los_Angeles
        min_instances: 2
        max_instances: 2
"""


def test_v10_a_profile_keeps_two_instances_until_it_is_disabled(running, examples):
    blue = (examples / SAMPLE / "blue-deployment.yml").read_text()
    running.write(f"{SAMPLE}/asking.yml", f"{blue}\nresources: {{requests: {{cpu: 500m}}}}\n")
    head = f"name: moe\nazureml: [{SAMPLE}/endpoint.yml, {SAMPLE}/asking.yml]\n"
    split = "traffic: [{endpoint: my-endpoint, traffic: {blue: 100}}]\n"
    running.write("moe.yaml", f"{head}{split}{RULES}")
    up(running, "moe.yaml")
    assert count(running) == "2 of 2 instances ready"
    assert running.score("my-endpoint", REQUEST) == pytest.approx(SCORES)
    disabled = RULES.replace("deployment: blue", "deployment: blue\n    enabled: false")
    running.write("moe.yaml", f"{head}{split}{disabled}")
    up(running, "moe.yaml")
    assert count(running) == "1 of 1 instances ready"


def count(running) -> str:
    found = json.loads(running("status", "--json"))
    return next(one["status"] for one in found if one["name"] == "my-endpoint/blue")
