"""What an instance finds on this machine: its virtual environment, and some of our variables."""

import os
from pathlib import Path

from inference_provider.serving.command import SCRIPT, Surroundings

INHERITED = (
    "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
    # in both cases: curl reads lower case only, some libraries upper case only
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
"""Variables that an instance inherits: an explicit list, because CI jobs have credentials in
their environment."""


def surroundings(venv: Path, host: str) -> Surroundings:
    """Return what an instance of a virtual environment finds, listening on an IP address."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return Surroundings(
        host=host,
        bin_dir=venv / "bin",
        script=SCRIPT,
        home=venv,
        inherited=inherited | {"PATH": os.environ.get("PATH", os.defpath)},
        fixed={"VIRTUAL_ENV": str(venv)},
        has_program=lambda name: (venv / "bin" / name).exists(),
    )
