"""Instances as pods: what is applied, what is waited for, and what is left when that fails."""

import threading
import time

import pytest
from tests.cluster_api import failure
from tests.cluster_controllers import DEPLOYMENTS, NAMESPACE
from tests.unit.cluster_compute.units import of_kind, unit

from inference_provider.errors import NotReady, OutOfCapacity
from inference_provider.targets.kubernetes import pod_wait


def test_a_generation_is_a_deployment_with_objects_of_its_name(api, compute):
    assert compute.ensure(unit(), 2) is None
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "Secret"):
        assert of_kind(api, kind) == ["iris-blue-5efdeb203621"]
    assert of_kind(api, "Pod") == ["iris-blue-5efdeb203621-0", "iris-blue-5efdeb203621-1"]


CLAIMS: dict = {"resources": {"limits": {"gpu": 1}, "device_class": "gpu.nvidia.com"}}
TEMPLATES = "/apis/resource.k8s.io/v1/namespaces/lab/resourceclaimtemplates"


def test_claims_of_devices_are_looked_for_only_where_pods_have_some(api, compute):
    compute.ensure(unit(), 1)
    assert compute.status().altered == {}
    assert f"GET {TEMPLATES}" not in api.requests
    compute.ensure(unit("0123456789ab", **CLAIMS), 1)
    assert compute.status().altered == {}
    assert api.requests.count(f"GET {TEMPLATES}") == 1
    api.drop(f"{TEMPLATES}/iris-blue-0123456789ab")
    told = ("ResourceClaimTemplate iris-blue-0123456789ab is gone",)
    assert compute.status().altered == {"iris/blue": told}
    compute.retire("iris/blue", ["iris-blue-0123456789ab"], 0)
    assert of_kind(api, "ResourceClaimTemplate") == []


def unclaimed(controllers, compute, monkeypatch):
    """Start an instance for which Kubernetes makes no claim; return why that failed."""
    monkeypatch.setattr(pod_wait, "REFUSED_S", 0.1)
    controllers.status = {"phase": "Pending"}
    with pytest.raises(NotReady) as failed:
        compute.ensure(unit(**CLAIMS), 1)
    return failed.value.reason


def test_a_pod_whose_claim_is_not_made_says_why(api, controllers, compute, monkeypatch):
    said = (
        "(combined from similar events): PodResourceClaim gpus: create ResourceClaim :"
        ' resourceclaims.resource.k8s.io "x" is forbidden: exceeded quota: devices'
    )
    for pod, told in (("iris-blue-5efdeb203621-0", said), ("other", "nothing")):
        about = {
            "kind": "Event",
            "metadata": {"name": pod},
            "reason": "FailedResourceClaimCreation",
        }
        event = {**about, "involvedObject": {"name": pod}, "message": told}
        api.put(f"/api/v1/namespaces/lab/events/{pod}", event)
    assert unclaimed(controllers, compute, monkeypatch) == (
        "pod iris-blue-5efdeb203621-0: PodUnschedulable: no ResourceClaim is made for it: exceeded"
        " quota: devices"
    )


def test_who_may_not_list_events_is_told_where_they_are(api, controllers, compute, monkeypatch):
    api.refuse = lambda one: failure(403, "no") if "/events" in one.url.path else None
    assert unclaimed(controllers, compute, monkeypatch) == (
        "pod iris-blue-5efdeb203621-0: PodUnschedulable: no ResourceClaim is made for it;"
        " `kubectl -n lab describe pod iris-blue-5efdeb203621-0` says why"
    )


def test_who_has_no_right_to_claims_of_devices_ends_instances_without_any(api, compute):
    compute.ensure(unit(), 1)
    may_not = 'User "ann" cannot get resource "resourceclaimtemplates" in API group "x"'
    api.refuse = lambda one: failure(403, may_not) if TEMPLATES in one.url.path else None
    compute.retire("iris/blue", ["iris-blue-5efdeb203621"], 0)
    assert of_kind(api, "Deployment") == of_kind(api, "Service") == []


def test_all_pods_of_a_generation_are_one_instance(compute):
    compute.ensure(unit(), 2)
    [instance] = compute.instances()["iris/blue"]
    assert (instance.name, instance.generation) == ("iris-blue-5efdeb203621", "5efdeb203621")
    assert [(one.host, one.port) for one in instance.backends] == [("10.0.0.7", 5001)] * 2
    names = [one.name for one in compute.status().instances["iris/blue"]]
    assert names == ["iris-blue-5efdeb203621-0", "iris-blue-5efdeb203621-1"]


def test_another_count_changes_the_same_deployment(api, compute):
    compute.ensure(unit(), 1)
    compute.ensure(unit(), 3)
    assert of_kind(api, "Deployment") == ["iris-blue-5efdeb203621"]
    assert len(of_kind(api, "Pod")) == 3


def test_what_is_too_many_stays_until_it_is_told_to_go(api, compute):
    compute.ensure(unit(), 3)
    compute.ensure(unit(), 1)
    assert len(of_kind(api, "Pod")) == 3
    assert compute.scale_in(unit(), 1, 5) == 2
    assert of_kind(api, "Pod") == ["iris-blue-5efdeb203621-0"]
    assert compute.scale_in(unit(), 1, 5) == 0
    assert compute.scale_in(unit("0123456789ab"), 1, 5) == 0


def test_fewer_are_there_when_the_last_request_of_those_that_end_is_over(api, compute):
    compute.ensure(unit(), 2)
    ending = f"{NAMESPACE}/pods/iris-blue-5efdeb203621-7"
    about = {"name": "iris-blue-5efdeb203621-7", "namespace": "lab", "labels": {
        "pulumi-inference/object": "iris-blue-5efdeb203621"}}  # fmt: skip
    about["deletionTimestamp"] = "2026-11-26T11:00:00Z"
    api.put(ending, {"kind": "Pod", "metadata": about, "spec": {}, "status": {}})
    ended = threading.Timer(0.3, lambda: api.drop(ending))
    ended.start()
    assert compute.scale_in(unit(), 0, 10) == 2
    assert of_kind(api, "Pod") == []
    ended.join()


def test_what_is_too_many_is_waited_for_no_longer_than_told(api, compute):
    compute.ensure(unit(), 1)
    about = {"name": "iris-blue-5efdeb203621-7", "namespace": "lab", "labels": {
        "pulumi-inference/object": "iris-blue-5efdeb203621"}}  # fmt: skip
    about["deletionTimestamp"] = "2026-11-26T11:00:00Z"
    one = {"kind": "Pod", "metadata": about, "spec": {}, "status": {}}
    api.put(f"{NAMESPACE}/pods/iris-blue-5efdeb203621-7", one)
    assert compute.scale_in(unit(), 0, 0.2) == 1
    assert of_kind(api, "Pod") == ["iris-blue-5efdeb203621-7"]


def test_a_new_generation_leaves_the_old_one(api, compute):
    compute.ensure(unit(), 1)
    compute.ensure(unit("0123456789ab"), 1)
    assert of_kind(api, "Deployment") == ["iris-blue-0123456789ab", "iris-blue-5efdeb203621"]


def test_nothing_is_left_of_a_generation_that_is_retired(api, compute):
    compute.ensure(unit(), 1)
    compute.retire("iris/blue", ["iris-blue-5efdeb203621"], 5)
    compute.wait_gone(5)
    assert api.objects == {}


def test_a_secret_is_in_the_secret_alone(api, compute):
    compute.ensure(unit(), 1)
    found = [one["kind"] for one in api.objects.values() if "c2VjcmV0LTE=" in str(one)]
    assert found == ["Secret"]


def test_a_pod_that_ends_at_once_is_told_with_its_log_and_nothing_is_left(
    api, compute, controllers
):
    ended = {"exitCode": 3, "reason": "Error"}
    server = {"name": "server", "state": {"terminated": ended}, "restartCount": 0}
    controllers.status = {"phase": "Running", "containerStatuses": [server]}
    api.logs = {"iris-blue-5efdeb203621-0": "no module named numpy, and secret-1\n"}
    with pytest.raises(NotReady) as failed:
        compute.ensure(unit(), 1)
    assert str(failed.value) == (
        "start Deployment 'demo/iris/blue': pod iris-blue-5efdeb203621-0: UserScriptInitFailed:"
        " container server ended with status 3; fix the cause and run this again; the last lines of"
        " its log:\n    no module named numpy, and [secret]"
    )
    assert of_kind(api, "Deployment") == []


def test_a_pod_that_finds_no_node_says_what_it_waits_for(compute, controllers):
    said: list[str] = []
    waits = {
        "type": "PodScheduled",
        "status": "False",
        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    }
    controllers.status = {"phase": "Pending", "conditions": [waits]}
    with pytest.raises(NotReady, match="PodUnschedulable: 0/3 nodes are available: 3 Insufficient"):
        compute.ensure(unit(), 1, lambda _id, text: said.append(text))
    assert said == [
        "waiting for pod iris-blue-5efdeb203621-0: 0/3 nodes are available: 3 Insufficient"
        " nvidia.com/gpu."
    ]


def test_each_pod_that_gets_ready_is_told(compute):
    said: list[str] = []
    compute.ensure(unit(), 1)
    compute.ensure(unit(), 3, lambda _id, text: said.append(text))
    assert said == ["1 of 2 new instances ready", "2 of 2 new instances ready"]


def test_a_pod_that_is_ready_may_have_ended_before(api, compute, controllers):
    ended = {"exitCode": 137, "reason": "Error"}
    server = {"name": "server", "state": {"running": {}}, "lastState": {"terminated": ended}}
    controllers.status |= {"containerStatuses": [{**server, "restartCount": 1}]}
    compute.ensure(unit(), 1)
    controllers.status = {"phase": "Pending", "conditions": []}
    with pytest.raises(NotReady, match="did not answer 200 to 399 within 1 s"):
        compute.ensure(unit(), 2)


def test_a_scale_out_that_fails_goes_back_to_the_count_before(api, compute, controllers):
    compute.ensure(unit(), 1)
    controllers.status = {"phase": "Pending", "conditions": []}
    with pytest.raises(NotReady):
        compute.ensure(unit(), 3)
    time.sleep(0.1)
    assert api.objects[f"{DEPLOYMENTS}/iris-blue-5efdeb203621"]["spec"]["replicas"] == 1


def test_fewer_serve_though_kubernetes_cannot_make_one_of_those_before(api, compute, controllers):
    compute.ensure(unit(), 2)
    controllers._make = lambda *_given: None  # a quota refuses it
    path = f"{DEPLOYMENTS}/iris-blue-5efdeb203621"
    there = api.objects[path]
    api.put(path, {**there, "spec": {**there["spec"], "replicas": 3}})
    time.sleep(0.1)
    compute.ensure(unit(), 2)
    assert compute.scale_in(unit(), 1, 5) == 2


def test_an_image_that_cannot_be_pulled_is_told(compute, controllers):
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    server = {"name": "server", "state": {"waiting": waiting}, "restartCount": 0}
    controllers.status = {"phase": "Pending", "containerStatuses": [server]}
    with pytest.raises(NotReady, match="ImageBuildFailure: ImagePullBackOff: not found"):
        compute.ensure(unit(), 1)


def test_none_of_a_generation_that_never_ran_needs_no_object(api, compute):
    compute.ensure(unit(), 0)
    assert api.objects == {}


def test_what_has_our_labels_but_no_generation_is_not_an_instance(api, compute):
    compute.ensure(unit(), 1)
    path = f"{DEPLOYMENTS}/iris-blue-5efdeb203621"
    about = api.objects[path]["metadata"]
    labels = {name: value for name, value in about["labels"].items() if "/generation" not in name}
    copy = {**api.objects[path], "metadata": {**about, "name": "copy", "labels": labels}}
    api.put(f"{DEPLOYMENTS}/copy", {**copy, "spec": {**copy["spec"], "replicas": 0}})
    assert [one.name for one in compute.instances()["iris/blue"]] == ["iris-blue-5efdeb203621"]
    assert len(compute.status().instances["iris/blue"]) == 1


def test_a_deployment_without_pods_is_seen(api, compute):
    compute.ensure(unit(), 1)
    api.objects = {p: one for p, one in api.objects.items() if one["kind"] != "Pod"}
    [status] = compute.status().instances["iris/blue"]
    assert (status.name, status.runs) == ("iris-blue-5efdeb203621", False)


def test_a_pod_that_a_quota_refuses_ends_the_wait_and_leaves_nothing(
    api, compute, controllers, monkeypatch
):
    monkeypatch.setattr(pod_wait, "REFUSED_S", 0.05)
    said = 'pods "x" is forbidden: exceeded quota: small, requested: pods=1, limited: pods=0'

    def refuse(path, one):
        failed = {"type": "ReplicaFailure", "status": "True", "message": said}
        if "status" not in one:
            api.put(path, {**one, "status": {"conditions": [failed]}})

    monkeypatch.setattr(controllers, "_follow", refuse)
    with pytest.raises(OutOfCapacity) as told:
        compute.ensure(unit(start_timeout_s=30), 1)
    assert str(told.value) == (
        "start Deployment 'demo/iris/blue' on cluster 'lab': exceeded quota: small, requested:"
        " pods=1, limited: pods=0; ask for less, or raise the quota"
    )
    assert of_kind(api, "Deployment") == of_kind(api, "Secret") == of_kind(api, "Service") == []


def test_a_generation_that_a_killed_client_half_made_is_found_and_ended(api, compute):
    compute.ensure(unit(), 1)
    for kind in ("deployments", "secrets"):
        [path] = [p for p in api.objects if p.endswith(f"/{kind}/iris-blue-5efdeb203621")]
        api.drop(path)
    [instance] = compute.instances()["iris/blue"]
    assert (instance.name, instance.backends) == ("iris-blue-5efdeb203621", ())
    assert compute.status().altered["iris/blue"] == (
        "Secret iris-blue-5efdeb203621 is gone",
        "Deployment iris-blue-5efdeb203621 is gone",
    )
    compute.retire("iris/blue", [instance.name], 0)
    assert of_kind(api, "Service") == of_kind(api, "PodDisruptionBudget") == []
    assert compute.instances() == {}


def test_a_generation_that_is_being_deleted_is_told_as_one_thing(api, compute):
    compute.ensure(unit(), 1)
    path = f"{DEPLOYMENTS}/iris-blue-5efdeb203621"
    there = api.objects[path]
    ends = {"deletionTimestamp": "2026-11-26T08:00:00Z", "finalizers": ["example.org/x"]}
    api.put(path, {**there, "metadata": {**there["metadata"], **ends}})
    for kind in ("services", "secrets"):
        api.drop(f"{NAMESPACE}/{kind}/iris-blue-5efdeb203621")
    assert compute.status().altered["iris/blue"] == (
        "Deployment iris-blue-5efdeb203621 is being deleted, and waits for who set its finalizers:"
        " example.org/x",
    )


@pytest.mark.parametrize("deployment", ["", "iris/blue"])
def test_an_object_without_its_labels_is_not_said_to_be_gone(api, compute, deployment):
    compute.ensure(unit(), 1)
    path = f"{DEPLOYMENTS}/iris-blue-5efdeb203621"
    there = api.objects[path]
    marked = {"pulumi-inference/applied": "as it was applied, with labels"}
    api.put(path, {**there, "metadata": {**there["metadata"], "labels": {}, "annotations": marked}})
    assert compute.status(deployment).altered["iris/blue"] == (
        "Deployment iris-blue-5efdeb203621: some of its fields were changed or removed by hand",
    )
    api.drop(path)
    assert compute.status(deployment).altered["iris/blue"] == (
        "Deployment iris-blue-5efdeb203621 is gone",
    )
