"""Which release of the default server is installed, and what it needs beside it."""

import pytest

from inference_provider.serving.server import requirements
from inference_provider.spec import EnvironmentSpec

SERVER = "azureml-inference-server-http"


def installed(*dependencies, **fields):
    return requirements(EnvironmentSpec(name="env", dependencies=dependencies, **fields))


def test_without_a_release_of_its_own_an_environment_gets_ours():
    assert installed("six") == ("six", f"{SERVER}==1.5.1")
    assert installed(SERVER) == (SERVER, f"{SERVER}==1.5.1")
    assert installed(f"{SERVER}>=1.4") == (f"{SERVER}>=1.4", f"{SERVER}==1.5.1")


@pytest.mark.parametrize("pin", ["==1.4.1", "~=1.3.4", "<1.5", " @ https://example.org/s.whl"])
def test_a_release_that_an_environment_pins_is_the_one_that_is_installed(pin):
    assert installed(f"{SERVER}{pin}") == (f"{SERVER}{pin}",)


@pytest.mark.parametrize(
    ("python", "release"),
    [("3.7", "0.8.4.2"), ("3.8", "1.3.4"), ("3.9", "1.5.1"), ("3.12", "1.5.1")],
)
def test_a_python_gets_the_newest_release_that_runs_on_it(python, release):
    found = installed("six", python_version=python)
    assert f"{SERVER}=={release}" in found


@pytest.mark.parametrize(
    ("mlflow", "python", "release"),
    [
        ("mlflow==1.27.0", None, "1.0.0"),
        ("mlflow==2.9.2", "3.10", "1.0.0"),
        ("mlflow<3,>=2.12.1", None, "1.5.1"),
        ("mlflow==2.14.*", None, "1.2.2"),
        ("mlflow==2.16.0", None, "1.5.1"),
        ("mlflow==2.16.0", "3.8", "1.3.4"),
        ("mlflow", None, "1.5.1"),
        ("mlflow-skinny==2.9.2", None, "1.5.1"),
    ],
)
def test_an_old_mlflow_gets_a_release_that_goes_with_its_gunicorn(mlflow, python, release):
    assert f"{SERVER}=={release}" in installed(mlflow, python_version=python)


def test_a_release_that_imports_pkg_resources_gets_setuptools_as_conda_gives_it():
    assert installed(f"{SERVER}==1.0.0") == (f"{SERVER}==1.0.0", "setuptools<81")
    named = (f"{SERVER}==1.0.0", "setuptools==65.0")
    assert installed(*named) == named


def test_monitoring_beside_a_release_with_an_azureml_of_its_own_gets_contrib():
    monitoring = "azureml-ai-monitoring"
    older = (monitoring, f"{SERVER}==1.3.4")
    assert installed(*older) == (*older, "azureml-contrib-services")
    newer = (monitoring, f"{SERVER}==1.4.1")
    assert installed(*newer) == newer
    assert installed(monitoring, python_version="3.8") == (
        monitoring,
        f"{SERVER}==1.3.4",
        "azureml-contrib-services",
    )


def test_an_environment_with_a_server_of_its_own_gets_none():
    route = {"path": "/", "port": 8000}
    routes = {f"{one}_route": route for one in ("liveness", "readiness", "scoring")}
    spec = EnvironmentSpec.model_validate(
        {
            "name": "own",
            "command": ["serve"],
            "inference_config": routes,
            "dependencies": [f"{SERVER}==1.0.0"],
        }
    )
    assert requirements(spec) == (f"{SERVER}==1.0.0",)
