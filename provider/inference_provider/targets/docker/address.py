"""What a place names -> where its Docker Engine is reached, and how that is secured."""

import os
from pathlib import Path
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.spec.target import DockerPlace, Place, docker_host_fault

_SHOWN = 400
"""Characters of what the library says that an error quotes."""
_CERTIFICATES = ("ca.pem", "cert.pem", "key.pem")


def address_of(place: Place) -> tuple[str, Any]:
    """Return the address that a place names, and how to secure it.

    As Docker's own command line: a host, a context, `$DOCKER_HOST`, `$DOCKER_CONTEXT`, the current
    context.
    """
    from docker.context.config import get_current_context_name  # noqa: PLC0415 - only this target needs it

    host = place.host if isinstance(place, DockerPlace) else None
    name = place.context if isinstance(place, DockerPlace) else None
    if host is None and name is None:
        host, name = os.environ.get("DOCKER_HOST"), os.environ.get("DOCKER_CONTEXT")
    if host:
        return _checked(host, "the Docker host in $DOCKER_HOST"), _tls_from_environment(host)
    return _of_context(name or get_current_context_name())


def _of_context(name: str) -> tuple[str, Any]:
    from docker import ContextAPI  # noqa: PLC0415 - as above
    from docker.utils.config import find_config_file  # noqa: PLC0415

    resource = f"Docker context '{name}'"
    try:
        context = ContextAPI.get_context(name)
    except Exception as bad:  # the library raises no class of its own for a corrupt file
        raise TargetError("read", resource, " ".join(str(bad).split())[:_SHOWN]) from bad
    if context is None:
        remedy = "name another one: `docker context ls` lists them"
        if find_config_file() is None:
            remedy = "write {} into ~/.docker/config.json: contexts are looked for beside it"
        raise TargetError("open", resource, "it does not exist", remedy)
    return _checked(str(context.Host), resource), context.TLSConfig


def _checked(host: str, source: str) -> str:
    fault = docker_host_fault(host)
    if fault:
        raise TargetError("open", source, fault)
    return host


def _tls_from_environment(host: str) -> Any:
    from docker.errors import TLSParameterError  # noqa: PLC0415 - as above
    from docker.utils import kwargs_from_env  # noqa: PLC0415 - as above

    try:
        return kwargs_from_env().get("tls", False)
    except TLSParameterError as missing:
        folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
        lacking = [name for name in _CERTIFICATES if not (folder / name).is_file()]
        raise TargetError(
            "open",
            f"Docker host {host}",
            f"TLS needs {', '.join(lacking) or 'certificates'} in {folder}",
            "put them there, or name their folder in DOCKER_CERT_PATH",
        ) from missing
