"""Real environments, and instances that are ended after the test."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.local.serving.instances import Start

from inference_provider.serving.command import InstanceCommand
from inference_provider.serving.environments import build_environment
from inference_provider.spec import EnvironmentSpec


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(scope="session")
def venv(cache) -> Path:
    return build_environment(EnvironmentSpec(name="plain"), cache, print)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start an instance as a process manager does; whatever is left is ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def run(command: InstanceCommand) -> subprocess.Popen[str]:
        variables = {name: s.get_secret_value() for name, s in command.environment.items()}
        started.append(
            subprocess.Popen(
                command.argv, env=variables, cwd=command.directory, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=20)
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
