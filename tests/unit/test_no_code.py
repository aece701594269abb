"""A deployment of an MLflow model without code gets the code and the environment that serve it."""

from pathlib import Path

import pytest

from inference_provider.errors import SpecError
from inference_provider.files import load_stack

STACK = """\
name: demo
models:
  - {name: heart, version: '3', path: model, type: mlflow_model}
endpoints:
  - {name: iris}
deployments:
  - {endpoint: iris, name: blue, model: heart@latest}
"""
MLMODEL = """\
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    python_version: 3.8.5
  sklearn: {pickled_model: model.pkl}
mlflow_version: 2.9.2
"""
CONDA = "dependencies: [python=3.12, pip<=23, {pip: [mlflow==2.9.2, scikit-learn==1.7.0]}]\n"


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("stack.yaml", STACK)
        self.write("model/MLmodel", MLMODEL)
        self.write("model/conda.yaml", CONDA)
        self.write("model/model.pkl", "weights")

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True, parents=True)
        (self.path / name).write_text(text)

    def load(self):
        return load_stack(self.path / "stack.yaml")

    def faults(self) -> list[str]:
        with pytest.raises(SpecError) as refused:
            self.load()
        return [str(fault) for fault in refused.value.faults]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_it_gets_our_script_and_an_environment_of_the_models_own_files(folder):
    stack = folder.load()
    [deployment], [environment] = stack.deployments, stack.environments
    assert deployment.code_configuration.scoring_script == "mlflow_score.py"
    assert len(deployment.code_configuration.content_hash) == 64
    assert deployment.environment == "heart-mlflow:3"
    assert (environment.name, environment.version) == ("heart-mlflow", "3")
    assert environment.python_version == "3.12"
    assert environment.dependencies == ("mlflow==2.9.2", "scikit-learn==1.7.0")


def test_two_deployments_of_one_model_share_its_environment(folder):
    folder.write("stack.yaml", STACK + "  - {endpoint: iris, name: green, model: 'heart:3'}\n")
    stack = folder.load()
    assert [one.environment for one in stack.deployments] == ["heart-mlflow:3", "heart-mlflow:3"]
    assert len(stack.environments) == 1


@pytest.mark.parametrize(
    ("files", "python", "dependencies"),
    [
        pytest.param(
            {
                "MLmodel": MLMODEL,
                "python_env.yaml": "python: 3.10.4\nbuild_dependencies: [pip==23]\n"
                "dependencies: [-r requirements.txt, six]\n",
                "requirements.txt": "mlflow==2.9.2\nlightgbm==4.6.0\n",
            },
            "3.10",
            ("mlflow==2.9.2", "lightgbm==4.6.0", "six"),
            id="python_env.yaml",
        ),
        pytest.param(
            {"MLmodel": MLMODEL, "requirements.txt": "scikit-learn==1.7.0\n"},
            "3.8",
            ("mlflow==2.9.2", "scikit-learn==1.7.0"),
            id="requirements.txt without mlflow",
        ),
        pytest.param(
            {
                "MLmodel": "flavors: {python_function: {env: my-conda.yaml}}\n",
                "my-conda.yaml": "dependencies: [{pip: [xgboost]}]\n",
            },
            None,
            ("mlflow", "xgboost"),
            id="conda file by name, of an MLflow that wrote no version",
        ),
    ],
)
def test_the_environment_is_made_of_the_file_that_is_there(folder, files, python, dependencies):
    (folder.path / "model/conda.yaml").unlink()
    for name, text in files.items():
        folder.write(f"model/{name}", text)
    [environment] = folder.load().environments
    assert (environment.python_version, environment.dependencies) == (python, dependencies)


def test_a_model_may_lie_in_a_folder_of_the_model(folder):
    folder.write("stack.yaml", STACK.replace("path: model", "path: all"))
    (folder.path / "all").mkdir()
    (folder.path / "model").rename(folder.path / "all/inner")
    assert folder.load().environments[0].dependencies == ("mlflow==2.9.2", "scikit-learn==1.7.0")


def test_code_and_environment_of_ones_own_stay(folder):
    folder.write("src/score.py", "def init(): ...\ndef run(data): ...\n")
    own = "environment: 'mine:1', code_configuration: {code: src, scoring_script: score.py}"
    text = STACK.replace("heart@latest}", f"heart@latest, {own}}}")
    folder.write("stack.yaml", f"{text}environments: [{{name: mine}}]\n")
    stack = folder.load()
    assert stack.deployments[0].code_configuration.scoring_script == "score.py"
    assert [one.name for one in stack.environments] == ["mine"]


def with_environment(folder, environment: str) -> None:
    text = STACK.replace("heart@latest}", "heart@latest, environment: 'mine:1'}")
    folder.write("stack.yaml", f"{text}environments:\n  - {environment}\n")


def test_an_environment_of_ones_own_is_taken(folder):
    with_environment(folder, "{name: mine, dependencies: [mlflow-skinny, pandas]}")
    stack = folder.load()
    assert [one.name for one in stack.environments] == ["mine"]
    assert stack.deployments[0].code_configuration.scoring_script == "mlflow_score.py"


def test_a_server_of_ones_own_is_left_alone(folder):
    route = "{path: /, port: 80}"
    routes = f"{{liveness_route: {route}, readiness_route: {route}, scoring_route: {route}}}"
    command = "[python3, -m, mlserver]"
    with_environment(folder, f"{{name: mine, command: {command}, inference_config: {routes}}}")
    assert folder.load().deployments[0].code_configuration is None


def test_an_environment_without_mlflow_is_refused_with_the_line_to_add(folder):
    with_environment(folder, "{name: mine, dependencies: [scikit-learn, mlflows]}")
    assert folder.faults() == [
        "line 7: deployments.0.environment: 'mine:1' installs no mlflow, which serves a model"
        " without code; add mlflow==2.9.2 to its dependencies"
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            "flavors:\n  sklearn: {}\n",
            "'model/MLmodel' line 1: its flavors are sklearn; without code a model is served by"
            " python_function; give the deployment a code_configuration with a scoring_script, and"
            " an environment",
            id="no python_function",
        ),
        pytest.param(
            "time: 1\nflavors: [a]\n",
            "'model/MLmodel' line 2: no mapping `flavors:`; name the folder that MLflow wrote, with"
            " its MLmodel file",
            id="no flavors",
        ),
        pytest.param(
            "a: b: c\n",
            "'model/MLmodel' line 1: mapping values are not allowed in this context; fix the"
            " syntax at or just before this line",
            id="no YAML",
        ),
    ],
)
def test_a_broken_mlmodel_is_a_fault_with_its_file_and_line(folder, text, sentence):
    folder.write("model/MLmodel", text)
    assert folder.faults() == [f"line 3: models.0.path: {sentence}"]


def test_a_folder_without_an_mlmodel_is_no_model_of_mlflow(folder):
    (folder.path / "model/MLmodel").unlink()
    assert folder.faults() == [
        "line 3: models.0.path: no file MLmodel in 'model', nor in a folder of it; name the folder"
        " that MLflow wrote, with its MLmodel file, or write type: custom_model"
    ]


def test_what_the_models_own_file_cannot_have_installed_is_told_of_the_model(folder):
    folder.write("model/conda.yaml", "dependencies: [libgomp, {pip: [mlflow]}]\n")
    assert folder.faults() == [
        "line 3: models.0.path: what its own files ask for: conda_file: dependencies.0: there is no"
        " conda here to install 'libgomp'; list it under `- pip:`, by its name on PyPI; or give the"
        " deployment an environment"
    ]


def test_a_model_without_an_environment_file_is_refused(folder):
    (folder.path / "model/conda.yaml").unlink()
    assert folder.faults() == [
        "line 3: models.0.path: 'model/MLmodel' line 2: neither conda.yaml, python_env.yaml nor"
        " requirements.txt lies beside it; add one, or give the deployment an environment"
    ]


def test_another_model_needs_an_environment(folder):
    folder.write("stack.yaml", STACK.replace("mlflow_model", "custom_model"))
    assert folder.faults()[0] == (
        "line 7: deployments.0.environment: this field is missing; name one; only a model of type"
        " mlflow_model is served without one"
    )


def test_the_name_of_the_environment_is_taken(folder):
    folder.write("stack.yaml", STACK + "environments: [{name: heart-mlflow, version: '3'}]\n")
    assert folder.faults() == [
        "line 3: models.0.name: 'heart-mlflow:3' is the environment that is made of its files;"
        " rename the declared one, or name it as the deployment's environment"
    ]
