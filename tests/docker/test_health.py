"""What `docker ps` says of the health of an instance, and what becomes of that."""

import io
import time

import pytest

from inference_provider.drift import drift
from inference_provider.observed import Kind
from tests.conformance.labs import DockerLab, wait_until
from tests.docker.test_moved_tags import BroughtLab
from tests.docker_host import BASE_IMAGE

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
