"""What a container is held to on a real Docker Engine."""

import time

import pytest

from inference_provider.drift import drift
from inference_provider.errors import TargetError
from tests.conformance.labs import DockerLab
from tests.docker_host import run_in

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


SEEN = "import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE))"


def test_shared_memory_and_ulimits_are_what_was_asked_for_and_a_change_rolls(tmp_path):
    lab = DockerLab(DockerLab.open(tmp_path), tmp_path, f"amt{time.time_ns() % 10**9}")
    host = lab.platform.host

    def seen(resources):
        desired = [*lab.desired[:4], lab.deployment(resources=resources)]
        lab.apply(*desired)
        [instance] = lab.instances()
        _, size = run_in(host, instance, "df", "-k", "--output=size", "/dev/shm")
        # runc 1.1 now and then gives a command the hard limit for both: opencontainers/runc#4195
        told = {run_in(host, instance, "python3", "-c", SEEN)[1].strip() for _ in range(5)}
        assert drift(desired, lab.target.observe([lab.workspace]), "demo").exit_code == 0
        return instance, size.split()[1], told

    try:
        ulimits = {"nofile": {"soft": 512, "hard": 1024}, "core": 0}
        first = seen({"shm_size": "64m", "ulimits": ulimits})
        assert first[1] == "65536"
        assert "(512, 1024) (0, 0)" in first[2]
        second = seen({"ulimits": {"nofile": 600, "core": 0}})
        assert second[1:] == ("2097152", {"(600, 600) (0, 0)"})
        assert second[0] != first[0]
    finally:
        lab.close()


def test_a_ulimit_that_the_engine_may_not_give_says_so(tmp_path):
    lab = DockerLab(DockerLab.open(tmp_path), tmp_path, f"amt{time.time_ns() % 10**9}")
    try:
        asked = {"ulimits": {"nofile": 10**12}}  # more than any kernel's fs.nr_open
        with pytest.raises(TargetError) as refused:
            lab.apply(*lab.desired[:4], lab.deployment(resources=asked))
        assert str(refused.value).endswith(
            "error setting rlimit type 7: operation not permitted: unknown;"
            " lower resources.ulimits: the Engine itself has no more"
        )
    finally:
        lab.close()
