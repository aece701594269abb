"""What a place names -> where its Docker Engine is reached, and how that is secured."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from inference_provider.errors import TargetError, at_most
from inference_provider.spec.target import DockerPlace, Place, docker_host_fault
from inference_provider.targets.docker.library import errors

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
    if name:
        return _of_context(name, "of `target`")
    host = host or os.environ.get("DOCKER_HOST")
    if host:
        return _checked(host, "the Docker host in $DOCKER_HOST"), _tls_from_environment(host)
    if name := os.environ.get("DOCKER_CONTEXT"):
        return _of_context(name, "in $DOCKER_CONTEXT")
    return _of_context(get_current_context_name(), "that Docker's configuration calls current")


def _of_context(name: str, named: str) -> tuple[str, Any]:
    from docker import ContextAPI  # noqa: PLC0415 - as above

    resource = f"Docker context '{name}' {named}"
    try:
        context = ContextAPI.get_context(name)
    except Exception as bad:  # the library raises no class of its own for a corrupt file
        raise TargetError("read", resource, " ".join(str(bad).split())[:_SHOWN]) from bad
    if context is None:
        raise TargetError("open", resource, "it does not exist", _other_contexts())
    return _checked(str(context.Host), resource), context.TLSConfig


def _other_contexts() -> str:
    """Say which contexts there are, or why none is found."""
    from docker.context.config import METAFILE, get_meta_dir  # noqa: PLC0415 - as above

    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    if (folder / "contexts").is_dir() and not (folder / "config.json").is_file():
        return f"write {{}} into {folder / 'config.json'}: contexts are looked for beside it"
    found = {"default"}
    for file in Path(get_meta_dir()).glob(f"*/{METAFILE}"):
        with suppress(OSError, ValueError, LookupError, TypeError):  # a corrupt one
            found.add(str(json.loads(file.read_text())["Name"]))
    return f"name one of those that there are: {', '.join(at_most(sorted(found)))}"


def _checked(host: str, source: str) -> str:
    fault = docker_host_fault(host)
    if fault:
        raise TargetError("open", source, fault)
    return host


def _tls_from_environment(host: str) -> Any:
    from docker.utils import kwargs_from_env  # noqa: PLC0415 - as above

    try:
        return kwargs_from_env().get("tls", False)
    except errors().TLSParameterError as missing:
        folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
        lacking = [name for name in _CERTIFICATES if not (folder / name).is_file()]
        raise TargetError(
            "open",
            f"Docker host {host}",
            f"TLS needs {', '.join(lacking) or 'certificates'} in {folder}",
            "put them there, or name their folder in DOCKER_CERT_PATH",
        ) from missing
