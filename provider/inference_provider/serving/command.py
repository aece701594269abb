"""One instance's command line and environment variables. Pure.

Goes in: a deployment, its environment, what an instance finds where it is started, and where code
and model are there. Comes out: what starts one instance: a process, or a container's. Which server
runs is decided in `server.py`; ports, processes and logs are the target's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from pydantic import SecretStr

from inference_provider.errors import TargetError
from inference_provider.observed import Frozen, Kind, ResourceId
from inference_provider.serving.server import Server, server_of
from inference_provider.spec import DeploymentSpec, EnvironmentSpec

SCRIPT = Path(__file__).with_name("script.py")
"""Starts the default server; a target brings it to where its instances run."""
SBOM = SCRIPT.with_name("sbom.py")
"""Says what is installed; run while an image is built."""


@dataclass(frozen=True)
class Surroundings:
    """What an instance finds where it is started; only its target knows that."""

    host: str
    """IP address that its port is on."""
    bin_dir: PurePath
    """Folder with the environment's programs, `python` among them; comes first on PATH."""
    script: PurePath
    """Where `SCRIPT` is."""
    home: PurePath
    """Working directory of an instance without code."""
    inherited: Mapping[str, str]
    """Variables that the deployment's own win over; its PATH follows `bin_dir`."""
    fixed: Mapping[str, str]
    """Variables that win over the deployment's own."""
    has_program: Callable[[str], bool]
    """Whether `bin_dir` has a program of that name."""


class InstanceCommand(Frozen):
    """How one instance is started and where it answers."""

    argv: tuple[str, ...]
    """Never has a secret in it: other users of the machine can read it."""
    environment: dict[str, SecretStr]
    directory: str
    """Working directory."""


def instance_command(
    deployment: DeploymentSpec,
    environment: EnvironmentSpec,
    there: Surroundings,
    *,
    code_dir: PurePath | None,
    model_dir: PurePath | None,
    port: int,
    socket: str = "",
    injected: Mapping[str, SecretStr] | None = None,
) -> InstanceCommand:
    """Return how to start one instance on a port or, for the default server, a socket.

    Args:
        deployment: Whose instance it is.
        environment: What it runs in.
        there: What it finds where it is started; all paths are there too.
        code_dir: The deployment's code; None when it has none.
        model_dir: Value of AZUREML_MODEL_DIR: the folder that holds the model's folder or file,
            as in Azure ML; None without a model.
        port: TCP port to listen on.
        socket: Path of the Unix socket that the default server listens on instead.
        injected: What variables get of connections. None leaves the references, for a target that
            follows them where the instance is started.

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
    places = {"{port}": str(port), "{model_dir}": str(model_dir), "{code_dir}": str(code_dir)}
    filled = _filled(server.command, there, places) if server.command else ()
    return InstanceCommand(
        argv=filled or _default_server(there, port, socket),
        environment=_variables(deployment, there, code_dir, model_dir)
        | dict(injected or {})
        | {"HOST": SecretStr(there.host), "PORT": SecretStr(str(port))},
        directory=str(code_dir or there.home),
    )


def _default_server(there: Surroundings, port: int, socket: str) -> tuple[str, ...]:
    bind = ("--socket", socket) if socket else ("--host", there.host, "--port", str(port))
    return (str(there.bin_dir / "python"), str(there.script), *bind)


def _refuse_unmet(server: Server, deployment: DeploymentSpec, given: Mapping[str, object]) -> None:
    for need in server.needs:
        if given[need.field] is None:
            name = f"{deployment.endpoint}/{deployment.name}"
            resource = ResourceId(kind=Kind.DEPLOYMENT, workspace=deployment.workspace, name=name)
            reason = f"{need.reason}, and the deployment has no {need.field}"
            raise TargetError("start", str(resource), reason, need.remedy)


def _filled(
    command: tuple[str, ...], there: Surroundings, places: Mapping[str, str]
) -> tuple[str, ...]:
    """Fill in placeholders, and the path of a program that the environment has."""
    # Replaced one by one, not by str.format: a command line may hold JSON with braces of its own.
    words = list(command)
    for placeholder, value in places.items():
        words = [word.replace(placeholder, value) for word in words]
    # Process managers look up a bare name on their own PATH, not on the instance's.
    if "/" not in words[0] and there.has_program(words[0]):
        words[0] = str(there.bin_dir / words[0])
    return tuple(words)


def _variables(
    deployment: DeploymentSpec,
    there: Surroundings,
    code_dir: PurePath | None,
    model_dir: PurePath | None,
) -> dict[str, SecretStr]:
    """Return defaults, overridden by the user's, overridden by what is fixed there."""
    users = {name: s.get_secret_value() for name, s in deployment.environment_variables.items()}
    defaults = {**there.inherited, "PYTHONUNBUFFERED": "1", "AML_APP_INSIGHTS_ENABLED": "false"}
    if model_dir is not None:
        defaults["AZUREML_MODEL_DIR"] = str(model_dir)
    if code_dir is not None:
        defaults["AML_APP_ROOT"] = str(code_dir)
    if deployment.code_configuration is not None:
        defaults["AZUREML_ENTRY_SCRIPT"] = deployment.code_configuration.scoring_script or ""
    found = {**defaults, **users}
    path = f":{found['PATH']}" if "PATH" in found else ""
    fixed = {"PATH": f"{there.bin_dir}{path}", **there.fixed}
    return {name: SecretStr(value) for name, value in {**found, **fixed}.items()}
