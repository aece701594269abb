"""What is installed in the cluster for tests that need it, and removed again."""

import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.cluster import images, supplies
from tests.cluster.api import Api
from tests.cluster.places import Places, ours
from tests.cluster_host import KUBECONFIG


def is_to_be_installed(api: Api, name: str, served: str) -> bool:
    """Return whether a test has to install something; skip it where that cannot be.

    Args:
        api: The cluster's.
        name: As `supplies.SOURCES` has it.
        served: Path of the API that it adds.
    """
    if Path(KUBECONFIG) != ours().kubeconfig:
        if not api.answers(served):
            pytest.skip(f"the cluster has no {name}")
        return False
    if not supplies.has_source(ours(), name):
        variable, minutes = supplies.asks_for(name), supplies.SOURCES[name].minutes
        pytest.skip(f"{name} is not built: start the cluster with {variable}=1, {minutes} minutes")
    return True


def load_missing(at: Places, program: str, image: str, *more: Path) -> None:
    """Load the image of a program that was built, unless it is there."""
    if image not in images.names(at):
        images.load_program(at, image, at.programs / program, *more)


def certificate(name: str, *hosts: str) -> tuple[str, str]:
    """Return a certificate that signs itself, for some hosts, and its key."""
    known = ",".join(f"DNS:{host}" for host in hosts)
    with tempfile.TemporaryDirectory() as folder:
        made, key = Path(folder, "crt"), Path(folder, "key")
        asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
        asked += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={known}"]
        asked += ["-out", str(made), "-keyout", str(key)]
        subprocess.run(asked, check=True, capture_output=True)
        return made.read_text(), key.read_text()
