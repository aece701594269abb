"""Connections of category ContainerRegistry: as whom a Docker host pulls and pushes."""

import io
import time

import pytest

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from tests.conformance.labs import DockerLab
from tests.docker.registry import Registry
from tests.docker_host import BASE_IMAGE

pytestmark = pytest.mark.docker
USER, PASSWORD = "ann", "hunter2hunter2"


@pytest.fixture
def registry(credentials):
    """A registry that only Ann may use, and Docker's configuration with no user of it."""
    with Registry(USER, PASSWORD) as found:
        yield found


@pytest.fixture
def made(host):
    """Make an image of the base with something in it, under a name; all go again."""
    names = set()

    def made(name, content):
        text = f"FROM {BASE_IMAGE}\nENV CONTENT={content}\n".encode()
        list(host.api.build(fileobj=io.BytesIO(text), tag=name, rm=True, decode=True))
        names.add(name)

    yield made
    for name in names:
        if host.image(name):
            host.api.remove_image(name, force=True)


@pytest.fixture
def published(host, made, registry, credentials):
    """Name and manifests of two images that the registry has, and the host has not."""
    name, found = f"{registry.host}/team/scorer:1", []
    credentials(registry)
    for content in ("one", "two"):
        made(name, content)
        assert not any("error" in part for part in host.api.push(name, stream=True, decode=True))
        found.append(registry.manifests["team/scorer:1"])
        host.api.remove_image(name, force=True)
    credentials()
    registry.manifests["team/scorer:1"] = found[0]
    return name, found


@pytest.fixture
def lab(tmp_path):
    lab = DockerLab(DockerLab.open(tmp_path), tmp_path, f"hub{time.time_ns() % 10**9}")
    lab.apply(lab.of(Kind.WORKSPACE))
    yield lab
    lab.close()


def hub(lab, registry, password=PASSWORD):
    user = {"username": USER, "password": password}
    target = f"https://{registry.host}/v2/"
    return lab.connection(category="ContainerRegistry", target=target, credentials=user)


def with_image(lab, image):
    environment = lab.of(Kind.ENVIRONMENT)
    command = ("python3", "{code_dir}/serve.py", "{port}")
    spec = environment.spec.model_copy(update={"image": image, "command": command})
    return environment.model_copy(update={"spec": spec})


def test_an_image_is_pulled_as_the_user_of_a_connection(host, lab, registry, published):
    wanted = with_image(lab, published[0])
    with pytest.raises(TargetError, match="no basic auth credentials"):
        lab.apply(wanted)
    lab.apply(hub(lab, registry, "wrong-password"))
    with pytest.raises(TargetError, match="the host does not have it, and cannot pull it") as said:
        lab.apply(wanted)
    assert "wrong-password" not in str(said.value)
    lab.apply(hub(lab, registry), wanted)
    assert host.image(published[0]) is not None


def test_a_tag_that_was_moved_in_a_private_registry_is_drift(lab, registry, published):
    name, (_, newer) = published
    lab.apply(hub(lab, registry), with_image(lab, name))
    id_ = lab.of(Kind.ENVIRONMENT).id
    assert lab.another().observe_one(id_).degraded == ""
    registry.manifests["team/scorer:1"] = newer
    found = DockerLab(DockerLab.open(lab.folder), lab.folder, lab.workspace)  # asks afresh
    assert found.target.observe([lab.workspace]).get(id_).degraded.startswith("the tag '")


def test_built_images_are_pushed_as_the_user_of_a_connection(lab, registry):
    folder = f"{registry.host}/team"
    with pytest.raises(TargetError, match="declare a connection of category ContainerRegistry"):
        lab.apply(lab.space(registry=folder))
    lab.apply(hub(lab, registry), lab.space(registry=folder))
    assert [name for name in registry.manifests if "inference-runtime" in name] != []
