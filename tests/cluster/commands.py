"""`inferctl` as a person runs it against the cluster of the tests."""

import os
import subprocess
import sys
from pathlib import Path

from tests import cluster_host


def begun(folder: Path, *given: str) -> subprocess.Popen[str]:
    """Start a command in a folder with a stack file."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("inferctl")), *given],
        cwd=folder,
        env={**os.environ, "KUBECONFIG": cluster_host.KUBECONFIG},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(folder: Path, *given: str) -> tuple[int, str]:
    """Return how a command ends, and what it says."""
    with begun(folder, *given) as process:
        text, _ = process.communicate(timeout=150)
    return process.returncode, text
