"""Images are built on the host, once, and hold nothing that is secret."""

import subprocess
import sys
import threading
import time

import pytest

from inference_provider.errors import TargetError
from inference_provider.spec import EnvironmentSpec, WorkspaceSpec
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.images import Images
from tests.docker_host import BASE_IMAGE

pytestmark = pytest.mark.docker

ROUTES = {
    "liveness_route": {"path": "/", "port": 8000},
    "readiness_route": {"path": "/", "port": 8000},
    "scoring_route": {"path": "/", "port": 8000},
}


def small(**fields):
    """An environment that builds in seconds: its own server, and one package."""
    fields = {"name": "env", "dependencies": ["six==1.17.0"], **fields}
    own = {"command": ["serve", "{port}"], "inference_config": ROUTES}
    return EnvironmentSpec.model_validate({**own, **fields})


def stages(host):
    """Return images of builds that have not ended; earlier runs may have left some."""
    return {one["Id"] for one in host.api.images(all=True, filters={"label": "inference.build"})}


def test_an_environment_is_built_once_and_runs_as_a_user_without_rights(build, run):
    told = []
    image = build(small(), BASE_IMAGE, told.append)
    assert told[-1] == "image built"
    again = []
    assert build(small(), BASE_IMAGE, again.append) == image
    assert again == []
    code = "import os, six, sys; print(os.getuid(), six.__version__, sys.prefix)"
    assert run(image, "python", "-c", code) == (0, "10001 1.17.0 /opt/environment\n")


def test_two_clients_at_once_build_an_image_once(host, build):
    told, found = [], []

    def client():
        found.append(build(small(), BASE_IMAGE, told.append, by=Images(HostImages(host))))

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 2
    assert told.count("image built") == 1


def test_a_credential_of_an_index_is_in_no_layer_and_in_no_error(host, build, monkeypatch):
    before = stages(host)
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", "https://ann:hunter2hunter2@pypi.org/simple")
    image = build(small(dependencies=["six==1.16.0"]), BASE_IMAGE)
    made = host.api.create_container(image, ["-"])["Id"]
    try:
        files = host.get_files(made, "/opt")
    finally:
        host.remove(made)
    assert b"six-1.16.0" in files
    assert b"hunter2" not in files
    assert "hunter2" not in str(host.api.history(image))
    assert stages(host) <= before
    monkeypatch.delenv("UV_EXTRA_INDEX_URL")
    monkeypatch.setenv("UV_INDEX_URL", "https://ann:hunter2hunter2@127.0.0.1:9/simple")
    with pytest.raises(TargetError, match="six") as caught:
        Images(HostImages(host)).environment(small(dependencies=["six==1.15.0"]), BASE_IMAGE)
    assert "hunter2" not in str(caught.value)
    assert stages(host) <= before


CLIENT = """
import sys
from inference_provider.spec import EnvironmentSpec
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.images import Images
spec = EnvironmentSpec(name="env", dependencies=("six==1.14.0", "numpy==2.0.0", "scipy==1.14.0"))
Images(HostImages(DockerHost("docker"))).environment(spec, sys.argv[1])
"""


def test_what_a_killed_client_left_goes_with_the_next_build(host, build):
    before = stages(host)
    client = subprocess.Popen([sys.executable, "-c", CLIENT, BASE_IMAGE])
    until = time.monotonic() + 30
    while stages(host) <= before and time.monotonic() < until:
        time.sleep(0.02)
    client.kill()
    client.wait()
    time.sleep(1)  # the Engine ends the build
    assert not stages(host) <= before
    build(small(dependencies=["six==1.13.0"]), BASE_IMAGE)
    assert stages(host) <= before


def test_a_package_that_is_not_there_is_named_and_nothing_is_left(host, images):
    before = host.image_ids()
    with pytest.raises(TargetError) as caught:
        images.environment(small(dependencies=["six==99.0"]), BASE_IMAGE)
    assert "build environment 'default/env:1' on Docker host" in str(caught.value)
    assert "there is no version of six==99.0" in str(caught.value)
    assert str(caught.value).endswith(
        "fix its dependencies, or check that the host reaches the package index"
    )
    assert "\\x1b" not in str(caught.value)
    assert "Step" not in str(caught.value)
    assert host.image_ids() == before


def test_a_python_that_the_base_lacks_is_named(images):
    with pytest.raises(TargetError) as caught:
        images.environment(small(python_version="3.99"), BASE_IMAGE)
    assert "No interpreter found for Python 3.99" in str(caught.value)
    assert "name an image that has this Python, or change python_version" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "base", "remedy"),
    [
        pytest.param(
            {},
            "127.0.0.1:9/nobody:1",
            "load it on the host, or set the workspace's base_image to an image that the host has",
            id="base",
        ),
        pytest.param(
            {"image": "127.0.0.1:9/nobody:1"},
            BASE_IMAGE,
            "load it on the host, or change the image of environment 'env'",
            id="image",
        ),
    ],
)
def test_an_image_that_cannot_be_pulled_is_named_with_the_field_to_set(
    images, fields, base, remedy
):
    with pytest.raises(TargetError) as caught:
        images.environment(small(**fields), base)
    assert "use image '127.0.0.1:9/nobody:1' on Docker host" in str(caught.value)
    assert "the host does not have it, and cannot pull it:" in str(caught.value)
    assert str(caught.value).endswith(remedy)


def test_an_image_that_brings_its_server_is_taken_as_it_is(host, images):
    told = []
    brought = EnvironmentSpec.model_validate(
        {"name": "env", "image": BASE_IMAGE, "inference_config": ROUTES}
    )
    assert images.environment(brought, None, told.append) == host.image(BASE_IMAGE)["Id"]
    assert told == []


def test_the_routers_image_has_what_its_agent_needs(images, run):
    image = images.runtime(WorkspaceSpec(base_image=BASE_IMAGE))
    code = "import inference_provider.targets.envoy.agent as a; print(a.__name__)"
    assert run(image, "python3", "-c", code) == (0, "inference_provider.targets.envoy.agent\n")
    status, said = run(image, "sh", "-c", "touch /router/x && envoy --version")
    assert "Read-only file system" in said
    assert status == 1
