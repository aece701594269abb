"""The objects of a router in a cluster: made, waited for, put right and removed."""

import threading

import httpx
import pytest
from tests.cluster_api import client_of, failure
from tests.unit.cluster_router.lab import DEPLOYMENT, PODS, SERVICE, SETTINGS, waiting

from inference_provider.errors import NotReady, TargetError
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.cluster import ClusterGateway, ClusterIngress
from inference_provider.targets.kubernetes import ingress_class
from inference_provider.targets.kubernetes import router as module
from inference_provider.targets.kubernetes.exposure import Exposure
from inference_provider.targets.kubernetes.router import KubernetesRouter
from inference_provider.targets.kubernetes.router_manifests import router_objects, settings_of
from inference_provider.workspace.statuses import RouterAddress


def test_a_router_that_is_missing_is_made_and_waited_for(lab):
    made = lab.api.answer

    def with_pods(asked):
        found = made(asked)
        if asked.method == "PATCH" and asked.url.path == DEPLOYMENT:
            lab.add("router-a")
        return found

    client = client_of(lab.api)
    client._http._transport = httpx.MockTransport(with_pods)
    KubernetesRouter(client, lab.records).ensure_up(lambda: ())
    assert lab.api.objects[DEPLOYMENT]["spec"]["replicas"] == 2
    assert SERVICE in lab.api.objects


def test_a_router_that_is_up_is_left_as_it_is(lab):
    lab.router.apply()
    lab.add("router-a")
    before = len(lab.api.requests)
    lab.router.ensure_up(lambda: ())
    assert {line.partition(" ")[0] for line in lab.api.requests[before:]} == {"GET"}


def test_what_a_person_has_changed_of_the_router_is_taken_back(lab):
    lab.router.apply()
    lab.add("router-a")
    there = lab.api.objects[DEPLOYMENT]
    fields = {"f:spec": {"f:replicas": {}}}
    by_hand = {"manager": "kubectl", "time": "2026-11-26T08:00:00Z", "fieldsV1": fields}
    there["metadata"]["managedFields"].append(by_hand)
    assert lab.router.status().fault == (
        "Deployment inference-router: spec.replicas set by kubectl at 2026-11-26T08:00:00Z"
    )
    before = len(lab.api.requests)
    lab.router.ensure_up(lambda: ())
    assert f"PATCH {DEPLOYMENT}" in lab.api.requests[before:]


def test_an_autoscaler_of_others_for_the_router_is_told_and_no_count_of_it(lab):
    lab.router.apply()
    lab.add("router-a")
    there = lab.api.objects[DEPLOYMENT]
    counted = {"manager": "kube-controller-manager", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    there["metadata"]["managedFields"].append(counted)
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "inference-router"}
    made = lab.api.put(
        "/apis/autoscaling/v2/namespaces/lab/horizontalpodautoscalers/web",
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "lab"},
            "spec": {"scaleTargetRef": scaled},
        },
    )
    made["metadata"]["managedFields"] = [{"manager": "kubectl", "time": "2026-11-26T08:00:00Z"}]
    assert lab.router.status().fault == (
        "HorizontalPodAutoscaler web, made by kubectl at 2026-11-26T08:00:00Z, scales Deployment"
        " inference-router, and `up` undoes what it does: delete it"
    )


ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/lab/httproutes"


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        pytest.param(
            404,
            "the server could not find the requested resource",
            "HTTPRoute inference-router is gone",
            id="the API was removed",
        ),
        pytest.param(
            403,
            'User "ann" cannot list resource "httproutes" in API group "gateway.networking.k8s.io"',
            "",
            id="no right, so it is unknown",
        ),
    ],
)
def test_a_kind_that_cannot_be_listed_fails_no_look_at_the_router(lab, status, said, told):
    gateway = ClusterGateway(name="public", hostnames=("s.example.org",))
    lab.router.save(SETTINGS.model_copy(update={"exposure": Exposure(gateway=gateway)}))
    lab.router.apply()
    lab.add("router-a")
    answered = lab.api.refuse
    lab.api.refuse = lambda asked: (
        failure(status, said) if asked.url.path == ROUTES else answered(asked)
    )
    assert lab.router.status().fault == told


INGRESS = "/apis/networking.k8s.io/v1/namespaces/lab/ingresses/inference-router"


def exposed(**ingress):
    asked = ClusterIngress(host="score.example.org", **ingress)
    return SETTINGS.model_copy(update={"exposure": Exposure(ingress=asked)})


def set_class(lab, manager):
    fields = {"f:spec": {"f:ingressClassName": {}}}
    by = {"manager": manager, "operation": "Apply", "fieldsV1": fields}
    about = lab.api.objects[INGRESS]["metadata"]
    about["managedFields"] = [{"manager": "pulumi-inference"}, by]


@pytest.mark.parametrize("manager", ["pulumi-inference", "kubectl-edit"])
def test_an_ingress_whose_class_is_left_out_is_made_again_for_the_default(lab, manager):
    lab.router.save(exposed(class_name="nginx"))
    lab.router.apply()
    set_class(lab, manager)
    lab.router.save(exposed())
    before, said = len(lab.api.requests), []
    lab.router.apply(said.append)
    sent = [line.split()[0] for line in lab.api.requests[before:] if line.endswith(INGRESS)]
    assert sent[sent.index("DELETE") :][:4] == ["DELETE", "GET", "GET", "PATCH"]
    assert "ingressClassName" not in lab.api.objects[INGRESS]["spec"]
    assert said == ["Ingress inference-router: made again, for the cluster's default class"]


def test_an_ingress_is_made_again_only_when_the_one_before_is_gone(lab, monkeypatch):
    monkeypatch.setattr(ingress_class, "_POLL_S", 0.01)
    lab.router.save(exposed(class_name="nginx"))
    lab.router.apply()
    set_class(lab, "pulumi-inference")
    lab.router.save(exposed())
    answered, uid = lab.api.refuse, lab.api.objects[INGRESS]["metadata"]["uid"]

    def by_a_finalizer(asked):
        if (asked.method, asked.url.path) == ("DELETE", INGRESS):
            threading.Timer(0.1, lambda: lab.api.drop(INGRESS)).start()
            return httpx.Response(200, json={"kind": "Status"})
        return answered(asked)

    lab.api.refuse = by_a_finalizer
    lab.router.apply()
    assert lab.api.objects[INGRESS]["metadata"]["uid"] != uid


def test_an_ingress_keeps_the_class_that_the_cluster_gave_it(lab):
    lab.router.save(exposed())
    lab.router.apply()
    there = lab.api.objects[INGRESS]
    there["spec"]["ingressClassName"] = "nginx"
    fields = {"f:spec": {"f:defaultBackend": {}}}
    there["metadata"]["managedFields"].append({"manager": "kubectl-edit", "fieldsV1": fields})
    there["spec"]["defaultBackend"] = {}
    answered = lab.api.refuse
    lab.api.refuse = lambda asked: (
        httpx.Response(200, json=there)
        if (asked.method, asked.url.path) == ("PATCH", INGRESS) and "force" in asked.url.params
        else answered(asked)
    )
    lab.router.apply()
    assert lab.api.objects[INGRESS]["spec"]["ingressClassName"] == "nginx"
    assert "defaultBackend" not in lab.api.objects[INGRESS]["spec"]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        pytest.param(
            waiting("ErrImagePull", "not found"),
            "1 of 1 pods not ready: pod router-a: ErrImagePull: not found",
            id="image",
        ),
        pytest.param(
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}]},
            "1 of 1 pods not ready: pod router-a: no room",
            id="node",
        ),
        pytest.param(
            {},
            "1 of 1 pods not ready: pod router-a: list secrets: forbidden",
            id="its own words",
        ),
    ],
)
def test_a_router_that_does_not_get_ready_says_why(lab, status, told):
    lab.router.apply()
    lab.add("router-a", ready=False, **status)
    lab.answers["router-a", "revision"]["fault"] = "list secrets: forbidden"
    with pytest.raises(NotReady) as caught:
        lab.router.ensure_up(lambda: ())
    assert caught.value.reason == told


def test_a_router_that_a_policy_of_others_keeps_from_the_api_names_it(lab):
    lab.router.apply()
    lab.add("router-a", ready=False)
    lab.answers["router-a", "revision"]["fault"] = (
        "list secrets: its API server https://10.0.0.1 does not answer: refused; check that this"
        " machine reaches it, and run this again"
    )
    for name, more in (("default-deny", {"policyTypes": ["Ingress", "Egress"]}), ("open", {})):
        made = lab.api.put(
            f"/apis/networking.k8s.io/v1/namespaces/lab/networkpolicies/{name}",
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": name, "namespace": "lab"},
                "spec": {"podSelector": {}, **more},
            },
        )
        made["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    with pytest.raises(NotReady) as caught:
        lab.router.ensure_up(lambda: ())
    assert caught.value.reason == (
        "1 of 1 pods not ready: pod router-a: list secrets: its API server https://10.0.0.1 does"
        " not answer: refused; NetworkPolicy default-deny limits what it reaches"
    )


def test_a_router_without_pods_says_why_kubernetes_makes_none(lab):
    lab.router.apply()
    there = lab.api.objects[DEPLOYMENT]
    said = {"type": "ReplicaFailure", "status": "True", "message": "pods is forbidden: quota"}
    there["status"] = {"conditions": [said]}
    with pytest.raises(NotReady) as caught:
        lab.router.ensure_up(lambda: ())
    assert caught.value.reason == "pods is forbidden: quota"


def test_a_workspace_that_is_not_there_has_no_router(lab):
    lab.records.drop("address", "router")
    for ask in (lab.router.address, lambda: lab.router.ensure_up(lambda: ())):
        with pytest.raises(TargetError, match="use workspace 'demo': it is not there"):
            ask()


def test_settings_that_cannot_be_read_are_not_quoted(lab):
    lab.records.put("address", "router", '{"image": 5}')
    with pytest.raises(TargetError, match="file is corrupt"):
        lab.router.address()


def test_a_stopped_router_keeps_its_address_and_a_removed_one_nothing(lab):
    lab.router.apply()
    lab.router.stop()
    assert DEPLOYMENT not in lab.api.objects
    assert SERVICE in lab.api.objects
    lab.router.remove()
    assert [path for path in lab.api.objects if "inference-router" in path] == []


def test_a_router_is_stopped_when_kubernetes_has_ended_its_pods(lab, monkeypatch):
    monkeypatch.setattr(module, "_POLL_S", 0.01)
    lab.router.apply()
    lab.add("inference-router-1")
    ending = threading.Timer(0.2, lambda: lab.api.drop(f"{PODS}/inference-router-1"))
    ending.start()
    lab.router.stop()
    assert not lab.router.runs()
    ending.join()


def test_inside_the_cluster_a_router_is_reached_by_its_name(lab):
    assert lab.router.address() == RouterAddress(
        url="http://inference-router.lab.svc:8080",
        metrics_url="http://inference-router-metrics.lab.svc:9090",
    )


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ([], "http://inference-router.lab.svc:80"),
        ([{"ip": "203.0.113.9"}], "http://203.0.113.9:80"),
        ([{"ip": "2001:db8::9"}], "http://[2001:db8::9]:80"),
        ([{"hostname": "lb.example.org"}], "http://lb.example.org:80"),
    ],
)
def test_behind_a_load_balancer_a_router_is_reached_by_that_once_it_is_there(lab, given, url):
    lab.router.save(SETTINGS.model_copy(update={"service": "LoadBalancer", "port": 80}))
    lab.router.apply()
    lab.api.objects[SERVICE]["status"] = {"loadBalancer": {"ingress": given}}
    assert lab.router.address().url == url


def test_a_service_shows_who_calls_from_outside_and_a_balancer_lets_in_the_ranges_alone():
    def service(kind: str, *ranges: str, **behind: object) -> dict:
        router = {"service": kind}
        spec = WorkspaceSpec(cluster={"router": router}, allowed_source_ranges=ranges, **behind)
        objects = router_objects("demo", "lab", settings_of(spec))
        [found] = [o["spec"] for o in objects if o["metadata"]["name"] == "inference-router"
                   and o["kind"] == "Service"]  # fmt: skip
        return {name: found[name] for name in found if name not in ("selector", "ports")}

    assert service("ClusterIP", "10.0.0.0/8") == {"type": "ClusterIP"}
    assert service("NodePort") == {"type": "NodePort"}
    assert service("NodePort", "10.0.0.0/8") == {
        "type": "NodePort",
        "externalTrafficPolicy": "Local",
    }
    assert service("LoadBalancer") == {"type": "LoadBalancer"}
    assert service("LoadBalancer", "10.0.0.7", "2001:db8::/32") == {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "loadBalancerSourceRanges": ["10.0.0.7/32", "2001:db8::/32"],
    }
    proxies = {"trusted_hops": 1, "trusted_proxies": ("192.0.2.0/28",)}
    assert service("LoadBalancer", "10.0.0.7", **proxies) == {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "loadBalancerSourceRanges": ["192.0.2.0/28"],
    }


ACCOUNT = "/api/v1/namespaces/lab/serviceaccounts/inference-router"


def accounts_noted(lab) -> dict:
    return lab.api.objects[DEPLOYMENT]["spec"]["template"]["metadata"].get("annotations", {})


def test_pods_are_replaced_when_their_account_was_made_again_whose_tokens_are_of_no_use(lab):
    lab.router.apply()
    for path in (ACCOUNT, DEPLOYMENT):
        lab.api.objects[path]["metadata"]["creationTimestamp"] = "2026-11-27T11:00:00Z"
    lab.router.apply()
    assert accounts_noted(lab) == {}
    lab.api.drop(ACCOUNT)
    lab.router.apply()
    lab.api.objects[ACCOUNT]["metadata"]["creationTimestamp"] = "2026-11-27T11:30:00Z"
    lab.router.apply()
    uid = lab.api.objects[ACCOUNT]["metadata"]["uid"]
    assert accounts_noted(lab) == {"pulumi-inference/account": uid}
    lab.router.apply()
    assert accounts_noted(lab) == {"pulumi-inference/account": uid}
