"""What a container is held to on a real Docker Engine."""

import time

import pytest

from tests.conformance.labs import DockerLab

pytestmark = pytest.mark.docker


def test_a_limit_above_the_cores_of_the_host_starts_with_all_of_them(tmp_path):
    lab = DockerLab(DockerLab.open(tmp_path), tmp_path, f"amt{time.time_ns() % 10**9}")
    try:
        amounts = {"cpu": "512", "memory": "256Mi"}
        lab.apply(*lab.desired[:4], lab.deployment(resources={"limits": amounts}))
        [instance] = lab.instances()
        held_to = lab.platform.host.container(instance)["HostConfig"]
        assert held_to["NanoCpus"] == lab.platform.host.cores * 10**9
        assert held_to["Memory"] == 268_435_456
    finally:
        lab.close()
