"""A publication reaches every pod of a router in a cluster, or is refused."""

import threading
import time

import pytest
from tests.cluster_api import client_of, failure
from tests.unit.cluster_router.lab import PODS, waiting

from inference_provider.errors import RouterRejected, TargetUnreachable
from inference_provider.targets.envoy.agent_errors import written
from inference_provider.targets.kubernetes import router as module
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.refusals import Forbidden


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


def test_many_publications_list_the_pods_a_few_times_and_then_follow_them(lab):
    lab.api.watch_s = 30.0
    lab.add("router-a")
    for _ in range(40):
        lab.router.publish(())
    lists_and_one_watch = lab.api.requests.count(f"GET {PODS}")
    assert 9 <= lists_and_one_watch <= 20
    assert len(lab.asked) == 40


def test_a_pod_that_comes_while_they_are_followed_is_asked_too(lab):
    lab.add("router-a")
    for _ in range(20):
        lab.router.publish(())
    lab.add("router-b")
    until_s = time.monotonic() + 20
    while "router-b" not in {name for name, *_ in lab.asked} and time.monotonic() < until_s:
        lab.router.publish(())
    assert "router-b" in {name for name, *_ in lab.asked}


def test_pods_that_all_go_while_they_are_followed_are_listed(lab):
    lab.add("router-a")
    for _ in range(20):
        lab.router.publish(())
    lab.api.drop(f"{PODS}/router-a")
    del lab.answers["router-a", "revision"]
    lab.add("router-b")
    lab.router.publish(())
    assert lab.asked[-1][0] == "router-b"


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
