"""An up on a cluster, and what others change of what it has made."""

from itertools import groupby

import pytest
from tests.cluster_api import ClusterApi, client_of
from tests.unit.cluster_target.stack import (
    ANN,
    CLAIM,
    CONTENT,
    NO_IMAGE,
    ROUTER,
    desired,
    image_of,
    router_settings,
    up,
)

from inference_provider.errors import NotReady
from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.kubernetes import beside, role_pods
from inference_provider.targets.kubernetes.records import ClusterRecords


def test_an_up_is_recorded_and_each_change_is_in_force(api, engine):
    up(engine)
    assert engine.workspaces() == ("demo",)
    observed = engine.observe(["demo"]).resources
    assert {one.degraded for one in observed.values()} == {""}
    published = api.refuse.published
    assert len(published) >= 3
    assert published == sorted(published)
    blue = next(one for one in observed.values() if one.id.kind == Kind.DEPLOYMENT)
    assert blue.status == "0 of 1 instances ready"  # the answer above knows of none


def test_a_workspace_has_the_address_of_its_service(engine):
    up(engine)
    found = engine.observe_one(ResourceId(kind=Kind.ENDPOINT, workspace="demo", name="iris"))
    assert found.outputs["scoring_uri"] == (
        "http://inference-router.lab.svc:8080/endpoints/iris/score"
    )


def test_another_image_of_the_router_is_applied_and_its_pods_follow(api, engine):
    up(engine)
    engine.apply(desired(runtime_image="router:2")[Kind.WORKSPACE], ANN)
    router = api.objects["/apis/apps/v1/namespaces/lab/deployments/inference-router"]
    assert router["spec"]["template"]["spec"]["containers"][0]["image"] == "router:2"


def images(api, name: str) -> set[str]:
    """Return what the pods of a Deployment run."""
    found = [one for path, one in api.objects.items() if f"/pods/{name}-" in path]
    return {one["spec"]["containers"][0]["image"] for one in found}


def test_another_image_of_the_router_is_in_all_pods_when_it_is_recorded(api, engine):
    up(engine)
    told: list[str] = []
    workspace = desired(runtime_image="router:2")[Kind.WORKSPACE]
    engine.apply(workspace, ANN, lambda _id, said: told.append(said))
    assert images(api, "inference-router") == images(api, "inference-content") == {"router:2"}
    assert "2 of 2 pods of the router replaced" in told


@pytest.mark.parametrize("failing", ["inference-router", "inference-content"])
def test_an_image_that_cannot_be_pulled_leaves_all_as_it_was(
    api, engine, controllers, monkeypatch, failing
):
    up(engine)
    monkeypatch.setattr(role_pods, "STUCK_S", 0.3)
    controllers.status_of = lambda pod: (
        NO_IMAGE
        if pod["metadata"]["name"].startswith(failing)
        and pod["spec"]["containers"][0]["image"] == "router:2"
        else None
    )
    with pytest.raises(
        NotReady,
        match=r"pods not ready: pod .*: ErrImagePull: router:2: not found; name a runtime_image of"
        " the workspace that nodes can pull, or load it there; look at",
    ):
        engine.apply(desired(runtime_image="router:2")[Kind.WORKSPACE], ANN)
    assert {image_of(api, path) for path in (ROUTER, CONTENT)} == {"router:1"}
    observed = engine.observe(["demo"]).resources
    workspace = next(one for one in observed.values() if one.id.kind == Kind.WORKSPACE)
    assert workspace.properties["runtime_image"] == "router:1"
    ready = [o for path, o in api.objects.items() if "/pods/inference-router-" in path]
    assert sum(one["status"]["phase"] == "Running" for one in ready) >= 2
    assert router_settings(api)["image"] == "router:1"


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ("gone", "PersistentVolumeClaim inference-content is gone"),
        ("ending", "PersistentVolumeClaim inference-content is being deleted"),
    ],
)
def test_a_claim_that_somebody_deletes_is_drift_and_made_again(api, engine, how, fault):
    asked = {"cluster": {"storage": {"size": "1Gi"}}}
    up(engine, **asked)
    if how == "gone":
        api.drop(CLAIM)
    else:
        there = api.objects[CLAIM]
        about = {**there["metadata"], "deletionTimestamp": "2026-11-26T08:00:00Z"}
        api.put(CLAIM, {**there, "metadata": about})
    observed = engine.observe(["demo"]).resources
    workspace = next(one for one in observed.values() if one.id.kind == Kind.WORKSPACE)
    assert workspace.degraded == fault
    engine.apply(desired(**asked)[Kind.WORKSPACE], ANN)
    assert "deletionTimestamp" not in api.objects[CLAIM]["metadata"]


def test_a_policy_of_somebody_that_lets_others_in_is_removed_and_told(api, engine):
    up(engine)
    path = "/apis/networking.k8s.io/v1/namespaces/lab/networkpolicies/allow-all"
    about = {"name": "allow-all", "namespace": "lab"}
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    api.put(
        path,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": about,
            "spec": spec,
        },
    )
    by = [{"manager": "kubectl-create", "time": "2026-11-26T08:00:00Z"}]
    api.objects[path]["metadata"]["managedFields"] = by
    told: list[str] = []
    engine.apply(desired()[Kind.WORKSPACE], ANN, lambda _id, said: told.append(said))
    assert path not in api.objects
    assert told[0] == (
        "removed: NetworkPolicy allow-all, made by kubectl-create at 2026-11-26T08:00:00Z, lets"
        " others in to instances"
    )


def test_a_claim_of_somebody_else_that_goes_takes_no_deployment_along(monkeypatch):
    monkeypatch.setattr(beside, "_CLAIM_S", 0.2)
    api = ClusterApi()  # nothing else is at work in it
    goes = {"name": "inference-content", "deletionTimestamp": "2026-11-26T08:00:00Z"}
    api.put(CLAIM, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": goes})
    api.objects[CLAIM]["metadata"]["managedFields"] = [{"manager": "helm"}]
    client = client_of(api)
    beside.Beside(client, ClusterRecords(client, "lab", "demo"))._let_claim_go()
    assert not [asked for asked in api.requests if asked.startswith("DELETE")]


def test_pods_see_who_calls_as_long_as_ranges_count(api, engine):
    service = "/api/v1/namespaces/lab/services/inference-router"
    outside = {"cluster": {"router": {"service": "NodePort"}}, "allow_plain_http": True}
    up(engine, **outside)
    pods, seen = api.refuse, []

    def watched(asked):
        if (asked.method, asked.url.path) == ("PATCH", service):
            shown = b"externalTrafficPolicy" in asked.content
            seen.append("shown" if shown else "hidden")
        elif asked.url.path.endswith("/proxy/revision"):
            seen.append("in force")
        return pods(asked)

    api.refuse = watched
    engine.apply(desired(**outside, allowed_source_ranges=["10.0.0.0/8"])[Kind.WORKSPACE], ANN)
    assert [name for name, _ in groupby(seen)] == ["shown", "in force"]
    seen.clear()
    engine.apply(desired(**outside)[Kind.WORKSPACE], ANN)
    assert [name for name, _ in groupby(seen)] == ["shown", "in force", "hidden"]
    assert router_settings(api)["shows_callers"] is False
