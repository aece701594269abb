"""A pod of the router as a process of this machine, and the cluster that it follows."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.local.router_pod.cluster import Cluster, RouterPod
from tests.local.server.model import Model, until


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="router-test-") as found:  # a short path
        yield Path(found)


@pytest.fixture
def cluster(models: dict[str, Model]) -> Cluster:
    found = Cluster()
    found.make(blue=models["blue"], green=models["green"])
    return found


@pytest.fixture
def pod(folder: Path, cluster: Cluster) -> Iterator[RouterPod]:
    found = RouterPod(folder, cluster).start()
    until(found.is_ready)
    yield found
    found.end()
