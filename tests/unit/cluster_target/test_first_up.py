"""The first up on a cluster is all or nothing, and keeps others out."""

import httpx
import pytest
from tests.cluster_api import client_of, failure
from tests.cluster_controllers import Controllers
from tests.unit.cluster_target.stack import ANN, BOB, ROUTER, Pods, desired, kinds

from inference_provider.errors import Busy, NotReady, TargetError
from inference_provider.observed import Kind
from inference_provider.targets.kubernetes import locks, role_pods
from inference_provider.targets.kubernetes.locks import LeaseLocks
from inference_provider.targets.kubernetes.records import ClusterRecords


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
