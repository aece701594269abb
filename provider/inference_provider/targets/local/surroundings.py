"""What an instance finds on this machine: its virtual environment, and some of our variables."""

import os
from collections.abc import Mapping
from pathlib import Path

from inference_provider.serving.command import SCRIPT, Surroundings

INHERITED = (
    "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""Variables that an instance inherits: an explicit list, because CI jobs have credentials in
their environment."""
PROXIES = (
    # in both cases: curl reads lower case only, some libraries upper case only
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
"""Those that tell it of this machine's way out, unless it has none."""


def surroundings(venv: Path, host: str, way_out: Mapping[str, str] | None = None) -> Surroundings:
    """Return what an instance finds where it is started.

    Args:
        venv: Its virtual environment.
        host: IP address that it listens on.
        way_out: Variables that tell it of the way out; None for those of this machine.
    """
    names = INHERITED if way_out is not None else (*INHERITED, *PROXIES)
    inherited = {name: os.environ[name] for name in names if name in os.environ} | {
        **(way_out or {})
    }
    return Surroundings(
        host=host,
        bin_dir=venv / "bin",
        script=SCRIPT,
        home=venv,
        inherited=inherited | {"PATH": os.environ.get("PATH", os.defpath)},
        fixed={"VIRTUAL_ENV": str(venv)},
        has_program=lambda name: (venv / "bin" / name).exists(),
    )
