"""Which server answers the requests of a deployment: decided here, once. Pure.

Goes in: a deployment and its environment. Comes out: the server's kind, what it needs, where it
listens and on which routes. `command.py` makes one instance's command line of it,
`environments.py` installs its packages; a target and the router read its routes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from inference_provider.serving.server_packages import server_packages
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.spec.environment import FIELD_OF_PLACEHOLDER, InferenceConfig, Route

DEFAULT_ROUTES = InferenceConfig(
    liveness_route=Route(path="/", port=5001),
    readiness_route=Route(path="/", port=5001),
    scoring_route=Route(path="/score", port=5001),
)
"""Source: microsoft/azureml-inference-server, docs/AzureMLInferenceServer.md."""


class ServerKind(StrEnum):
    """Where the server comes from."""

    DEFAULT = "default"
    """azureml-inference-server-http, which runs a script with `init()` and `run()`."""
    COMMAND = "command"
    """The environment's own command starts it."""
    IMAGE = "image"
    """The environment's image starts it."""


class Need(NamedTuple):
    """A field without which a deployment cannot run its server."""

    field: str
    """`model`, `code_configuration`, or `code_configuration.scoring_script`."""
    reason: str
    remedy: str


@dataclass(frozen=True)
class Server:
    """What answers the requests of one instance."""

    kind: ServerKind
    packages: tuple[str, ...]
    """Requirements by PEP 508, installed beside those of the environment."""
    command: tuple[str, ...]
    """Command line with its placeholders; empty unless the environment brings one."""
    script: str | None
    """The deployment's scoring script: a path inside its code."""
    needs: tuple[Need, ...]
    routes: InferenceConfig

    @property
    def uses_socket(self) -> bool:
        """Whether it can listen on a Unix socket; any other server takes a port."""
        return self.kind == ServerKind.DEFAULT

    @property
    def liveness_path(self) -> str:
        return self.routes.liveness_route.path

    @property
    def readiness_path(self) -> str:
        """GET answers 200 to 399 when the server is ready."""
        return self.routes.readiness_route.path

    @property
    def scoring_path(self) -> str:
        """Where `/endpoints/<endpoint>/score` is sent."""
        return self.routes.scoring_route.path


def server_of(deployment: DeploymentSpec | None, environment: EnvironmentSpec) -> Server:
    """Decide which server runs.

    Args:
        deployment: What is served. None where only its environment is known, as in its build:
            `script` is None then, and the rest is the same.
        environment: What the server runs in.
    """
    kind = _kind_of(environment)
    code = deployment.code_configuration if deployment else None
    return Server(
        kind=kind,
        packages=server_packages(environment) if kind == ServerKind.DEFAULT else (),
        command=environment.command,
        script=code.scoring_script if code else None,
        needs=_CODE_AND_SCRIPT
        if kind == ServerKind.DEFAULT
        else tuple(_needs_of(environment.command)),
        routes=environment.inference_config or DEFAULT_ROUTES,
    )


def requirements(environment: EnvironmentSpec) -> tuple[str, ...]:
    """Return what is installed: the user's packages, and those of the server that runs."""
    return (*environment.dependencies, *server_of(None, environment).packages)


def _kind_of(environment: EnvironmentSpec) -> ServerKind:
    if not environment.brings_server:
        return ServerKind.DEFAULT
    return ServerKind.COMMAND if environment.command else ServerKind.IMAGE


_CODE_AND_SCRIPT = tuple(
    Need(
        field,
        "the default server runs a scoring script",
        "name the code folder and its scoring_script, or give the environment a command",
    )
    for field in ("code_configuration", "code_configuration.scoring_script")
)


def _needs_of(command: tuple[str, ...]) -> Iterator[Need]:
    for placeholder, field in FIELD_OF_PLACEHOLDER.items():
        if any(placeholder in word for word in command):
            yield Need(
                field,
                f"the environment's command uses {placeholder}",
                f"give the deployment a {field}, or take {placeholder} out of the command",
            )
