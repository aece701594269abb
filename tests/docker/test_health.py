"""What `docker ps` says of the health of an instance, and what becomes of that."""

import io
import time

import pytest

from inference_provider.drift import drift
from inference_provider.observed import Kind
from inference_provider.workspace.logged import CallQuery, LogQuery
from tests.conformance.labs import ANN, DockerLab, wait_until
from tests.docker.test_moved_tags import BroughtLab
from tests.docker_host import BASE_IMAGE, run_in

pytestmark = pytest.mark.docker


def reasons(lab):
    found = drift(lab.desired, lab.target.observe([lab.workspace]), "demo")
    return {one.id.kind: one.reason for one in found.resources if one.reason}


def health_of(lab):
    [instance] = lab.instances()
    return lab.platform.host.container(instance)["State"]["Health"]["Status"]


def test_an_instance_with_our_python_is_asked_by_docker_and_healthy(tmp_path):
    lab = DockerLab(DockerLab.open(tmp_path), tmp_path, f"hlt{time.time_ns() % 10**9}")
    try:
        lab.up()
        assert health_of(lab) == "starting"
        wait_until(lambda: health_of(lab) == "healthy", 60)
        assert reasons(lab) == {}
    finally:
        lab.close()


def how_it_is(lab) -> tuple[int, str]:
    """Return how often the only instance ended, and what is wrong with it."""
    [status] = lab.platform.ports(lab.workspace).compute.status().instances["iris/blue"]
    return status.endings.total, status.fault


STOPPED = "import os, signal; os.kill(-1, signal.SIGSTOP)"


def test_an_instance_that_hangs_is_restarted_by_its_host_and_that_is_told(tmp_path):
    lab = DockerLab(DockerLab.open(tmp_path), tmp_path, f"hlt{time.time_ns() % 10**9}")
    try:
        lab.up()
        [first] = lab.instances()
        probe = {"initial_delay": 0, "period": 1, "timeout": 1, "failure_threshold": 2}
        blue = lab.deployment(
            liveness_probe=probe,
            request_settings={"request_timeout_ms": 1000},
        )
        lab.target.apply(blue, ANN)
        [instance] = lab.instances()
        assert instance != first  # it has to be made with its probe
        wait_until(lambda: health_of(lab) == "healthy", 60)
        run_in(lab.platform.host, instance, "/opt/environment/bin/python", "-c", STOPPED)
        wait_until(lambda: lab.platform.host.container(instance)["RestartCount"] == 1, 60)
        told = {
            one.name: one.message for one in lab.target.events(lab.workspace)
            if one.instance == instance
        }  # fmt: skip
        assert told.keys() >= {"Created", "Started", "BackOff", "LivenessProbeFailed", "Killing"}
        assert told["LivenessProbeFailed"] == "Liveness probe failed: GET /: no answer within 1 s"
        assert told["Killing"] == "It did not heed SIGTERM, and was killed"
        # the Engine counts the start before it forgets how the process before it was
        wait_until(lambda: how_it_is(lab) == (1, ""), 60)

        lines = list(lab.target.logs(lab.id(Kind.DEPLOYMENT, "iris/blue"), LogQuery(lines=2000)))
        assert {one.instance for one in lines} == {instance}
        told_in_log = [one for one in lines if "LivenessProbeFailed" in one.text]
        assert all(one.time is not None for one in told_in_log)
        since = LogQuery(since=told_in_log[0].time)
        fresh = list(lab.target.logs(lab.id(Kind.DEPLOYMENT, "iris/blue"), since))
        assert fresh[0].text.startswith("inference: LivenessProbeFailed: Liveness probe failed")
        wait_until(lambda: lab.ask() == 200, 60)  # the router asks it again before it sends
        asked = CallQuery(last=1, endpoint="iris")

        def last_call() -> list[tuple[str, str, int]]:
            found = lab.target.calls(lab.workspace, asked)
            return [(one["endpoint"], one["deployment"], one["status"]) for one in found]

        wait_until(lambda: last_call() == [("iris", "blue", 200)], 30)  # Envoy buffers
    finally:
        lab.close()


class OwnCheckLab(BroughtLab):
    image = "inference-test-own-check:1"


@pytest.fixture
def image(host):
    check = "HEALTHCHECK --interval=1s --retries=1 CMD false"
    text = f"FROM {BASE_IMAGE}\n{check}\n".encode()
    list(host.api.build(fileobj=io.BytesIO(text), tag=OwnCheckLab.image, rm=True, decode=True))
    yield
    host.api.remove_image(OwnCheckLab.image, force=True)


def test_a_check_of_an_image_s_own_that_fails_is_drift_and_no_reason_to_replace_what_answers(
    tmp_path, image
):
    del image
    lab = OwnCheckLab(OwnCheckLab.open(tmp_path), tmp_path, f"hlt{time.time_ns() % 10**9}")
    try:
        lab.up()
        [instance] = lab.instances()
        wait_until(lambda: health_of(lab) == "unhealthy")
        told = {Kind.DEPLOYMENT: f"{instance}: its HEALTHCHECK fails, so Docker calls it unhealthy"}
        assert reasons(lab) == told
        lab.up()
        assert [*lab.instances()] == [instance]
        assert reasons(lab) == told
    finally:
        lab.close()
