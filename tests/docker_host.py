"""The Docker host that tests use, and why there is none."""

import functools
import os

BASE_IMAGE = os.environ.get("INFERENCE_TEST_BASE_IMAGE", "debian-python:12")
"""Image with Python and CA certificates; tests pull none."""
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
FAKE_GPUS = bool(os.environ.get("INFERENCE_TEST_FAKE_GPUS"))
"""Whether the Engine starts containers that ask for GPUs, and gives them none."""


@functools.cache
def missing() -> str:
    """Say why nothing can be tested on a Docker host; empty when it can be."""
    from inference_provider.errors import InferenceError
    from inference_provider.targets.docker.host import DockerHost

    host = DockerHost("docker")
    try:
        there = host.has_image(BASE_IMAGE)
    except InferenceError as silent:
        return f"no Docker Engine answers: {silent}"
    finally:
        host.close()
    return "" if there else f"{host} has no image {BASE_IMAGE} (INFERENCE_TEST_BASE_IMAGE)"


def run_in(host, container: str, *command: str) -> tuple[int, str]:
    """Run a command in a container; return its exit status and what it printed."""
    made = host.api.exec_create(container, list(command))["Id"]
    printed = host.api.exec_start(made).decode()
    return int(host.api.exec_inspect(made)["ExitCode"]), printed
