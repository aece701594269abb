"""Secrets by which the pods of a cluster pull their images."""

import pytest
from tests.unit.cluster_target.stack import desired, pod_specs, up

from inference_provider.observed import Kind
from inference_provider.refusals import refusals

PULL = {"image_pull_secrets": ["hub"]}
SECRET = "/api/v1/namespaces/lab/secrets/hub"


def secret(kind: str) -> dict:
    about = {"name": "hub", "namespace": "lab", "resourceVersion": "1"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": about, "type": kind}


def test_every_pod_pulls_its_images_by_the_secrets_of_its_workspace(api, engine):
    api.objects[SECRET] = secret("kubernetes.io/dockerconfigjson")
    up(engine, cluster=PULL)
    told = {name: one["imagePullSecrets"] for name, one in pod_specs(api).items()}
    blue = next(name for name in told if name.startswith("iris-blue-"))
    asked = [{"name": "hub"}]
    assert told == {blue: asked, "inference-content": asked, "inference-router": asked}


def test_pods_of_a_workspace_without_pull_secrets_say_nothing_of_them(api, engine):
    up(engine)
    assert not any("imagePullSecrets" in one for one in pod_specs(api).values())


@pytest.mark.parametrize(
    ("there", "fault"),
    [
        (None, "there is no Secret 'hub' in namespace 'lab'"),
        (secret("Opaque"), "Secret 'hub' in namespace 'lab' is of type 'Opaque'"),
    ],
    ids=["missing", "another type"],
)
def test_a_secret_by_which_nothing_can_be_pulled_is_refused_when_planning(
    api, engine, there, fault
):
    if there:
        api.objects[SECRET] = there
    asked = [desired(cluster=PULL)[Kind.WORKSPACE]]
    assert [str(one.fault) for one in refusals(asked, engine.capabilities)] == [
        f"cluster.image_pull_secrets: {fault}; make it with `kubectl -n lab create secret"
        " docker-registry hub`, in a namespace that is there"
    ]
