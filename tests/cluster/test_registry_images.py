"""Images that a Docker Engine builds and pushes, and that pods of the cluster pull.

The Engine takes 127.0.0.1 for a registry without TLS; the node reaches the same one elsewhere.
"""

import base64
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from inference_provider.desired import DesiredResource
from inference_provider.errors import NotReady, TargetError
from inference_provider.files.digest import with_content_hash
from inference_provider.files.source_folder import SourceFolder
from inference_provider.observed import Kind
from inference_provider.refusals import refusals
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.kubernetes.objects import POD, name_of
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.engine import Engine
from tests import cluster_host, docker_host
from tests.cluster import images, places
from tests.conformance.labs import ANN, SERVER, KubernetesLab
from tests.docker.registry import Registry

pytestmark = [pytest.mark.cluster, pytest.mark.docker, pytest.mark.timeout(280)]


ROUTES = {
    f"{name}_route": {"path": "/", "port": 8080} for name in ("liveness", "readiness", "scoring")
}


class RegistryLab(KubernetesLab):
    """A lab whose workspace names a registry and no image."""

    runtime_image: str | None = None
    base_image = docker_host.BASE_IMAGE

    def __init__(self, platform, folder: Path, workspace: str, asked: dict) -> None:
        super().__init__(platform, folder, workspace)
        self.desired = (self.space(**asked), *self.desired[1:])

    def environment(self, name: str, **fields) -> DesiredResource:
        spec = EnvironmentSpec.model_validate({"workspace": self.workspace, "name": name, **fields})
        hashed = with_content_hash(spec, SourceFolder(self.folder))
        id_ = self.id(Kind.ENVIRONMENT, f"{name}:1")
        given = {"owner": "demo", "base_dir": str(self.folder)}
        return DesiredResource.model_validate({"id": id_, "spec": hashed, **given})

    def images(self) -> dict[str, str]:
        """Return what each pod runs, and in a container before its server."""
        pods = self.platform.client.items(POD, self.workspace)
        return {name_of(pod): pod["spec"]["containers"][0]["image"] for pod in pods}


@pytest.fixture
def registry():
    at = places.ours()
    if Path(cluster_host.KUBECONFIG) != at.kubeconfig:
        pytest.skip("only the cluster of `make test-cluster` pulls from a registry here")
    with Registry("ann", "hunter2", address="0.0.0.0") as registry:
        port = registry.server_address[1]
        images.allow_plain_http(at, f"127.0.0.1:{port}", f"{places.LINK_HERE}:{port}")
        yield registry
        mine = f"127.0.0.1:{port}/"
        images.remove(at, *(one for one in images.names(at) if one.startswith(mine)))
        shutil.rmtree(at.run / "registries" / f"127.0.0.1:{port}")


@pytest.fixture
def login(registry, tmp_path, monkeypatch):
    """Write the credentials into a configuration of Docker, and return it."""
    entry = {"auth": registry.authorization.split()[1]}
    config = {"auths": {f"127.0.0.1:{registry.server_address[1]}": entry}}
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return config


@pytest.fixture
def secret(login, api, namespace):
    """Make the Secret with the credentials, and return its name."""
    found = base64.b64encode(json.dumps(login).encode()).decode()
    about = {"name": "hub", "namespace": namespace}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson"}
    api.apply({**kind, "metadata": about, "data": {".dockerconfigjson": found}})
    return "hub"


@pytest.fixture
def docker(login):
    host = DockerHost("docker")
    before = set(host.image_ids())
    yield HostImages(host)
    for image in set(host.image_ids()) - before:
        host.api.remove_image(image, force=True)
    host.close()


@pytest.fixture
def lab(registry, docker, namespace, secret, tmp_path):
    platform = KubernetesPlatform("kubernetes", lambda: docker)
    asked: dict[str, Any] = {"registry": f"127.0.0.1:{registry.server_address[1]}/team"}
    asked["cluster"] = {"image_pull_secrets": [secret]}
    lab = RegistryLab(platform, tmp_path, namespace, asked)
    yield lab
    lab.close()
    platform.close()


class PublicRouterLab(RegistryLab):
    """One whose router's image is on the node, so that its connections come in time."""

    runtime_image = KubernetesLab.runtime_image


@pytest.fixture
def own_lab(registry, docker, namespace, tmp_path):
    """A lab of which nothing but a connection says who pulls."""
    platform = KubernetesPlatform("kubernetes", lambda: docker)
    asked = {"registry": f"127.0.0.1:{registry.server_address[1]}/team"}
    lab = PublicRouterLab(platform, tmp_path, namespace, asked)
    yield lab
    lab.close()
    platform.close()


def of_packages(lab) -> DesiredResource:
    server = {"command": ["python", "{code_dir}/serve.py", "{port}"], "inference_config": ROUTES}
    return lab.environment("six", dependencies=["six==1.17.0"], **server)


def of_a_folder(lab) -> DesiredResource:
    context = lab.folder / "context"
    context.mkdir()
    shutil.copy(SERVER, context / "serve.py")
    lines = (
        f"FROM {docker_host.BASE_IMAGE}",
        "COPY serve.py /",
        'CMD ["python3", "/serve.py", "8080"]',
    )
    (context / "Dockerfile").write_text("\n".join(lines))
    return lab.environment("own", build={"path": "context"}, inference_config=ROUTES)


def pinned(environment: DesiredResource) -> str:
    return f"azureml:{environment.id.name}@sha256:{environment.spec.content_hash}"


def test_pods_run_what_docker_has_pushed_and_another_client_needs_no_docker(lab, registry):
    space, model, _, endpoint, *_ = lab.desired
    packages, folder = of_packages(lab), of_a_folder(lab)
    blue = lab.deployment(environment=pinned(packages))
    green = lab.deployment("green", environment=pinned(folder), code_configuration=None)
    lab.apply(space, model, packages, folder, endpoint, blue, green)
    for share in ({"blue": 100}, {"green": 100}):
        lab.apply(lab.traffic(**share))
        assert lab.ask() == 200
    pods = lab.images()
    begins = f"127.0.0.1:{registry.server_address[1]}/team/inference-"
    kinds = Counter(one.removeprefix(begins).partition(":")[0] for one in pods.values())
    assert kinds == {"runtime": 3, "environment": 1, "folder": 1}
    pushed = {name.partition("@")[2] for name in registry.manifests}
    assert {image.partition("@")[2] for image in pods.values()} <= pushed

    nowhere = HostImages(DockerHost(DockerPlace(kind="docker", host="unix:///nowhere.sock")))
    platform = KubernetesPlatform("kubernetes", lambda: nowhere)
    other = Engine(platform)
    whole = [space, packages, folder]
    assert refusals(whole, other.capabilities) == ()
    elsewhere = folder.id.model_copy(update={"workspace": "elsewhere"})  # where nothing is kept
    asked = folder.model_copy(update={"id": elsewhere})
    assert [*other.capabilities.notes(asked, space.spec)] == [
        f"its image {of_the_folder(lab)} is in {begins.rpartition('/')[0]}"
    ]
    for one in (lab.space(description="ours"), packages, folder):
        other.apply(one, ANN)
    other.apply(lab.deployment(environment=pinned(packages), instance_count=2), ANN)
    after = lab.images()
    assert pods.items() <= after.items()
    assert len(after) == len(pods) + 1
    assert lab.target.observe_one(space.id).degraded == ""
    platform.close()


def of_the_folder(lab) -> str:
    [image] = [one for one in lab.images().values() if "/inference-folder:" in one]
    return image.rpartition("/")[2].partition("-amd64@")[0]


def test_docker_pushes_and_instances_pull_as_the_user_that_a_connection_names(
    own_lab, registry, api
):
    lab, (space, model, _, endpoint, *_) = own_lab, own_lab.desired
    target = f"127.0.0.1:{registry.server_address[1]}"
    path = f"/api/v1/namespaces/{lab.workspace}/secrets/registry-hub"

    def hub(password: str) -> DesiredResource:
        user = {"username": "ann", "password": password}
        return lab.connection(category="ContainerRegistry", target=target, credentials=user)

    def password() -> str:
        config = base64.b64decode(api.get(path)["data"][".dockerconfigjson"])
        return json.loads(config)["auths"][target]["password"]

    folder = of_a_folder(lab)
    blue = lab.deployment(environment=pinned(folder), code_configuration=None)
    lab.apply(space, hub("wrong"), model, endpoint)
    with pytest.raises(TargetError, match="declare a connection of category ContainerRegistry"):
        lab.apply(folder)  # what Docker's configuration knows does not count
    lab.apply(hub("hunter2"), folder, hub("wrong"))
    with pytest.raises(NotReady, match="401 Unauthorized"):
        lab.apply(blue)
    lab.apply(hub("hunter2"))
    lab.apply(blue, lab.traffic(blue=100))
    assert lab.ask() == 200
    named = [pod["spec"].get("imagePullSecrets") for pod in api.get(pods_of(lab))["items"]]
    assert [one for one in named if one] == [[{"name": "registry-hub"}]]

    api.delete(path)
    api.until_gone(path)
    hub_id = hub("hunter2").id
    assert lab.target.observe_one(hub_id).degraded == "Secret registry-hub is gone"
    lab.apply(hub("hunter2"))
    assert (password(), lab.target.observe_one(hub_id).degraded) == ("hunter2", "")
    lab.delete(hub_id)
    api.until_gone(path)


def pods_of(lab) -> str:
    return f"/api/v1/namespaces/{lab.workspace}/pods"
