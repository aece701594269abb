"""A Docker host, and a workspace of it for each test; nothing of either stays."""

import itertools
import json
import os

import pytest

from inference_provider.targets.docker.content import DockerContent
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.images import Images

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def host():
    found = DockerHost("docker")
    yield found
    found.close()


@pytest.fixture
def images(host):
    return Images(HostImages(host))


@pytest.fixture
def build(host, images):
    """Get an environment's image; what was built for a test goes again."""
    before, found = set(host.image_ids()), set()

    def build(*given, by=images, **more):
        image = by.environment(*given, **more)
        found.add(image)
        return image

    yield build
    for image in found - before:
        host.api.remove_image(image)


@pytest.fixture
def credentials(host, tmp_path, monkeypatch):
    """Put the credentials of a registry into Docker's configuration, or those of none."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))

    def put(registry=None):
        given = registry and {registry.host: {"auth": registry.authorization.split()[1]}}
        (folder / "config.json").write_text(json.dumps({"auths": given or {}}))
        host.api.reload_config()

    put()
    yield put
    put()


@pytest.fixture
def records(host):
    records = HostRecords(host, f"test{os.getpid()}x{next(_numbers)}")
    records.make()
    yield records
    records.delete()


@pytest.fixture
def content(host, records, images):
    content = DockerContent(host, records, images)
    yield content
    content.volumes.delete()


@pytest.fixture
def run(host):
    """Run a command in a container of an image, hardened as instances are; return what it said."""

    def run(image, *command, binds=()):
        config = host.api.create_host_config(
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            binds=list(binds),
        )
        made = host.api.create_container(image, list(command), host_config=config)["Id"]
        try:
            host.api.start(made)
            status = host.api.wait(made)["StatusCode"]
            return status, host.api.logs(made).decode()
        finally:
            host.remove(made)

    return run
