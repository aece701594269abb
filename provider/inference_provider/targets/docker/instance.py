"""What the container of an instance is made with: command, labels, health. Pure."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from inference_provider.router.table import Backend, Proxy
from inference_provider.serving.command import InstanceCommand, instance_command
from inference_provider.serving.container import in_container
from inference_provider.serving.image import ENVIRONMENT, is_brought
from inference_provider.serving.server import ServerKind, server_of
from inference_provider.spec.deployment import Probe
from inference_provider.targets.docker import names
from inference_provider.targets.docker.gpus import gpu_labels
from inference_provider.targets.docker.health import Health, healthcheck
from inference_provider.targets.docker.way_out import variables_of
from inference_provider.targets.kept_content import CODE, INSIDE, MODEL, MOUNTED
from inference_provider.workspace.ports import Unit

_PORT = 5001
_STOPS_S = 5
"""Time beyond its longest request that an instance which hangs has to end by itself, seconds."""
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
        names.LIVENESS: liveness_label(unit.spec.liveness_probe.model_dump()),
        **({names.PROXY: f"{proxy.host}:{proxy.port}"} if proxy else {}),
    }


def health_of(unit: Unit) -> dict[str, Any] | None:
    """Return what Docker asks an instance; None for an image that may have nothing to ask with."""
    if is_brought(unit.environment):
        return None
    server = server_of(unit.spec, unit.environment)
    asked = Health(
        port=_port_of(unit),
        readiness_path=server.readiness_path,
        readiness=unit.spec.readiness_probe,
        liveness_path=server.liveness_path,
        liveness=unit.spec.liveness_probe,
        start_limit=unit.start_limit_s,
        stop_wait=unit.spec.request_settings.request_timeout_ms // 1000 + _STOPS_S,
    )
    return healthcheck(str(_ENVIRONMENT / "bin" / "python"), asked)


def liveness_label(probe: Mapping[str, Any]) -> str:
    """Return what the label of an instance says of its liveness probe."""
    return json.dumps(probe, sort_keys=True)


def liveness_fault(labels: Mapping[str, str], wanted: str) -> str:
    """Say that an instance was made with another liveness probe; an older one has none.

    Args:
        labels: The instance's.
        wanted: What its label should say; empty where nobody knows.
    """
    has = labels.get(names.LIVENESS, liveness_label(Probe().model_dump()))
    return "was made with another liveness_probe" if wanted and has != wanted else ""


def _port_of(unit: Unit) -> int:
    server = server_of(unit.spec, unit.environment)
    return server.routes.scoring_route.port if server.kind == ServerKind.IMAGE else _PORT


def backend_of(labels: Mapping[str, str]) -> Backend:
    """Return where an instance with these labels answers."""
    return Backend(host=labels[names.ADDRESS], port=int(labels[names.PORT]))
