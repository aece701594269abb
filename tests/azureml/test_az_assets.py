"""`inferctl az model` and `environment`: versions that deployments name."""

import json

import pytest


@pytest.fixture
def az(folder):
    def run(line: str, code: int = 0):
        done = folder.run("az", *line.split())
        assert done.exit_code == code, done.output
        return done.stderr if code else json.loads(done.stdout or "null")

    return run


def test_a_model_of_options_is_named_by_a_deployment(az, folder):
    made = az("model create -n weights -p model --tags team=iris --type custom_model")
    assert (made["name"], made["version"], made["tags"]) == ("weights", "1", {"team": "iris"})
    az("environment create -n env -v 2 --conda-file conda.yaml --image base:1")
    az("online-endpoint create -f azure/endpoint.yml")
    shown = az(
        "online-deployment create -f azure/blue-deployment.yml"
        " --set model=azureml:weights:1 environment=azureml:env@latest"
    )
    assert (shown["model"], shown["environment"]) == ("azureml:weights:1", "azureml:env:2")


def test_a_version_that_is_left_out_is_the_next_one(az, folder):
    az("model create --name weights --version 9 --path model")
    folder.write("model/model.pkl", "others")
    assert az("model create -n weights -p model --query version") == "10"
    assert az("model list -n weights --query [].version") == ["9", "10"]
    assert az("model list --query [].version") == ["10"]
    assert az("model show -n WEIGHTS --label latest --query version") == "10"
    assert az("model show -n weights -v 9 --query name") == "weights"


def test_a_version_keeps_its_content(az, folder):
    az("model create -n weights -v 1 -p model")
    az("model create -n weights -v 1 -p model --description same")
    folder.write("model/model.pkl", "others")
    assert az("model create -n weights -v 1 -p model", 1) == (
        "error: create Model 'default/weights:1': this version is there with other content; name"
        " another version, or none\n"
    )


def test_a_file_and_options_make_one_document(az, folder):
    folder.write("assets/model.yml", "name: {{NAME}}\npath: ../model\n")
    assert "{{NAME}} has no value; replace it in the file first" in az(
        "model create -f assets/model.yml", 1
    )
    folder.write("assets/model.yml", "name: weights\nversion: 3\npath: ../model\n")
    assert az("model create -f assets/model.yml --query version") == "3"
    assert az("model create -f assets/model.yml --set version=4 --query version") == "4"
    assert az("model create -f assets/model.yml --version 5 --path model --query version") == "5"


def test_what_is_not_there_exits_3_and_what_is_not_supported_2(az):
    assert "Model 'default/weights:1'" not in az("model show -n weights -v 1", 3)
    assert "find model 'weights:1': not found" in az("model show -n weights -v 1", 3)
    assert "find environment 'env@latest': not found" in az("environment show -n env -l latest", 3)
    assert "--registry-name is not supported" in az("model list --registry-name azureml", 2)
    assert "--version: missing" in az("model show -n weights", 1)


def test_an_asset_that_a_deployment_names_and_is_nowhere_is_said(az):
    az("online-endpoint create -f azure/endpoint.yml")
    line = "online-deployment create -f azure/blue-deployment.yml --set model=azureml:weights:1"
    assert (
        "no model 'weights:1' in workspace 'default'; create it by `inferctl az model create`"
        in (az(line, 1))
    )


def test_a_kept_model_of_mlflow_needs_code_and_an_environment(az, folder):
    folder.write("model/MLmodel", "flavors: {python_function: {loader_module: mlflow.sklearn}}\n")
    az("model create -n dia -p model --type mlflow_model")
    az("online-endpoint create -n iris")
    line = "online-deployment create -n blue -e iris --set model=azureml:dia:1"
    assert az(line, 1) == (
        "error: the command line has 1 fault:\n  model: 'dia:1' is kept already: what serves a"
        " model of MLflow is made of its files, and they are not read; write the model inline, with"
        " its path; or name code and an environment\n"
    )
