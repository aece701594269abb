"""A lab of containers."""

import os
from pathlib import Path

import pytest

from inference_provider.gpus import Ledger
from inference_provider.targets.docker.target import DockerPlatform
from inference_provider.workspace.engine import Engine
from tests.conformance.labs.lab import GPUS, Lab
from tests.conformance.watched import WatchedPlatform
from tests.docker_host import FAKE_GPUS, SOCKET, run_in


class DockerLab(Lab):
    base_image = os.environ.get("INFERENCE_TEST_BASE_IMAGE", "debian-python:12")
    signals = Path("/tmp")  # of the container
    gpu_count = 4 if FAKE_GPUS else 0

    @classmethod
    def open(cls, folder: Path) -> DockerPlatform:
        return DockerPlatform("docker", lambda _base_image: Ledger(GPUS) if FAKE_GPUS else Ledger())

    def another(self) -> Engine:
        return Engine(WatchedPlatform(self.open(self.folder)))

    def allow_rules(self) -> None:
        pytest.skip("tests/docker/test_autoscale.py has what keeps rules on a Docker host")

    def allow_alerts(self) -> None:
        allowed = self.space(engine_socket=SOCKET)
        self.desired = tuple(allowed if one.id == allowed.id else one for one in self.desired)

    def end(self, *names: str) -> None:
        for name in names:
            self.platform.host.api.stop(name, timeout=1)

    def _touch(self, path: Path) -> None:
        for name in self.instances():
            run_in(self.platform.host, name, "touch", str(path))

    def _is_there(self, path: Path) -> bool:
        host, command = self.platform.host, ("test", "-e", str(path))
        both = (*self.instances(), *self.instances("iris/green"))
        return any(run_in(host, name, *command)[0] == 0 for name in both)
