"""The router of a cluster as its clients see it: its objects, and questions to its pods."""

import json
import threading
from datetime import UTC, datetime

import httpx
import pytest
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.errors import NotReady, RouterRejected, TargetError, TargetUnreachable
from inference_provider.router.table import Backend
from inference_provider.spec.cluster import ClusterGateway, ClusterIngress
from inference_provider.targets.envoy.agent_errors import written
from inference_provider.targets.kubernetes import ingress_class, releases, role_pods
from inference_provider.targets.kubernetes import router as module
from inference_provider.targets.kubernetes.exposure import Exposure
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.router import KubernetesRouter
from inference_provider.targets.kubernetes.router_manifests import RouterSettings
from inference_provider.targets.kubernetes.router_questions import OtherRelease
from inference_provider.workspace.endings import Endings
from inference_provider.workspace.statuses import RouterAddress, RouterStatus

PODS = "/api/v1/namespaces/lab/pods"
DEPLOYMENT = "/apis/apps/v1/namespaces/lab/deployments/inference-router"
SERVICE = "/api/v1/namespaces/lab/services/inference-router"
SETTINGS = RouterSettings(image="registry.example.org/router:1")
SERVES = RouterStatus(
    weights={"iris": {"blue": 100}}, mirrors={}, healthy={"iris/blue": 2}
).model_dump(mode="json")


def pod(name, *, ready=True, **status):
    labels = {"pulumi-inference/workspace": "demo", "pulumi-inference/role": "router"}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "lab", "labels": labels},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def waiting(reason, message):
    return {
        "containerStatuses": [
            {"name": "router", "restartCount": 0, "state": {
                "waiting": {"reason": reason, "message": message}}}
        ]
    }  # fmt: skip


class Lab:
    """A router whose pods answer what a test says."""

    def __init__(self):
        self.api = ClusterApi()
        self.api.refuse = self.answered
        self.answers = {}
        """By pod and path: JSON, a response, or what returns one of both."""
        self.asked = []
        self.release = releases.this_release()
        client = client_of(self.api)
        self.records = ClusterRecords(client, "lab", "demo")
        self.router = KubernetesRouter(client, self.records)
        self.records.make()
        self.router.save(SETTINGS)

    def answered(self, asked: httpx.Request) -> httpx.Response | None:
        if "/proxy/" not in asked.url.path:
            return None
        place, _, path = asked.url.path.partition(":8081/proxy/")
        name = place.rpartition("/")[2]
        if path == "live":
            return httpx.Response(200, json={}, headers={releases.HEADER: self.release})
        self.asked.append((name, path, dict(asked.url.params), asked.content))
        found = self.answers.get((name, path))
        found = found() if callable(found) else found
        if found is None:
            return failure(503, "error trying to reach service: connection refused")
        if isinstance(found, httpx.Response):
            return found
        return httpx.Response(200, json=found, headers={releases.HEADER: self.release})

    def add(self, name, *, revision=10**6, error=None, **given):
        self.api.put(f"{PODS}/{name}", pod(name, **given))
        self.answers[name, "revision"] = {"revision": revision, "error": error, "fault": ""}
        self.answers[name, "ask"] = {"answer": SERVES}

    def questions(self):
        return [(name, json.loads(text)["ask"]) for name, path, _, text in self.asked if text]


@pytest.fixture
def lab(monkeypatch):
    for name in ("START_S", "STUCK_S"):
        monkeypatch.setattr(role_pods, name, 0.3)
    monkeypatch.setattr(role_pods, "POLL_S", 0.01)
    monkeypatch.setattr(module, "_POLL_S", 0.01)
    return Lab()


# -- publish ---------------------------------------------------------------------------------------


def test_a_publication_commits_the_edit_and_asks_every_ready_pod_for_its_revision(lab):
    for name in ("router-a", "router-b"):
        lab.add(name)
    lab.add("router-c", ready=False)
    with lab.records.edit():
        lab.records.put("keys", "iris", "{}")
        lab.router.publish(())
        other = ClusterRecords(client_of(lab.api), "lab", "demo")
        assert other.read("keys", "iris") == b"{}"
    asked = {(name, path, given["wait"]) for name, path, given, _ in lab.asked}
    assert asked == {("router-a", "revision", "2"), ("router-b", "revision", "2")}


def test_what_a_pod_refuses_is_its_own_error(lab):
    lab.add("router-a")
    lab.add("router-b", error=written(RouterRejected("bad timeout")))
    with pytest.raises(RouterRejected, match="bad timeout"):
        lab.router.publish(())


def test_a_pod_that_is_gone_meanwhile_is_not_waited_for(lab):
    lab.add("router-a")
    lab.add("router-b")

    def gone():
        lab.api.drop(f"{PODS}/router-b")

    lab.answers["router-b", "revision"] = gone
    lab.router.publish(())


def test_a_pod_that_comes_meanwhile_is_asked_too(lab):
    lab.add("router-a")

    def replaced():
        lab.api.drop(f"{PODS}/router-a")
        lab.add("router-b")

    lab.answers["router-a", "revision"] = replaced
    lab.router.publish(())
    assert [name for name, *_ in lab.asked] == ["router-a", "router-b"]


def test_pods_are_asked_side_by_side(lab):
    both = threading.Barrier(2, timeout=5)
    for name in ("router-a", "router-b"):
        lab.add(name)

        def answer():
            both.wait()
            return {"revision": 9, "error": None}

        lab.answers[name, "revision"] = answer
    lab.router.publish(())


def test_without_a_ready_pod_a_publication_says_why(lab):
    lab.add("router-a", ready=False, **waiting("ImagePullBackOff", "no such host"))
    with pytest.raises(TargetUnreachable) as caught:
        lab.router.publish(())
    assert str(caught.value) == (
        "publish the router: 1 of 1 pods not ready: pod router-a: ImagePullBackOff: no such host;"
        " look at `kubectl -n lab describe pods -l pulumi-inference/role=router`"
    )


def test_a_pod_that_does_not_follow_says_why(lab, monkeypatch):
    monkeypatch.setattr(module, "PUBLISH_S", 0.3)
    lab.add("router-a", revision=0)
    lab.answers["router-a", "revision"]["fault"] = "list secrets: forbidden"
    with pytest.raises(TargetUnreachable) as caught:
        lab.router.publish(())
    assert "publish router pod router-a: does not serve revision 1 of the records" in str(
        caught.value
    )
    assert "after 20 s: list secrets: forbidden" in str(caught.value)


def test_who_may_not_ask_pods_is_told(lab):
    lab.add("router-a")
    said = 'User "ann" cannot get resource "pods/proxy" in API group "" in the namespace "lab"'
    lab.answers["router-a", "revision"] = failure(403, said)
    with pytest.raises(Forbidden, match="'ann' may not get pods/proxy; ask for a Role"):
        lab.router.publish(())


# -- its objects -----------------------------------------------------------------------------------


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
    assert sent[sent.index("DELETE") :][:3] == ["DELETE", "GET", "PATCH"]
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


# -- where it is -----------------------------------------------------------------------------------


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


# -- questions -------------------------------------------------------------------------------------


def test_a_deployment_is_drained_once_it_is_on_every_pod(lab):
    lab.add("router-a")
    lab.add("router-b")
    answers = {"router-a": True, "router-b": False}
    for name, answer in answers.items():
        lab.answers[name, "ask"] = {"answer": answer}
    assert lab.router.is_drained("iris/blue") is False
    assert lab.router.is_connected([Backend(host="10.0.0.1", port=1)]) is True
    lab.answers["router-b", "ask"] = {"answer": True}
    assert lab.router.is_drained("iris/blue") is True
    assert lab.questions()[0] == ("router-a", "is_drained")


def test_a_pod_that_ends_is_asked_whether_it_still_has_a_connection(lab):
    lab.add("router-a")
    lab.answers["router-a", "ask"] = {"answer": False}
    lab.add("router-b", ready=False)
    lab.answers["router-b", "ask"] = {"answer": True}
    assert lab.router.is_connected([]) is True
    del lab.answers["router-b", "ask"]  # it has ended since
    assert lab.router.is_connected([]) is False


def test_a_ready_pod_that_does_not_say_so_counts_neither_way(lab):
    lab.add("router-a")
    del lab.answers["router-a", "ask"]
    with pytest.raises(TargetUnreachable):
        lab.router.is_drained("iris/blue")


def test_health_is_waited_for_on_every_ready_pod(lab):
    lab.add("router-a")
    lab.add("router-b")
    fault = written(NotReady("publish", "the router", "not healthy"))
    lab.answers["router-b", "ask"] = {"error": fault}
    with pytest.raises(NotReady, match="not healthy"):
        lab.router.wait_healthy("iris/blue", 2)
    del lab.answers["router-b", "ask"]
    lab.router.wait_healthy("iris/blue", 2)
    del lab.answers["router-a", "ask"]
    with pytest.raises(TargetUnreachable):
        lab.router.wait_healthy("iris/blue", 2)


def test_a_router_runs_while_any_pod_takes_requests(lab):
    assert lab.router.runs() is False
    lab.add("router-a", ready=False)
    assert lab.router.runs() is False
    lab.add("router-b")
    assert lab.router.runs() is True


# -- status ----------------------------------------------------------------------------------------


def test_the_status_is_what_all_pods_agree_on(lab):
    lab.router.apply()
    lab.add("router-a")
    lab.add("router-b")
    fewer = RouterStatus.model_validate({**SERVES, "healthy": {"iris/blue": 1}})
    lab.answers["router-b", "ask"] = {"answer": fewer.model_dump(mode="json")}
    found = lab.router.status()
    assert (found.fault, found.runs) == ("", True)
    assert found.weights == {"iris": {"blue": 100}}
    assert found.healthy == {"iris/blue": 1}


def test_weights_on_which_pods_differ_are_not_known(lab):
    lab.router.apply()
    lab.add("router-a")
    lab.add("router-b")
    other = RouterStatus.model_validate({**SERVES, "weights": {"iris": {"blue": 50, "green": 50}}})
    lab.answers["router-b", "ask"] = {"answer": other.model_dump(mode="json")}
    found = lab.router.status()
    assert found.fault == "its pods serve different weights of iris"
    assert found.weights is None


def test_a_pod_that_is_not_ready_or_does_not_answer_is_a_fault(lab):
    lab.router.apply()
    lab.add("router-a")
    lab.add("router-b")
    del lab.answers["router-b", "ask"]
    lab.add("router-c", ready=False, **waiting("ImagePullBackOff", "no such host"))
    assert lab.router.status().fault == (
        "router pod router-b does not answer; "
        "router pod router-c is not ready: ImagePullBackOff: no such host"
    )


def test_a_router_that_is_gone_does_not_run(lab):
    found = lab.router.status()
    assert (found.runs, found.fault, found.weights) == (False, "the router does not run", None)


def test_a_stopped_router_is_no_object_that_somebody_has_deleted(lab):
    lab.router.apply()
    lab.router.stop()
    assert lab.router.status().fault == "the router does not run"


def test_ends_of_all_pods_are_counted(lab):
    lab.router.apply()
    for name, count in (("router-a", 1), ("router-b", 2)):
        ended = {"terminated": {"finishedAt": "2026-11-26T08:00:00Z", "exitCode": 1}}
        state = {"name": "router", "restartCount": count, "state": {}, "lastState": ended}
        lab.add(name, containerStatuses=[state])
    minute = int(datetime(2026, 11, 26, 8, tzinfo=UTC).timestamp() // 60)
    assert lab.router.status().endings == Endings(total=3, minutes={minute: 3})


# -- releases --------------------------------------------------------------------------------------


OTHER = (
    "its image is of release 9.1.0, this client of 0.1.0: they do not fit together; set"
    " `runtime_image` to one that this release has made (`inferctl image build --push`), or use"
    " the release that has made theirs"
)


def test_pods_of_another_release_get_no_records_of_this_one(lab):
    lab.add("router-a")
    lab.release = "9 9.1.0"
    revision = dict(lab.api.objects)
    with pytest.raises(OtherRelease) as refused, lab.records.edit():
        lab.records.put("keys", "iris", "{}")
        lab.router.publish(())
    assert str(refused.value) == f"ask router pod router-a: {OTHER}"
    assert {p: o for p, o in lab.api.objects.items() if "/secrets/" in p} == {
        p: o for p, o in revision.items() if "/secrets/" in p
    }


def test_a_pod_of_a_release_that_says_nothing_of_itself_is_an_older_one(lab):
    lab.add("router-a")
    lab.release = ""
    with pytest.raises(OtherRelease, match="its image is of an older release, this client of"):
        lab.router.wait_healthy("iris/blue", 1)


def test_a_pod_of_another_release_with_the_same_format_is_understood(lab):
    lab.add("router-a")
    lab.release = "1 0.0.9"
    lab.router.publish(())


def test_a_pod_that_changed_its_release_after_an_answer_gets_no_records(lab):
    lab.router.apply()
    lab.add("router-a")
    assert lab.router.status().fault == ""
    lab.release = "9 9.1.0"
    before = {p for p in lab.api.objects if "/secrets/" in p}
    with pytest.raises(OtherRelease), lab.records.edit():
        lab.records.put("keys", "iris", "{}")
        lab.router.publish(())
    assert {p for p in lab.api.objects if "/secrets/" in p} == before


@pytest.mark.parametrize("status", [404, 429, 503])
def test_what_the_api_server_answers_itself_is_no_pod_of_another_release(lab, status):
    lab.add("router-a")
    lab.release = ""
    lab.answers["router-a", "ask"] = failure(status, "too many requests")
    with pytest.raises(TargetUnreachable):
        lab.router.wait_healthy("iris/blue", 1)


def test_the_status_says_that_a_pod_is_of_another_release(lab):
    lab.router.apply()
    lab.add("router-a")
    lab.release = "9 9.1.0"
    assert lab.router.status().fault == f"router pod router-a: {OTHER}"


def test_a_pod_of_another_release_that_ends_counts_as_gone(lab):
    lab.add("router-b", ready=False)
    lab.release = "9 9.1.0"
    assert lab.router.is_connected([]) is False
