"""The runtime image in the tests' cluster: built by a Docker Engine, as a user does it."""

import functools
import os
import tempfile
from pathlib import Path

import pytest

from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.docker.target import DockerPlatform
from inference_provider.targets.images import Images
from tests import cluster_host, docker_host
from tests.cluster import images
from tests.cluster.places import ours

GIVEN = os.environ.get("INFERENCE_TEST_RUNTIME_IMAGE", "")
"""Names one that the cluster has, or can pull."""


@functools.cache
def runtime_image() -> str:
    """Return the name of the image in the cluster; skips the test where it cannot be there."""
    if GIVEN:
        return GIVEN
    if Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        pytest.skip("INFERENCE_TEST_RUNTIME_IMAGE names no image that this cluster can pull")
    if docker_host.missing():
        pytest.skip(f"the runtime image cannot be built: {docker_host.missing()}")
    platform = DockerPlatform("docker")
    try:
        return _loaded(platform)
    finally:
        platform.host.close()


def _loaded(platform: DockerPlatform) -> str:
    built = Images(platform.builder)
    spec = WorkspaceSpec(base_image=docker_host.BASE_IMAGE)
    name = built.runtime_build(spec).build.name
    if f"docker.io/library/{name}" in images.names(ours()):
        return name
    built.runtime(spec)
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        for part in platform.host.api.get_image(name):
            file.write(part)
        file.flush()
        images.load(ours(), name, Path(file.name))
    return name
