"""A cluster's wiring, from the first up to the last down, over an API server in memory."""

import base64
import json
from dataclasses import replace

import httpx
import pytest
from tests.cluster_api import ClusterApi, client_of, failure
from tests.cluster_controllers import Controllers

from inference_provider.capabilities import refusals
from inference_provider.desired import DesiredResource, resolve
from inference_provider.errors import Busy, NotReady, OwnedByAnother, TargetError
from inference_provider.gpu_wishes import gpu_refusals
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.spec import StackSpec, WorkspaceSpec
from inference_provider.spec.target import Home, place_from
from inference_provider.targets.kubernetes import beside, compute, locks, pod_wait, role_pods
from inference_provider.targets.kubernetes import router as router_module
from inference_provider.targets.kubernetes import target as under_test
from inference_provider.targets.kubernetes.capabilities import kubernetes_capabilities
from inference_provider.targets.kubernetes.locks import LeaseLocks
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.releases import HEADER, this_release
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.statuses import RouterStatus

ANN, BOB = Actor(user="ann", command="pytest"), Actor(user="bob", command="pytest")
ROUTE = {"path": "/", "port": 8080}
FORBIDDEN = 'namespaces "kube-system" is forbidden: User "ann" cannot get resource "namespaces"'
UNNAMED = (
    "target: no context is named, and workspace 'other' is not where the current one leads, which"
    " any command may change; name it, {kind: kubernetes, context: …}; the kubeconfig has lab, prod"
)


class Pods:
    """Answers what clients ask pods through the API server: all is in force, and nothing kept."""

    def __init__(self) -> None:
        self.published: list[int] = []
        self.answers = {
            "is_connected": False,
            "is_drained": True,
            "wait_healthy": None,
            "status": RouterStatus(weights={}, mirrors={}, healthy={}).model_dump(mode="json"),
        }

    def __call__(self, asked: httpx.Request) -> httpx.Response | None:
        path = asked.url.path
        if path.endswith("/proxy/revision"):
            self.published.append(int(asked.url.params["wait"]))
            found = {"revision": self.published[-1], "error": None, "fault": ""}
            return said(found)
        if path.endswith("/proxy/live"):
            return said({})
        if path.endswith("/proxy/ask"):
            return said({"answer": self.answers[json.loads(asked.content)["ask"]]})
        if "/proxy/assets" in path:
            return httpx.Response(200, json={"assets": {}, "environments": {}})
        return None


def said(found: dict) -> httpx.Response:
    return httpx.Response(200, json=found, headers={HEADER: this_release()})


@pytest.fixture
def api():
    made = ClusterApi()
    made.refuse = Pods()
    return made


@pytest.fixture
def controllers(api):
    with Controllers(api) as made:
        yield made


@pytest.fixture
def platform(api, controllers, monkeypatch):
    for module, name in (
        (compute, "_POLL_S"),
        (pod_wait, "POLL_S"),
        (role_pods, "POLL_S"),
        (router_module, "_POLL_S"),
    ):
        monkeypatch.setattr(module, name, 0.01)
    made = KubernetesPlatform(place_from({"kind": "kubernetes", "namespace": "lab"}))
    made.__dict__["client"] = client_of(api)
    yield made


@pytest.fixture
def engine(platform):
    return Engine(platform)


def desired(**workspace) -> dict[Kind, DesiredResource]:
    stack = StackSpec.model_validate(
        {
            "name": "shop",
            "workspaces": [
                {
                    "name": "demo",
                    "target": {"kind": "kubernetes", "namespace": "lab"},
                    "runtime_image": "router:1",
                    **workspace,
                }
            ],
            "environments": [
                {
                    "workspace": "demo",
                    "name": "own",
                    "image": "server:1",
                    "inference_config": {
                        f"{name}_route": ROUTE for name in ("liveness", "readiness", "scoring")
                    },
                }
            ],
            "endpoints": [{"workspace": "demo", "name": "iris"}],
            "deployments": [
                {"workspace": "demo", "endpoint": "iris", "name": "blue", "environment": "own:1"}
            ],
            "traffic": [{"workspace": "demo", "endpoint": "iris", "traffic": {"blue": 100}}],
        }
    )
    return {one.id.kind: one for one in resolve(stack)}


def up(engine, **workspace) -> None:
    for one in desired(**workspace).values():
        engine.apply(one, ANN)


def kinds(api) -> set[str]:
    return {one["kind"] for one in api.objects.values()}


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


NO_IMAGE = {
    "phase": "Pending",
    "containerStatuses": [
        {
            "name": "main",
            "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull", "message": "router:2: not found"}},
        }
    ],
}
ROUTER = "/apis/apps/v1/namespaces/lab/deployments/inference-router"
CONTENT = "/apis/apps/v1/namespaces/lab/deployments/inference-content"


def images(api, name: str) -> set[str]:
    """Return what the pods of a Deployment run."""
    found = [one for path, one in api.objects.items() if f"/pods/{name}-" in path]
    return {one["spec"]["containers"][0]["image"] for one in found}


def image_of(api, path: str) -> str:
    return api.objects[path]["spec"]["template"]["spec"]["containers"][0]["image"]


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
        NotReady, match=r"pods not ready: pod .*: ErrImagePull: router:2: not found"
    ):
        engine.apply(desired(runtime_image="router:2")[Kind.WORKSPACE], ANN)
    assert {image_of(api, path) for path in (ROUTER, CONTENT)} == {"router:1"}
    observed = engine.observe(["demo"]).resources
    workspace = next(one for one in observed.values() if one.id.kind == Kind.WORKSPACE)
    assert workspace.properties["runtime_image"] == "router:1"
    ready = [o for path, o in api.objects.items() if "/pods/inference-router-" in path]
    assert sum(one["status"]["phase"] == "Running" for one in ready) >= 2
    assert router_settings(api)["image"] == "router:1"


def router_settings(api) -> dict:
    """Return what is recorded of the router."""
    [secret] = [o for path, o in api.objects.items() if "/secrets/inference.address.router" in path]
    return json.loads(base64.b64decode(secret["data"]["document"]))


def test_a_pod_for_content_that_does_not_start_ends_the_first_up_with_its_reason(
    engine, controllers, monkeypatch
):
    monkeypatch.setattr(role_pods, "START_S", 0.3)
    unbound = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    waits = {"type": "PodScheduled", "status": "False", "message": unbound}
    controllers.status_of = lambda pod: (
        {"phase": "Pending", "conditions": [waits]}
        if pod["metadata"]["name"].startswith("inference-content")
        else None
    )
    with pytest.raises(NotReady) as caught:
        engine.apply(desired()[Kind.WORKSPACE], ANN)
    assert str(caught.value) == (
        "start what keeps content: 1 of 1 pods not ready: pod inference-content-0: 0/1 nodes are"
        " available: pod has unbound immediate PersistentVolumeClaims.; look at `kubectl -n lab"
        " describe pods -l pulumi-inference/role=content`"
    )


CLAIM = "/api/v1/namespaces/lab/persistentvolumeclaims/inference-content"


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


def test_a_namespace_that_was_made_for_a_workspace_goes_with_it(api, engine):
    up(engine)
    assert "Namespace" in kinds(api)
    for kind in reversed(desired()):
        engine.delete(desired()[kind].id, "shop", ANN)
    assert "Namespace" not in kinds(api)


def test_a_first_up_that_fails_leaves_no_namespace(api, engine, monkeypatch):
    monkeypatch.setattr(role_pods, "START_S", 0.1)
    api.refuse = lambda asked: (
        failure(422, "refused") if asked.url.path.endswith("/inference-router") else None
    )
    with pytest.raises(TargetError, match="refused"):
        engine.apply(desired()[Kind.WORKSPACE], ANN)
    api.refuse = Pods()
    assert kinds(api) <= {"Pod"}


def test_a_namespace_in_which_somebody_else_makes_a_workspace_is_left(api, engine, monkeypatch):
    other = LeaseLocks(client_of(api), "lab", "demo")
    monkeypatch.setattr(locks, "WAIT_S", 0.05)
    with other.lock("first"), pytest.raises(Busy, match="has held 'first'"):
        engine.apply(desired()[Kind.WORKSPACE], ANN)
    assert "Namespace" in kinds(api)


def test_a_router_without_a_ready_pod_ends_the_first_up_with_its_reason(api, engine, monkeypatch):
    monkeypatch.setattr(role_pods, "START_S", 0.2)
    monkeypatch.setattr(Controllers, "_follow", lambda *_given: None)
    with pytest.raises(NotReady, match="Kubernetes has made no pod for it"):
        engine.apply(desired()[Kind.WORKSPACE], ANN)


def test_a_first_up_keeps_others_out_once_its_namespace_is_there(api, engine):
    seen: list[str] = []

    def other(asked: httpx.Request):
        if asked.method == "POST" and "/api/v1/namespaces/lab" not in api.objects:
            inside = "/namespaces/lab/" in asked.url.path
            return failure(404, 'namespaces "lab" not found') if inside else None
        if asked.method == "PATCH" and asked.url.path == ROUTER and not seen:
            seen.append("")
            try:
                with ClusterRecords(client_of(api), "lab", "demo").hold(BOB):
                    seen.append("held")
            except Busy as busy:
                seen.append(busy.reason)
        return pods(asked)

    pods, api.refuse = api.refuse, other
    with engine.hold(["demo"], ANN):
        engine.apply(desired()[Kind.WORKSPACE], ANN)
    assert "ann (pytest) has been changing it since" in seen[1]
    with engine.hold(["demo"], BOB):
        pass
    assert "Lease" not in kinds(api)


def test_who_makes_a_workspace_keeps_others_out_while_it_clears_away_what_was_left(api, platform):
    lease = "/apis/coordination.k8s.io/v1/namespaces/lab/leases/inference.first"
    with platform.making("demo"):
        platform.clear_away("demo")
        assert lease in api.objects
    assert lease not in api.objects


def test_a_claim_of_somebody_else_that_goes_takes_no_deployment_along(monkeypatch):
    monkeypatch.setattr(beside, "_CLAIM_S", 0.2)
    api = ClusterApi()  # nothing else is at work in it
    goes = {"name": "inference-content", "deletionTimestamp": "2026-11-26T08:00:00Z"}
    api.put(CLAIM, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": goes})
    api.objects[CLAIM]["metadata"]["managedFields"] = [{"manager": "helm"}]
    client = client_of(api)
    beside.Beside(client, ClusterRecords(client, "lab", "demo"))._let_claim_go()
    assert not [asked for asked in api.requests if asked.startswith("DELETE")]


def test_a_namespace_that_is_being_deleted_is_waited_for(api, engine, monkeypatch):
    monkeypatch.setattr(under_test, "_STOP_WAIT_S", 0.1)
    api.put("/api/v1/namespaces/lab", _namespace({"phase": "Terminating"}))
    with pytest.raises(Busy, match="its namespace 'lab' is still being deleted"):
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
    with pytest.raises(OwnedByAnother, match="it has workspace 'demo'"):
        engine.apply(other, ANN)


def _namespace(status: dict) -> dict:
    about = {"name": "lab", "labels": {}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": about, "status": status}


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


def test_a_workspace_is_not_made_wherever_the_current_context_leads(api, platform, engine):
    up(engine)
    client = client_of(api)
    known = replace(client.access, contexts=("lab", "prod"))
    for place, workspace, told in (
        ({"namespace": "lab"}, "demo", []),  # it is there
        ({"namespace": "lab", "context": "lab"}, "other", []),
        ({"namespace": "else"}, "other", [UNNAMED]),
    ):
        again = KubernetesPlatform(place_from({"kind": "kubernetes", **place}))
        client = again.__dict__["client"] = client_of(api)
        client.access = known
        spec = WorkspaceSpec(name=workspace, target="kubernetes", runtime_image="router:1")
        assert [str(one) for one in again.capabilities.workspace_faults(spec)] == told
        again.close()


def test_what_a_cluster_cannot_do_is_refused_in_its_own_words():
    faults = desired(runtime_image=None, registry="r.example.org/team", bind_address="0.0.0.0")
    can = kubernetes_capabilities(lambda: None, lambda: None)
    said = [str(one.fault) for one in refusals(faults.values(), can)]
    assert said == [
        "runtime_image: a cluster needs the image of the router's pods; make and push it with"
        " `inferctl image build --push registry.example.org/team/router:1`, from a stack on target"
        " docker, and write what that prints; or load it: `kind load docker-image`",
        "registry: has no meaning on a cluster: it builds no images; leave it out",
        "bind_address: has no meaning on a cluster: the router is a Service there; leave it out",
    ]


def test_who_may_not_see_nodes_is_refused_no_gpus():
    blue = desired()[Kind.DEPLOYMENT]
    asks = blue.spec.model_copy(
        update={"resources": blue.spec.resources.model_validate({"limits": {"gpu": 2}})}
    )
    wanted = [blue.model_copy(update={"spec": asks})]
    assert gpu_refusals(wanted, kubernetes_capabilities(lambda: None, lambda: None)) == ()
    [refused] = gpu_refusals(wanted, kubernetes_capabilities(list, list))
    assert str(refused) == (
        "Deployment 'demo/iris/blue' on target 'kubernetes': resources.limits.gpu: an instance asks"
        " for 2 nvidia.com/gpu, and no node has any (the cluster has no GPU); ask for what there"
        " is, or add a node"
    )


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
