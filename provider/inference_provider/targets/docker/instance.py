"""What the container of an instance is made with: command, labels, health. Pure."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from inference_provider.router.table import Backend, Proxy
from inference_provider.serving.command import InstanceCommand, instance_command
from inference_provider.serving.container import in_container
from inference_provider.serving.image import ENVIRONMENT, is_brought
from inference_provider.serving.server import ServerKind, server_of
from inference_provider.targets.docker import names
from inference_provider.targets.docker.containers import healthcheck
from inference_provider.targets.docker.gpus import gpu_labels
from inference_provider.targets.docker.way_out import variables_of
from inference_provider.targets.kept_content import CODE, INSIDE, MODEL, MOUNTED
from inference_provider.workspace.ports import Unit

_PORT = 5001
_ENVIRONMENT = PurePosixPath(ENVIRONMENT)


def command_of(unit: Unit, proxy: Proxy | None) -> InstanceCommand:
    """Return how it is started, and where it answers; it knows a forward proxy, if there is one."""
    spec = unit.spec
    return instance_command(
        spec,
        unit.environment,
        in_container(_ENVIRONMENT / "bin", variables_of(proxy)),
        code_dir=PurePosixPath(MOUNTED, CODE, INSIDE) if spec.code_configuration else None,
        model_dir=PurePosixPath(MOUNTED, MODEL, INSIDE) if spec.model else None,
        port=_port_of(unit),
    )


def labels_of(unit: Unit, gpus: tuple[str, ...], proxy: Proxy | None) -> dict[str, str]:
    """Return what its labels say of its unit, its GPUs and its way out."""
    return {
        **gpu_labels(unit.spec.resources, gpus),
        names.DEPLOYMENT: unit.id.name,
        names.GENERATION: unit.generation,
        names.PORT: str(_port_of(unit)),
        **({names.PROXY: f"{proxy.host}:{proxy.port}"} if proxy else {}),
    }


def health_of(unit: Unit) -> dict[str, Any] | None:
    """Return what Docker asks an instance; None for an image that may have nothing to ask with."""
    if is_brought(unit.environment):
        return None
    python, probe = str(_ENVIRONMENT / "bin" / "python"), unit.spec.readiness_probe
    return healthcheck(python, _port_of(unit), unit.readiness_path, probe, unit.start_limit_s)


def _port_of(unit: Unit) -> int:
    server = server_of(unit.spec, unit.environment)
    return server.routes.scoring_route.port if server.kind == ServerKind.IMAGE else _PORT


def backend_of(labels: Mapping[str, str]) -> Backend:
    """Return where an instance with these labels answers."""
    return Backend(host=labels[names.ADDRESS], port=int(labels[names.PORT]))
