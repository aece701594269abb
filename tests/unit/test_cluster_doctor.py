"""What `doctor` says of a cluster, which is an API server in memory here."""

import json
from pathlib import Path

import httpx
import pytest
import yaml
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.targets.kubernetes import doctor
from inference_provider.targets.kubernetes.classes import pull_faults
from inference_provider.targets.kubernetes.doctor import Answer, Pulls, answers

READY = {
    "phase": "Running",
    "podIP": "10.0.0.7",
    "conditions": [{"type": "Ready", "status": "True"}],
}
NAMESPACES, REVIEWS = "/api/v1/namespaces", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
FORBIDDEN = (
    'namespaces is forbidden: User "ann" cannot create resource "namespaces" in API group "" at the'
    " cluster scope"
)
ROLE = Path(__file__).parents[2] / "docs" / "deployer-role.yaml"


class Cluster:
    """A cluster: what this user may not, its version, and what pods reach of each other."""

    def __init__(self) -> None:
        self.api = ClusterApi()
        self.api.refuse = self._answer
        self.denied: set[tuple[str, str]] = set()
        self.version = "v1.34.4"
        self.reached = "True False"
        self.pod_status: dict = READY

    def _answer(self, asked: httpx.Request) -> httpx.Response | None:
        path = asked.url.path
        if path == "/version":
            return httpx.Response(200, json={"gitVersion": self.version})
        if path == REVIEWS:
            about = json.loads(asked.content)["spec"]["resourceAttributes"]
            allowed = (about["verb"], about["resource"]) not in self.denied
            return httpx.Response(201, json={"status": {"allowed": allowed}})
        if path == NAMESPACES and ("create", "namespaces") in self.denied:
            return failure(403, FORBIDDEN)
        if path.endswith("/log"):
            return httpx.Response(200, text=self.reached)
        if "/pods/" in path and asked.method == "GET" and path in self.api.objects:
            ended = {"phase": "Succeeded"} if path.endswith("-asker") else self.pod_status
            return httpx.Response(200, json={**self.api.objects[path], "status": ended})
        return None

    def told(self, image: str = "router:1", **more) -> dict[str, Answer]:
        found = answers(client_of(self.api), "demo", image, **{"may_make": True, **more})
        return {one.name: one for one in found}


@pytest.fixture
def cluster():
    return Cluster()


def test_whether_an_instance_may_be_on_several_nodes_is_told_and_no_fault(cluster):
    told = cluster.told()["several nodes"]
    assert told == Answer(
        "several nodes", True, "LeaderWorkerSet is not served: an instance is on one node"
    )
    served = {"kind": "APIResourceList", "metadata": {}, "resources": []}
    cluster.api.put("/apis/leaderworkerset.x-k8s.io/v1", served)
    told = cluster.told()["several nodes"]
    assert told.found == "LeaderWorkerSet is served: `nodes_per_instance` works"


def test_a_fit_cluster_is_told_so_and_nothing_of_the_trial_stays(cluster):
    found = cluster.told()
    assert [one for one in found.values() if not one.ok] == []
    assert found["cluster"].found == "cluster 'lab' runs Kubernetes v1.34.4"
    assert found["network policies"].found == (
        "enforced; a workspace may say `network_policies: enforced`"
    )
    assert [
        path for path in cluster.api.objects if "/namespaces/inference-doctor" not in path
    ] == []
    assert f"DELETE {NAMESPACES}/" in next(
        one for one in reversed(cluster.api.requests) if one.startswith("DELETE")
    )


def test_whether_instances_are_measured_is_told_and_no_fault(cluster):
    assert cluster.told()["metrics"] == Answer(
        "metrics", True, "the metrics API is not served: `kubectl top` has nothing"
    )
    served = {"kind": "APIResourceList", "metadata": {}, "resources": []}
    cluster.api.put("/apis/metrics.k8s.io/v1beta1", served)
    assert cluster.told()["metrics"] == Answer("metrics", True, "the metrics API is served")
    cluster.denied = {("list", "pods")}
    assert cluster.told()["metrics"] == Answer(
        "metrics",
        True,
        "`inferctl metrics` measures no instance: you may not list pods.metrics.k8s.io",
    )


def test_a_cluster_that_is_too_old_is_refused(cluster):
    cluster.version = "v1.29.9"
    assert cluster.told()["cluster"] == Answer(
        "cluster", False, "cluster 'lab' runs Kubernetes v1.29.9", "use 1.30 or newer"
    )


def test_missing_rights_are_named_by_verb_and_resource(cluster):
    cluster.denied = {("patch", "deployments"), ("create", "namespaces")}
    found = cluster.told()
    assert found["rights"].found == "you may not patch deployments.apps, create namespaces"
    assert found["network policies"] == Answer(
        "network policies",
        False,
        "could not be tried: 'ann' may not create namespaces",
        "ask for a ClusterRole with verb create on namespaces",
    )


def test_policies_that_keep_nobody_out_are_a_failure(cluster):
    cluster.reached = "True True"
    found = cluster.told()["network policies"]
    assert (found.ok, found.found) == (
        False,
        "not enforced: any pod reaches instances without a key",
    )


def test_a_trial_in_a_namespace_of_somebody_else_removes_its_pods_and_policy_alone(cluster):
    cluster.told(may_make=False)
    assert cluster.api.objects == {}
    deleted = [one for one in cluster.api.requests if one.startswith("DELETE")]
    assert {one.split("/")[-2] for one in deleted} == {"pods", "networkpolicies"}


def test_the_pods_of_the_trial_pull_by_the_secrets_of_the_workspace_in_its_namespace(cluster):
    created = []
    answered = cluster.api.refuse
    cluster.api.refuse = lambda asked: (created.append(asked), answered(asked))[1]
    assert cluster.told(pulls=Pulls(["hub", "mirror"]))["network policies"].ok
    pods = [
        json.loads(one.content)["spec"]
        for one in created
        if one.method == "POST" and one.url.path == "/api/v1/namespaces/demo/pods"
    ]
    assert [pod["imagePullSecrets"] for pod in pods] == [[{"name": "hub"}, {"name": "mirror"}]] * 2
    assert cluster.api.objects == {}


def test_a_secret_that_is_not_there_is_told_before_a_pod_waits_for_it(cluster):
    client = client_of(cluster.api)
    pulls = Pulls(["hub"], lambda: pull_faults(client, "demo", ["hub"]))
    assert cluster.told(pulls=pulls)["network policies"] == Answer(
        "network policies",
        False,
        "could not be tried: there is no Secret 'hub' in namespace 'demo'",
        "make it with `kubectl -n demo create secret docker-registry hub`, in a namespace that is"
        " there",
    )
    assert cluster.api.objects == {}


def test_a_pod_that_never_runs_ends_the_trial_in_its_time_and_is_removed(cluster, monkeypatch):
    monkeypatch.setattr(doctor, "TRY_S", 0.0)
    cluster.pod_status = {"phase": "Pending"}
    found = cluster.told(may_make=False)["network policies"]
    assert found.found == "could not be tried: no pod of the trial was ready in 0 s"
    assert cluster.api.objects == {}


def test_the_rights_that_are_asked_for_are_those_of_the_documented_role():
    rules = yaml.safe_load(ROLE.read_text())["rules"]
    documented = {
        (group, resource): set(rule["verbs"])
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert documented.pop(doctor.MEASURED) == documented.pop(doctor.HAPPENED) == {"list"}
    assert {what: set(verbs) for what, verbs in doctor.NEEDED.items()} == documented
