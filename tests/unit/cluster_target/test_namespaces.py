"""A workspace on a cluster and its namespace, until the last down."""

import pytest
from tests.cluster_api import client_of, failure
from tests.unit.cluster_target.stack import ANN, _namespace, desired, kinds, up

from inference_provider.desired import resolve
from inference_provider.errors import Busy, CapabilityMissing, Fault, OwnedByAnother
from inference_provider.observed import Kind
from inference_provider.spec import StackSpec
from inference_provider.spec.target import Home, place_from
from inference_provider.targets.kubernetes import target as under_test
from inference_provider.targets.kubernetes.namespaces import remove_made
from inference_provider.targets.kubernetes.target import KubernetesPlatform

FORBIDDEN = 'namespaces "kube-system" is forbidden: User "ann" cannot get resource "namespaces"'


def test_a_stopped_workspace_keeps_its_records_and_starts_again(api, engine):
    up(engine)
    engine.stop("demo", ANN)
    assert [o for o in api.objects.values() if o["kind"] == "Deployment" and "iris" in str(o)] == []
    assert "Secret" in kinds(api)
    engine.start("demo", ANN)
    assert len([p for p in api.objects if "/pods/iris-blue-" in p]) == 1


def test_nothing_of_a_deleted_workspace_is_left_in_a_namespace_of_somebody_else(api, engine):
    api.put("/api/v1/namespaces/lab", _namespace({}))
    up(engine)
    for kind in reversed(desired()):
        engine.delete(desired()[kind].id, "shop", ANN)
    assert kinds(api) <= {"Namespace", "Pod"}
    assert engine.workspaces() == ()


def test_an_object_of_somebody_else_with_a_name_of_ours_is_left_as_it_is(api, engine):
    path = "/api/v1/namespaces/lab/services/inference-content"
    about = {"name": "inference-content", "namespace": "lab", "labels": {"team": "search"}}
    there = {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": {"ports": []}}
    api.put("/api/v1/namespaces/lab", _namespace({}))
    before = api.put(path, there)
    before["metadata"]["managedFields"] = [{"manager": "helm"}]
    pods = api.refuse
    api.refuse = lambda asked: (
        failure(409, "Apply failed with 1 conflict: conflict with helm")
        if asked.method == "PATCH" and asked.url.path == path
        else pods(asked)
    )
    with pytest.raises(OwnedByAnother, match="Service 'inference-content' in namespace 'lab'"):
        engine.apply(desired()[Kind.WORKSPACE], ANN)
    assert api.objects[path] == before


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("serviceaccounts/inference-router", "ServiceAccount"),
        ("secrets/inference-content", "Secret"),
        ("services/inference-content", "Service"),
    ],
)
def test_what_others_have_of_a_name_of_ours_is_neither_changed_nor_removed(api, engine, path, kind):
    api.put("/api/v1/namespaces/lab", _namespace({}))
    path = f"/api/v1/namespaces/lab/{path}"
    there = api.put(path, {"apiVersion": "v1", "kind": kind, "metadata": {"name": "theirs"}})
    there["metadata"]["managedFields"] = [{"manager": "kubectl-create"}]
    with pytest.raises(OwnedByAnother, match=f"{kind} 'inference-.*made by somebody else"):
        engine.apply(desired()[Kind.WORKSPACE], ANN)
    assert api.objects[path] == there


def test_a_namespace_that_was_made_for_a_workspace_goes_with_it(api, engine):
    up(engine)
    assert "Namespace" in kinds(api)
    for kind in reversed(desired()):
        engine.delete(desired()[kind].id, "shop", ANN)
    assert "Namespace" not in kinds(api)


@pytest.mark.parametrize(
    ("group", "kind", "plural"),
    [
        ("/apis/apps/v1", "StatefulSet", "statefulsets"),
        ("/api/v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ],
)
def test_a_namespace_in_which_others_have_something_stays_with_it(api, engine, group, kind, plural):
    up(engine)
    path = f"{group}/namespaces/lab/{plural}/web"
    spec = {"replicas": 0, "template": {"metadata": {"labels": {}}}}
    theirs = api.put(path, {"kind": kind, "metadata": {"name": "web"}, "spec": spec})
    theirs["metadata"]["managedFields"] = [{"manager": "kubectl-create"}]
    told = []
    for section in reversed(desired()):
        id_ = desired()[section].id
        engine.delete(id_, "shop", ANN, lambda _id, said: told.append(said))
    assert (
        f"its namespace 'lab' stays: others have {kind} web in it;"
        " once they are gone, `kubectl delete namespace lab` removes it" in told
    )
    assert path in api.objects
    assert engine.workspaces() == ()
    labels = api.objects["/api/v1/namespaces/lab"]["metadata"]["labels"]
    assert "pulumi-inference/workspace" not in labels  # nor is it one for whoever lists all
    again: list[str] = []
    engine.delete(id_, "shop", ANN, lambda _id, said: again.append(said))
    assert f"its namespace 'lab' stays: others have {kind} web in it" in "".join(again)
    api.drop(path)
    up(engine)
    for section in reversed(desired()):
        engine.delete(desired()[section].id, "shop", ANN)
    assert "Namespace" not in kinds(api)


def test_a_pod_of_what_may_not_be_listed_keeps_a_namespace(api):
    api.put("/api/v1/namespaces/lab", _namespace({}))
    owner = {"kind": "StatefulSet", "name": "web", "apiVersion": "apps/v1", "uid": "u"}
    about = {"name": "web-0", "ownerReferences": [owner]}
    path = "/api/v1/namespaces/lab/pods/web-0"
    theirs = api.put(path, {"apiVersion": "v1", "kind": "Pod", "metadata": about})
    theirs["metadata"]["managedFields"] = [{"manager": "kube-controller-manager"}]
    said = 'statefulsets is forbidden: User "ann" cannot list resource "statefulsets"'
    refused, told = failure(403, said), []
    api.refuse = lambda one: refused if one.url.path.endswith("/statefulsets") else None
    remove_made(client_of(api), "lab", told.append)
    assert told == [
        "its namespace 'lab' stays: others have Pod web-0 in it;"
        " once they are gone, `kubectl delete namespace lab` removes it"
    ]
    api.drop(path)
    remove_made(client_of(api), "lab", told.append)
    assert "/api/v1/namespaces/lab" not in api.objects


def test_a_namespace_that_is_being_deleted_is_waited_for(api, engine, monkeypatch):
    monkeypatch.setattr(under_test, "_STOP_WAIT_S", 0.1)
    api.put("/api/v1/namespaces/lab", _namespace({"phase": "Terminating"}))
    with pytest.raises(Busy, match="its namespace 'lab' is still being deleted"):
        engine.apply(desired()[Kind.WORKSPACE], ANN)


def test_what_keeps_a_namespace_from_going_is_told(api, engine, monkeypatch):
    monkeypatch.setattr(under_test, "_STOP_WAIT_S", 0.1)
    said = "Some content in the namespace has finalizers remaining: example.org/x in 1 instances"
    condition = {"type": "NamespaceFinalizersRemaining", "status": "True", "message": said}
    api.put(
        "/api/v1/namespaces/lab", _namespace({"phase": "Terminating", "conditions": [condition]})
    )
    with pytest.raises(Busy, match=f"is still being deleted: {said}; run this again later"):
        engine.apply(desired()[Kind.WORKSPACE], ANN)


def test_a_namespace_has_one_workspace(engine):
    up(engine)
    stack = StackSpec.model_validate(
        {
            "name": "other",
            "workspaces": [
                {
                    "name": "prod",
                    "target": {"kind": "kubernetes", "namespace": "lab"},
                    "runtime_image": "router:1",
                }
            ],
        }
    )
    [other] = resolve(stack)
    told = [*engine.capabilities.workspace_faults(other.spec)]
    assert Fault("target", "namespace 'lab' has workspace 'demo'", "name another namespace") in told
    own = desired()[Kind.WORKSPACE].spec
    assert [*engine.capabilities.workspace_faults(own)] == []
    with pytest.raises(CapabilityMissing, match="namespace 'lab' has workspace 'demo'"):
        engine.apply(other, ANN)


def _uid_of(api, name: str) -> str:
    made = api.put(f"/api/v1/namespaces/{name}", _namespace({}))
    return made["metadata"]["uid"]


def test_a_cluster_is_known_by_namespaces_that_last_as_far_as_one_may_see_them(api, platform):
    cluster, own = _uid_of(api, "kube-system"), _uid_of(api, "lab")
    assert platform.home == Home({"cluster": cluster, "namespace": own}, "cluster 'lab'")

    other = KubernetesPlatform(place_from({"kind": "kubernetes", "namespace": "lab"}))
    other.__dict__["client"] = client_of(api)
    api.refuse = lambda asked: (
        failure(403, FORBIDDEN) if asked.url.path.endswith("kube-system") else None
    )
    assert other.home == Home({"namespace": own}, "cluster 'lab'")


def test_a_workspace_whose_namespace_is_being_deleted_is_not_there(api):
    platform = KubernetesPlatform("kubernetes")
    platform.__dict__["client"] = client_of(api)
    for name, phase in (("lab", "Active"), ("shop", "Terminating")):
        labels = {
            "app.kubernetes.io/managed-by": "pulumi-inference",
            "pulumi-inference/workspace": name,
        }
        about = {"name": name, "labels": labels}
        one = {"apiVersion": "v1", "kind": "Namespace", "metadata": about}
        api.put(f"/api/v1/namespaces/{name}", {**one, "status": {"phase": phase}})
    assert platform.workspaces() == ("lab",)
