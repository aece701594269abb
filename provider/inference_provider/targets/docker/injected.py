"""How a container gets what connections hold, so that `docker inspect` does not show it. Pure.

Variables of a container stand in its configuration for good. These stand in a file of an unnamed
volume of its own, which goes with the container; a shell reads it at each start.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from inference_provider.targets.docker.archive import packed

FOLDER = "/run/inference-connections"
_FILE = "variables"
_SCRIPT = f'set -a; . {FOLDER}/{_FILE} || exit 1; set +a; exec "$@"'
_READABLE = 0o444
"""For whatever user the image runs as; who is not in the container does not see the volume."""


def with_file(image: Mapping[str, Any] | None, argv: Sequence[str] | None) -> dict[str, Any]:
    """Return what a container is created with so that it reads the file and starts as it would.

    Args:
        image: What the Engine says of its image.
        argv: Its command; None for the image's own.
    """
    own = (image or {}).get("Config") or {}
    command = [*(own.get("Entrypoint") or ()), *(own.get("Cmd") or () if argv is None else argv)]
    return {
        "entrypoint": ["/bin/sh", "-c", _SCRIPT, "sh"],
        "command": command,
        "volumes": [FOLDER],
    }


def shown(variables: Mapping[str, SecretStr], injected: Mapping[str, SecretStr]) -> dict[str, str]:
    """Return the variables of the container itself, in clear text."""
    return {n: one.get_secret_value() for n, one in variables.items() if n not in injected}


def file_of(values: Mapping[str, SecretStr]) -> bytes:
    """Return the archive that is unpacked in `FOLDER` before the container starts."""
    lines = (f"{name}={shlex.quote(one.get_secret_value())}" for name, one in values.items())
    text = "".join(f"{line}\n" for line in lines)
    return packed({_FILE: text.encode(errors="surrogatepass")}, mode=_READABLE)
