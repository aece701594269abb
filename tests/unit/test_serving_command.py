"""How one instance is started: command line, variables, routes."""

from pathlib import Path, PurePosixPath

import pytest

from inference_provider.errors import TargetError
from inference_provider.serving.command import InstanceCommand, Surroundings, instance_command
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.targets.local.surroundings import surroundings

VENV = Path("/cache/abc")
CODE = Path("/run/code")
MODEL = Path("/run/model")
HERE = surroundings(VENV, "127.0.0.1")
APP = PurePosixPath("/var/azureml-app")
CONTAINER = Surroundings(
    host="0.0.0.0",
    bin_dir=PurePosixPath("/opt/serving/bin"),
    script=PurePosixPath("/opt/start/script.py"),
    home=APP,
    inherited={},
    fixed={},
    has_program=lambda name: name == "uvicorn",
)
ROUTES = {
    "liveness_route": {"path": "/live", "port": 8000},
    "readiness_route": {"path": "/ready", "port": 8000},
    "scoring_route": {"path": "/v1/predict", "port": 8000},
}


def deployment(**fields: object) -> DeploymentSpec:
    return DeploymentSpec.model_validate(
        {"endpoint": "iris", "name": "blue", "environment": "sklearn:1", **fields}
    )


def scripted(**fields: object) -> InstanceCommand:
    spec = deployment(code_configuration={"code": "c", "scoring_script": "s/score.py"}, **fields)
    environment = EnvironmentSpec(name="sklearn")
    there = surroundings(VENV, "127.0.0.1")
    return instance_command(spec, environment, there, code_dir=CODE, model_dir=MODEL, port=18001)


def own_server(*command: str, venv: Path = VENV, model: Path | None = MODEL) -> InstanceCommand:
    environment = EnvironmentSpec.model_validate(
        {"name": "own", "command": command, "inference_config": ROUTES}
    )
    there = surroundings(venv, "127.0.0.1")
    return instance_command(
        deployment(), environment, there, code_dir=CODE, model_dir=model, port=18001
    )


def variable(command: InstanceCommand, name: str) -> str:
    return command.environment[name].get_secret_value()


def test_a_scoring_script_is_run_by_the_environments_python_through_our_launcher():
    argv = scripted().argv
    assert argv[0] == "/cache/abc/bin/python"
    assert Path(argv[1]).name == "script.py"
    assert argv[2:] == ("--host", "127.0.0.1", "--port", "18001")


def test_the_default_server_listens_on_the_socket_it_is_given():
    spec = deployment(code_configuration={"code": "c", "scoring_script": "score.py"})
    environment = EnvironmentSpec(name="sklearn")
    command = instance_command(
        spec, environment, HERE, code_dir=CODE, model_dir=MODEL, port=18001, socket="/s/18001"
    )
    assert command.argv[2:] == ("--socket", "/s/18001")


def in_a_container(
    *command: str, model: PurePosixPath | None = None, **fields: object
) -> InstanceCommand:
    spec = deployment(code_configuration={"code": "c", "scoring_script": "s/score.py"}, **fields)
    own = {"command": command, "inference_config": ROUTES} if command else {}
    environment = EnvironmentSpec.model_validate({"name": "sklearn", **own})
    return instance_command(
        spec, environment, CONTAINER, code_dir=APP / "code", model_dir=model, port=5001
    )


def test_an_instance_in_a_container_gets_what_is_there_and_nothing_of_the_client(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    command = in_a_container(
        model=APP / "azureml-models" / "iris", environment_variables={"TOKEN": "hunter2"}
    )
    assert command.argv == (
        *("/opt/serving/bin/python", "/opt/start/script.py"),
        *("--host", "0.0.0.0", "--port", "5001"),
    )
    assert command.directory == "/var/azureml-app/code"
    assert {name: value.get_secret_value() for name, value in command.environment.items()} == {
        "AML_APP_INSIGHTS_ENABLED": "false",
        "AML_APP_ROOT": "/var/azureml-app/code",
        "AZUREML_ENTRY_SCRIPT": "s/score.py",
        "AZUREML_MODEL_DIR": "/var/azureml-app/azureml-models/iris",
        "HOST": "0.0.0.0",
        "PATH": "/opt/serving/bin",
        "PORT": "5001",
        "PYTHONUNBUFFERED": "1",
        "TOKEN": "hunter2",
    }


def test_a_program_is_looked_for_where_the_instance_runs():
    assert in_a_container("uvicorn", "{port}").argv == ("/opt/serving/bin/uvicorn", "5001")
    assert in_a_container("sh").argv == ("sh",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZUREML_MODEL_DIR", "/run/model"),
        ("AML_APP_ROOT", "/run/code"),
        ("AZUREML_ENTRY_SCRIPT", "s/score.py"),
        ("PORT", "18001"),
        ("HOST", "127.0.0.1"),
        ("VIRTUAL_ENV", "/cache/abc"),
    ],
)
def test_azure_mls_variables_and_the_address_are_set(name, value):
    assert variable(scripted(), name) == value


def test_a_users_variable_wins_over_a_default():
    command = scripted(environment_variables={"PYTHONUNBUFFERED": "0", "WORKER_COUNT": "2"})
    assert variable(command, "PYTHONUNBUFFERED") == "0"
    assert variable(command, "WORKER_COUNT") == "2"


def test_a_users_variable_does_not_move_the_server_off_its_port_or_loopback():
    command = scripted(environment_variables={"PORT": "80", "HOST": "0.0.0.0"})
    assert variable(command, "PORT") == "18001"
    assert variable(command, "HOST") == "127.0.0.1"


def test_path_starts_with_the_environment_and_keeps_the_users():
    command = scripted(environment_variables={"PATH": "/opt/tools"})
    assert variable(command, "PATH") == "/cache/abc/bin:/opt/tools"


def test_an_instance_inherits_home_and_nothing_that_is_not_named(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "hunter2")
    assert variable(scripted(), "HOME") == "/home/me"
    assert "PULUMI_CONFIG_PASSPHRASE" not in scripted().environment


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "no_proxy"])
def test_an_instance_inherits_the_way_out_in_either_case(monkeypatch, name):
    monkeypatch.setenv(name, "proxy.example:3128")
    assert variable(scripted(), name) == "proxy.example:3128"


def test_no_value_of_a_users_variable_is_in_the_command_line_or_the_repr():
    command = scripted(environment_variables={"TOKEN": "hunter2"})
    assert variable(command, "TOKEN") == "hunter2"
    assert "hunter2" not in " ".join(command.argv)
    assert "hunter2" not in repr(command)


def test_an_own_server_gets_port_and_folders_filled_in():
    command = own_server("serve", "--port={port}", "{model_dir}/m.onnx", "--app-dir", "{code_dir}")
    assert command.argv == ("serve", "--port=18001", "/run/model/m.onnx", "--app-dir", "/run/code")


def test_braces_that_are_no_placeholder_stay_as_they_are():
    assert own_server("serve", '{"a": {}}').argv[1] == '{"a": {}}'


def test_a_program_of_the_environment_is_named_by_its_full_path(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uvicorn").touch()
    assert own_server("uvicorn", venv=tmp_path).argv == (f"{tmp_path}/bin/uvicorn",)


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        (None, "code_configuration"),
        ({"code": "c"}, "code_configuration.scoring_script"),
    ],
)
def test_the_default_server_is_not_started_without_a_script(code, missing):
    spec = deployment(code_configuration=code)
    with pytest.raises(TargetError) as refused:
        instance_command(
            spec,
            EnvironmentSpec(name="env"),
            HERE,
            code_dir=code and CODE,
            model_dir=MODEL,
            port=18001,
        )
    assert str(refused.value) == (
        "start Deployment 'default/iris/blue': the default server runs a scoring script, and the"
        f" deployment has no {missing}; name the code folder and its scoring_script, or give the"
        " environment a command"
    )


def test_a_folder_that_the_deployment_does_not_have_is_refused_by_name():
    with pytest.raises(TargetError) as refused:
        own_server("serve", "{model_dir}", model=None)
    assert str(refused.value) == (
        "start Deployment 'default/iris/blue': the environment's command uses {model_dir}, and"
        " the deployment has no model; give the deployment a model, or take {model_dir} out of"
        " the command"
    )
