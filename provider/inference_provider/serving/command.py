"""One instance's command line and environment variables. Pure but for PATH and a few like it.

Goes in: a deployment, its environment, and the places of venv, code and model. Comes out: what a
process manager needs to start one instance. Which server runs is decided in `server.py`; ports,
processes and logs are the target's.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from inference_provider.errors import TargetError
from inference_provider.observed import Frozen, Kind, ResourceId
from inference_provider.serving.server import Server, server_of
from inference_provider.spec import DeploymentSpec, EnvironmentSpec

SCRIPT = Path(__file__).with_name("script.py")
INHERITED = (
    "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
    # in both cases: curl reads lower case only, some libraries upper case only
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
"""Variables that an instance inherits: an explicit list, because CI jobs have credentials in
their environment."""


class InstanceCommand(Frozen):
    """How one instance is started and where it answers."""

    argv: tuple[str, ...]
    """Never has a secret in it: other users of the machine can read it."""
    environment: dict[str, SecretStr]
    directory: str
    """Working directory."""


def instance_command(  # noqa: PLR0917  each is one fact a target has at hand
    deployment: DeploymentSpec,
    environment: EnvironmentSpec,
    venv: Path,
    code_dir: Path | None,
    model_dir: Path | None,
    port: int,
    socket: str = "",
    *,
    host: str,
) -> InstanceCommand:
    """Return how to start one instance on a port or, for the default server, a socket.

    Args:
        deployment: Whose instance it is.
        environment: What it runs in.
        venv: The built environment.
        code_dir: The deployment's code; None when it has none.
        model_dir: Value of AZUREML_MODEL_DIR: the folder that holds the model's folder or file,
            as in Azure ML; None without a model.
        port: TCP port to listen on.
        socket: Path of the Unix socket that the default server listens on instead.
        host: IP address that the port is on.

    Raises:
        TargetError: The deployment lacks something that its server needs.
    """
    server = server_of(deployment, environment)
    given = {
        "model": model_dir,
        "code_configuration": code_dir,
        "code_configuration.scoring_script": server.script,
    }
    _refuse_unmet(server, deployment, given)
    bind = ("--socket", socket) if socket else ("--host", host, "--port", str(port))
    places = {"{port}": str(port), "{model_dir}": str(model_dir), "{code_dir}": str(code_dir)}
    return InstanceCommand(
        argv=(
            _filled(server.command, venv, places)
            if server.command
            else (str(venv / "bin" / "python"), str(SCRIPT), *bind)
        ),
        environment=_variables(deployment, venv, code_dir, model_dir)
        | {"HOST": SecretStr(host), "PORT": SecretStr(str(port))},
        directory=str(code_dir or venv),
    )


def _refuse_unmet(server: Server, deployment: DeploymentSpec, given: Mapping[str, object]) -> None:
    for need in server.needs:
        if given[need.field] is None:
            name = f"{deployment.endpoint}/{deployment.name}"
            resource = ResourceId(kind=Kind.DEPLOYMENT, workspace=deployment.workspace, name=name)
            reason = f"{need.reason}, and the deployment has no {need.field}"
            raise TargetError("start", str(resource), reason, need.remedy)


def _filled(command: tuple[str, ...], venv: Path, places: Mapping[str, str]) -> tuple[str, ...]:
    """Fill in placeholders, and the path of a program that the venv has."""
    # Replaced one by one, not by str.format: a command line may hold JSON with braces of its own.
    words = list(command)
    for placeholder, value in places.items():
        words = [word.replace(placeholder, value) for word in words]
    # Process managers look up a bare name on their own PATH, not on the instance's.
    installed = venv / "bin" / words[0]
    if "/" not in words[0] and installed.exists():
        words[0] = str(installed)
    return tuple(words)


def _variables(
    deployment: DeploymentSpec,
    venv: Path,
    code_dir: Path | None,
    model_dir: Path | None,
) -> dict[str, SecretStr]:
    """Return defaults, overridden by the user's, overridden by the venv."""
    users = {name: s.get_secret_value() for name, s in deployment.environment_variables.items()}
    defaults = {name: os.environ[name] for name in INHERITED if name in os.environ}
    defaults |= {"PYTHONUNBUFFERED": "1", "AML_APP_INSIGHTS_ENABLED": "false"}
    if model_dir is not None:
        defaults["AZUREML_MODEL_DIR"] = str(model_dir)
    if code_dir is not None:
        defaults["AML_APP_ROOT"] = str(code_dir)
    if deployment.code_configuration is not None:
        defaults["AZUREML_ENTRY_SCRIPT"] = deployment.code_configuration.scoring_script or ""
    path = users.get("PATH", os.environ.get("PATH", os.defpath))
    fixed = {"PATH": f"{venv / 'bin'}{os.pathsep}{path}", "VIRTUAL_ENV": str(venv)}
    return {name: SecretStr(value) for name, value in {**defaults, **users, **fixed}.items()}
