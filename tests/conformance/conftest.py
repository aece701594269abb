"""A lab a test, on each target; what a target needs to run is opened once a module."""

import itertools
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inference_provider.targets.kubernetes.target import KubernetesPlatform
from tests.conformance.labs import DockerLab, KubernetesLab, Lab, LocalLab, MemoryLab, ToyLab

LABS: dict[str, type[Lab]] = {
    "memory": MemoryLab,
    "toy": ToyLab,
    "local": LocalLab,
    "docker": DockerLab,
    "kubernetes": KubernetesLab,
}
_numbers = itertools.count(1)


REAL = [
    pytest.param("local", marks=pytest.mark.local),
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("kubernetes", marks=pytest.mark.cluster),
]
"""Targets with a router that callers connect to."""


@pytest.fixture(scope="module", params=["memory", "toy", *REAL])
def opened(request):
    # Not tmp_path: a Unix socket's path has a limit of 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="inf-"))
    kind = LABS[request.param]
    platform = kind.open(folder)
    yield kind, platform, folder
    if isinstance(platform, KubernetesPlatform):
        platform.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def closing(opened):
    """What closes labs meanwhile."""
    with ThreadPoolExecutor(2) as pool:
        closed = []
        yield pool, closed
        for one in closed:
            one.result()


@pytest.fixture
def lab(opened, closing):
    """A workspace of which nothing is there yet; closed while the next test runs."""
    (kind, platform, folder), (pool, closed) = opened, closing
    made = kind(platform, folder, f"lab{os.getpid()}x{next(_numbers)}")
    yield made
    closed.append(pool.submit(made.close))


@pytest.fixture
def gpus(lab, closing):
    """The number of GPUs of a lab that has some; no lab before it holds one."""
    if not lab.gpu_count:
        pytest.skip("this target has no GPUs")
    for one in closing[1]:
        one.result()
    return lab.gpu_count


@pytest.fixture
def served(lab):
    """A lab with the whole stack applied."""
    lab.up()
    return lab
