"""Which server runs for an environment: its packages, its routes, where it listens."""

from inference_provider.serving.server import Need, ServerKind, server_of
from inference_provider.spec import DeploymentSpec, EnvironmentSpec

SCRIPTED = EnvironmentSpec(name="sklearn")
ROUTES = {
    "liveness_route": {"path": "/live", "port": 8000},
    "readiness_route": {"path": "/ready", "port": 8000},
    "scoring_route": {"path": "/v1/predict", "port": 8000},
}


def own(*command: str) -> EnvironmentSpec:
    return EnvironmentSpec.model_validate(
        {"name": "own", "command": command, "inference_config": ROUTES}
    )


def deployment(**code: str) -> DeploymentSpec:
    return DeploymentSpec.model_validate(
        {
            "endpoint": "iris",
            "name": "blue",
            "environment": "env:1",
            "code_configuration": {"code": "src", **code},
        }
    )


def test_the_default_server_answers_slash_and_score_on_a_socket():
    server = server_of(None, SCRIPTED)
    assert server.kind == ServerKind.DEFAULT
    assert server.packages == ("azureml-inference-server-http==1.5.1",)
    assert server.liveness_path == "/"
    assert server.readiness_path == "/"
    assert server.scoring_path == "/score"
    assert server.uses_socket


def test_the_default_server_needs_code_and_a_script():
    assert [need.field for need in server_of(None, SCRIPTED).needs] == [
        "code_configuration",
        "code_configuration.scoring_script",
    ]


def test_an_own_command_answers_on_its_routes_and_a_port_and_adds_no_package():
    server = server_of(None, own("serve", "--port", "{port}"))
    assert server.kind == ServerKind.COMMAND
    assert server.packages == ()
    assert server.command == ("serve", "--port", "{port}")
    assert server.liveness_path == "/live"
    assert server.readiness_path == "/ready"
    assert server.scoring_path == "/v1/predict"
    assert not server.uses_socket
    assert server.needs == ()


def test_an_own_command_needs_what_its_placeholders_stand_for():
    server = server_of(None, own("serve", "--model={model_dir}/m", "{code_dir}", "{}"))
    assert server.needs == (
        Need(
            "model",
            "the environment's command uses {model_dir}",
            "give the deployment a model, or take {model_dir} out of the command",
        ),
        Need(
            "code_configuration",
            "the environment's command uses {code_dir}",
            "give the deployment a code_configuration, or take {code_dir} out of the command",
        ),
    )


def test_an_image_brings_its_server():
    server = server_of(None, EnvironmentSpec(name="triton", image="triton:24"))
    assert server.kind == ServerKind.IMAGE
    assert server.packages == ()
    assert server.needs == ()
    assert not server.uses_socket


def test_the_script_is_the_deployments():
    assert server_of(deployment(scoring_script="a/score.py"), SCRIPTED).script == "a/score.py"
    assert server_of(deployment(), own("serve")).script is None
