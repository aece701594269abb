"""Another runtime image of a workspace: no request fails, and one that cannot start is put back."""

import os
from pathlib import Path

import pytest

from inference_provider.errors import NotReady
from inference_provider.observed import Kind
from inference_provider.targets.kubernetes import names, role_pods
from inference_provider.targets.kubernetes.objects import DEPLOYMENT, POD, name_of, selector
from tests import cluster_host
from tests.cluster import images
from tests.cluster.loaded import loaded
from tests.cluster.places import ours
from tests.cluster.runtime import runtime_image
from tests.conformance.labs import ANN
from tests.docker.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def served():
    with loaded("img") as lab:
        yield lab


@pytest.fixture(scope="module")
def another():
    """Give the runtime image another name, and yield that."""
    if Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        pytest.skip("only in the cluster of `make test-cluster` an image gets another name")
    name = f"inference-runtime:again{os.getpid()}"
    images.tag(ours(), runtime_image(), name)
    yield name
    images.remove(ours(), f"docker.io/library/{name}")


def pods(lab, role: str) -> dict[str, str]:
    """Return the images of the pods of a role, of those that do not end, by their names."""
    found = lab.platform.client.items(POD, lab.workspace, selector({names.ROLE: role}))
    there = [one for one in found if not one["metadata"].get("deletionTimestamp")]
    return {name_of(one): one["spec"]["containers"][0]["image"] for one in there}


def test_another_runtime_image_is_in_every_pod_and_fails_no_request(served, another):
    told: list[str] = []
    with Load(served, 1_000, limit_s=120) as load:
        workspace = served.space(runtime_image=another)
        served.target.apply(workspace, ANN, lambda _id, said: told.append(said))
        assert [*pods(served, "router").values()] == [another, another]
        assert [*pods(served, "content").values()] == [another]
    assert {*load.answers} == {200}
    assert told[:2] == ["1 of 2 pods of the router replaced", "2 of 2 pods of the router replaced"]


def test_an_image_that_cannot_be_pulled_is_told_and_the_old_pods_serve(served, monkeypatch):
    monkeypatch.setattr(role_pods, "STUCK_S", 5.0)
    before = pods(served, "router")
    image = served.target.record(served.id(Kind.WORKSPACE, served.workspace)).properties
    told = r"pods not ready: pod inference-router-.*no-such-image"
    with Load(served, 500, limit_s=120) as load, pytest.raises(NotReady, match=told):
        served.apply(served.space(runtime_image="localhost:1/no-such-image:1"))
    assert {*load.answers} == {200}
    assert pods(served, "router") == before
    for name in (names.ROUTER_NAME, names.CONTENT_NAME):
        there = served.platform.client.get(DEPLOYMENT, served.workspace, name)
        [container] = there["spec"]["template"]["spec"]["containers"]
        assert container["image"] == image["runtime_image"]
