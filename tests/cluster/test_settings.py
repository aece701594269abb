"""What a workspace says of its cluster becomes so, and changes while it serves."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inference_provider.cli.main import app
from inference_provider.cli.session import Session
from inference_provider.targets.kubernetes.names import CONTENT_NAME, ROUTER_NAME
from inference_provider.targets.kubernetes.objects import (
    CLAIM,
    DEPLOYMENT,
    HTTP_ROUTE,
    INGRESS,
    LIMITS,
    POD,
    QUOTA,
    SERVICE,
    SERVICE_ACCOUNT,
    name_of,
)
from inference_provider.targets.kubernetes.target import KubernetesTarget
from tests.conformance.labs import KubernetesLab, wait_until

pytestmark = pytest.mark.cluster


@pytest.fixture
def volume(api):
    """Make a volume of 2 GiB in a folder of the node, and yield the name of its class."""
    folder = Path(tempfile.mkdtemp(prefix="inference-volume-", dir="/var/tmp"))
    folder.chmod(0o777)
    name = f"test{os.getpid()}"
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "2Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": name,
                "hostPath": {"path": str(folder), "type": "Directory"},
            },
        }
    )
    yield name
    api.delete(f"/api/v1/persistentvolumes/{name}")
    shutil.rmtree(folder)


def edit(api, path, change):
    """Change an object as a person does."""
    answer = api.http.patch(
        path,
        params={"fieldManager": "kubectl-edit"},
        content=json.dumps(change),
        headers={"content-type": "application/merge-patch+json"},
    )
    assert answer.is_success, answer.text


def test_a_namespace_is_bounded_as_its_workspace_says_and_what_is_changed_is_told(api, tmp_path):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"bound{os.getpid()}")
    client, place = lab.platform.client, lab.workspace
    bounds = {"quota": {"pods": 20}, "limits": {"default": {"memory": "256Mi"}}}
    role = {"annotations": {"example.org/role": "reader"}}
    reader = {"service_accounts": {"reader": role, "writer": {}}}
    try:
        space = lab.space(cluster={**bounds, **reader})
        lab.apply(space, *lab.desired[1:3], lab.endpoint())
        lab.apply(lab.deployment(scheduling={"service_account": "reader"}))
        [quota] = client.items(QUOTA, place)
        assert quota["status"]["used"]["pods"] == "4"  # two routers, the content and blue
        [pod] = client.items(POD, place, "pulumi-inference/role=instance")
        assert pod["spec"]["serviceAccountName"] == "reader"
        [server] = pod["spec"]["containers"]
        assert server["resources"]["limits"]["memory"] == "256Mi"
        assert lab.target.observe_one(space.id).degraded == ""

        edit(api, QUOTA.path(place, "inference-quota"), {"spec": {"hard": {"pods": "99"}}})
        account = {"metadata": {"annotations": {"example.org/role": "admin"}}}
        edit(api, SERVICE_ACCOUNT.path(place, "reader"), account)
        said = lab.target.observe_one(space.id).degraded
        assert "ResourceQuota inference-quota: spec.hard.pods set by kubectl-edit at " in said
        assert "ServiceAccount reader: some of its fields were changed" in said
        lab.apply(space)
        assert lab.target.observe_one(space.id).degraded == ""
        assert client.get(QUOTA, place, "inference-quota")["spec"]["hard"] == {"pods": "20"}

        lab.apply(lab.space(cluster=reader))
        assert client.items(QUOTA, place) == client.items(LIMITS, place) == []
    finally:
        lab.close()
        lab.platform.close()


@pytest.fixture
def default_class(api):
    """Have the cluster give a class to each Ingress that names none; return its name."""
    name = f"test{os.getpid()}"
    mark = {"ingressclass.kubernetes.io/is-default-class": "true"}
    api.apply(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": name, "annotations": mark},
            "spec": {"controller": "example.org/none"},
        }
    )
    yield name
    api.delete(f"/apis/networking.k8s.io/v1/ingressclasses/{name}")


def test_the_class_that_a_cluster_gives_an_ingress_is_no_drift_and_stays(
    api, default_class, tmp_path
):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"class{os.getpid()}")
    client, place = lab.platform.client, lab.workspace
    space = lab.space(cluster={"router": {"ingress": {"host": "score.example.org"}}})

    def given() -> str:
        [made] = client.items(INGRESS, place)
        return made["spec"]["ingressClassName"]

    try:
        lab.apply(space)
        assert given() == default_class
        assert lab.target.observe_one(space.id).degraded == ""
        edit(api, INGRESS.path(place, ROUTER_NAME), {"spec": {"rules": [{"host": "other.org"}]}})
        assert "spec.rules set by" in lab.target.observe_one(space.id).degraded
        lab.apply(space)
        assert lab.target.observe_one(space.id).degraded == ""
        assert given() == default_class
    finally:
        lab.close()
        lab.platform.close()


CRD = "httproutes.gateway.networking.k8s.io"
ROUTES = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": CRD,
        "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
    },
    "spec": {
        "group": "gateway.networking.k8s.io",
        "scope": "Namespaced",
        "names": {"plural": "httproutes", "singular": "httproute", "kind": "HTTPRoute"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


@pytest.fixture
def gateways(api):
    """Have the cluster serve HTTPRoutes, as with a Gateway's controller."""
    api.apply(ROUTES)
    wait_until(lambda: _serves(api))
    yield
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    api.delete(f"{path}/{CRD}")


def _serves(api) -> bool:
    answer = api.http.get("/apis/gateway.networking.k8s.io/v1")
    return answer.is_success and bool(answer.json()["resources"])


@pytest.mark.usefixtures("gateways")
def test_a_router_is_exposed_as_its_workspace_says_and_the_url_is_the_public_one(api, tmp_path):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"open{os.getpid()}")
    client, place = lab.platform.client, lab.workspace

    def uri() -> str:
        return lab.target.observe_one(lab.endpoint().id).outputs["scoring_uri"]

    try:
        ingress = {"host": "score.example.org", "tls_secret": "score-tls"}
        space = lab.space(cluster={"router": {"ingress": ingress}})
        lab.apply(space, lab.endpoint())
        assert uri() == "https://score.example.org/endpoints/iris/score"
        [made] = client.items(INGRESS, place)
        assert made["spec"]["tls"] == [{"hosts": ["score.example.org"], "secretName": "score-tls"}]
        assert lab.target.observe_one(space.id).degraded == ""
        edit(api, INGRESS.path(place, ROUTER_NAME), {"spec": {"tls": None}})
        assert "Ingress inference-router: some of its" in lab.target.observe_one(space.id).degraded
        lab.apply(space)
        assert lab.target.observe_one(space.id).degraded == ""

        gateway = {"name": "public", "namespace": "edge", "hostnames": ["s.example.org"]}
        space = lab.space(cluster={"router": {"gateway": gateway}})
        lab.apply(space)
        assert uri() == "https://s.example.org/endpoints/iris/score"
        assert client.items(INGRESS, place) == []
        [made] = client.items(HTTP_ROUTE, place)
        assert made["spec"]["parentRefs"][0]["namespace"] == "edge"
        assert lab.target.observe_one(space.id).degraded == ""
        outside = KubernetesTarget("kubernetes")
        with outside.way_to(place, uri()) as way:
            assert way.socket  # the name leads nowhere from here, so through the API server
        session = Session(make_target=lambda _place: outside, interactive=False)
        asked = ["score", "iris", "--workspace", place]
        said = CliRunner().invoke(app, asked, obj=session, input="[1]").stderr
        assert "answered 404" in said  # the router itself: nothing is deployed yet
        assert "NoTraffic" in said
        outside.kubernetes.close()

        lab.apply(lab.space())
        assert uri().startswith(f"http://inference-router.{place}.svc:")
        assert client.items(HTTP_ROUTE, place) == []
    finally:
        lab.close()
        lab.platform.close()


def test_content_lies_on_a_claim_and_the_router_is_as_the_workspace_says(tmp_path, volume):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"set{os.getpid()}")
    client, place = lab.platform.client, lab.workspace
    storage = {"size": "1Gi", "storage_class": volume}
    try:
        lab.apply(lab.space(cluster={"storage": storage}), *lab.desired[1:])
        assert client.get(CLAIM, place, CONTENT_NAME)["status"]["phase"] == "Bound"
        [pod] = client.items(POD, place, "pulumi-inference/role=content")
        client.delete(POD, place, name_of(pod))
        wait_until(lambda: lab.ports.content.fault(record_of_model(lab)) == "")
        assert lab.ask() == 200

        router = {"service": "NodePort", "replicas": 3}
        cluster = {"storage": storage, "router": router}
        lab.apply(lab.space(cluster=cluster, allow_plain_http=True))
        assert client.get(DEPLOYMENT, place, ROUTER_NAME)["spec"]["replicas"] == 3
        assert client.get(SERVICE, place, ROUTER_NAME)["spec"]["type"] == "NodePort"
        assert lab.ask() == 200
    finally:
        lab.close()
        lab.platform.close()


def record_of_model(lab):
    return lab.target.record(next(one.id for one in lab.desired if one.id.kind == "Model"))
