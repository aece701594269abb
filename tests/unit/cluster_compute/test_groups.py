"""Instances on several nodes: what is applied, waited for, looked at and removed."""

from dataclasses import replace

import pytest
from tests.cluster_api import failure
from tests.cluster_controllers import GROUPS, NAMESPACE
from tests.unit.cluster_compute.rules import AUTOSCALERS, NAME, rule
from tests.unit.cluster_compute.units import of_kind, unit

from inference_provider.errors import NotReady, OutOfCapacity, TargetError
from inference_provider.targets.kubernetes import pod_wait

KINDS = ("Service", "Secret", "PodDisruptionBudget", "NetworkPolicy", "LeaderWorkerSet")
CRASHED = {
    "name": "server",
    "restartCount": 1,
    "state": {"running": {}},
    "lastState": {
        "terminated": {
            "exitCode": 3,
            "startedAt": "2026-11-26T08:00:00Z",
            "finishedAt": "2026-11-26T08:00:01Z",
        }
    },
}


def spread(**fields):
    return unit(nodes_per_instance=2, **fields)


def is_worker(pod) -> bool:
    return pod["metadata"]["labels"]["leaderworkerset.sigs.k8s.io/worker-index"] != "0"


def test_each_instance_is_a_leader_and_its_workers(api, compute):
    told = []
    compute.ensure(spread(), 2, lambda _id, said: told.append(said))
    for kind in KINDS:
        assert of_kind(api, kind) == [NAME]
    assert of_kind(api, "Deployment") == []
    assert of_kind(api, "Pod") == [f"{NAME}-0", f"{NAME}-0-1", f"{NAME}-1", f"{NAME}-1-1"]
    assert told[-1] == "2 of 2 new instances ready"


def test_leaders_alone_get_requests_and_are_the_instances(api, compute):
    compute.ensure(spread(), 2)
    api.put(
        f"{NAMESPACE}/pods/{NAME}-0-1",
        {
            **(there := api.objects[f"{NAMESPACE}/pods/{NAME}-0-1"]),
            "status": {**there["status"], "podIP": "10.0.0.9"},
        },
    )
    [instance] = compute.instances()["iris/blue"]
    assert [one.host for one in instance.backends] == ["10.0.0.7", "10.0.0.7"]
    assert instance.stands_for == 2
    status = compute.status()
    assert status.altered == {}
    assert [one.name for one in status.instances["iris/blue"]] == [f"{NAME}-0", f"{NAME}-1"]
    assert [one.fault for one in status.instances["iris/blue"]] == ["", ""]


def test_an_instance_without_one_of_its_workers_says_so(api, compute):
    compute.ensure(spread(), 1)
    api.drop(f"{NAMESPACE}/pods/{NAME}-0-1")
    [status] = compute.status().instances["iris/blue"]
    assert (status.answers, status.fault) == (True, "1 of its 1 workers not ready")


def tell_made_again(api, number: int, leader: str, time: str) -> None:
    """Put the event by which the controller says so."""
    path = f"{NAMESPACE}/events/made-again-{number}"
    regarding = {"kind": "LeaderWorkerSet", "name": NAME}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"made-again-{number}", "namespace": "lab"},
        "reason": "RecreateGroup",
        "involvedObject": regarding,
        "related": {"kind": "Pod", "name": leader},
        "eventTime": time,
    }
    api.put(path, event)


def test_how_often_a_group_was_made_again_are_its_restarts(api, compute):
    compute.ensure(spread(), 2)
    times = ("2026-11-26T08:00:00.5Z", "2026-11-26T08:00:40.5Z", "2026-11-26T08:05:00.5Z")
    for number, time in enumerate(times):
        tell_made_again(api, number, f"{NAME}-0", time)
    first, second = compute.status().instances["iris/blue"]
    assert (first.endings.total, [*first.endings.minutes.values()]) == (3, [2, 1])
    assert first.endings.kept_minutes == 60
    assert second.endings.total == 0


def test_a_group_that_was_started_afresh_counts_what_came_after(api, compute):
    compute.ensure(spread(), 1)
    leader = f"{NAMESPACE}/pods/{NAME}-0"
    noted = {"pulumi-inference/restarted": "2026-11-26T08:01:00+00:00"}
    there = api.objects[leader]
    api.put(leader, {**there, "metadata": {**there["metadata"], "annotations": noted}})
    for number, minute in enumerate(("00", "02")):
        tell_made_again(api, number, f"{NAME}-0", f"2026-11-26T08:{minute}:00.000001Z")
    [status] = compute.status().instances["iris/blue"]
    assert status.endings.total == 1


def test_who_may_list_no_events_sees_groups_without_their_restarts(api, compute):
    compute.ensure(spread(), 1)
    tell_made_again(api, 0, f"{NAME}-0", "2026-11-26T08:00:00.5Z")
    refused = failure(403, 'events is forbidden: User "ann" cannot list resource "events"')
    api.refuse = lambda asked: refused if asked.url.path.endswith("/events") else None
    [status] = compute.status().instances["iris/blue"]
    assert (status.answers, status.endings.total) == (True, 0)


@pytest.mark.parametrize("ending", [{}, {"deletionTimestamp": "2026-11-26T08:00:02Z"}])
def test_a_worker_that_ends_by_itself_is_named_with_its_log_also_once_it_is_removed(
    api, controllers, compute, ending
):
    def status_of(pod):
        if not is_worker(pod):
            return {"phase": "Running", "podIP": "10.0.0.7", "conditions": []}
        pod["metadata"] |= ending
        return {"phase": "Running", "conditions": [], "containerStatuses": [CRASHED]}

    controllers.status_of = status_of
    api.logs[f"{NAME}-0-1"] = "no route to the leader"
    with pytest.raises(NotReady) as failed:
        compute.ensure(spread(start_timeout_s=20), 1)
    assert failed.value.reason == (
        f"pod {NAME}-0-1: UserScriptInitFailed: container server ended with status 3"
    )
    assert "    no route to the leader" in failed.value.remedy
    assert of_kind(api, "LeaderWorkerSet") == of_kind(api, "Service") == []


def test_an_instance_waits_for_its_workers_and_names_one_that_is_late(controllers, compute):
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: no GPU"}
    late = {"phase": "Pending", "conditions": [unscheduled]}
    controllers.status_of = lambda pod: late if is_worker(pod) else None
    with pytest.raises(NotReady) as failed:
        compute.ensure(spread(), 1)
    assert failed.value.reason == f"pod {NAME}-0-1: PodUnschedulable: 0/1 nodes: no GPU"


def test_why_a_pod_of_a_group_is_not_made_is_found_in_events(
    api, controllers, compute, monkeypatch
):
    monkeypatch.setattr(pod_wait, "REFUSED_S", 0.1)
    controllers.api = type(api)()  # makes nothing
    said = (
        f"create Pod {NAME}-0 in StatefulSet {NAME} failed error: pods"
        f' "{NAME}-0" is forbidden: exceeded quota: inference-quota'
    )
    event = {
        "kind": "Event",
        "metadata": {"name": "one"},
        "reason": "FailedCreate",
        "involvedObject": {"kind": "StatefulSet", "name": NAME},
        "message": said,
    }
    api.put("/api/v1/namespaces/lab/events/one", event)
    with pytest.raises(OutOfCapacity, match="exceeded quota: inference-quota"):
        compute.ensure(spread(), 1)


def test_its_objects_are_removed_with_it(api, compute):
    compute.ensure(spread(), 1)
    compute.retire("iris/blue", [NAME], 5)
    compute.wait_gone(5)
    assert [of_kind(api, kind) for kind in (*KINDS, "Pod")] == [[]] * 6


def test_all_is_removed_too_where_somebody_has_deleted_its_service(api, compute):
    compute.ensure(spread(), 1)
    api.drop(f"{NAMESPACE}/services/{NAME}")
    compute.end_all(5)
    assert [of_kind(api, kind) for kind in (*KINDS, "Pod")] == [[]] * 6


def test_what_somebody_deletes_is_told_by_its_name(api, compute):
    compute.ensure(spread(), 1)
    api.drop(f"{GROUPS}/{NAME}")
    told = compute.status().altered["iris/blue"]
    assert told == (f"LeaderWorkerSet {NAME} is gone",)


def test_who_may_not_list_them_is_told_so_and_never_that_they_are_gone(api, compute):
    compute.ensure(spread(), 1)
    may_not = 'User "ann" cannot list resource "leaderworkersets" in API group "x"'
    api.refuse = lambda one: failure(403, may_not) if one.url.path == GROUPS else None
    with pytest.raises(TargetError, match="'ann' may not list leaderworkersets"):
        compute.status()


def test_they_are_not_listed_where_every_instance_is_one_pod(api, compute):
    compute.ensure(unit(), 1)
    compute.status()
    compute.instances()
    compute.end_all(5)
    assert not [one for one in api.requests if "leaderworkersets" in one]


def test_fewer_instances_are_the_same_set_with_a_lower_count(api, compute):
    compute.ensure(spread(), 2)
    assert compute.scale_in(spread(), 1, 5) == 1
    assert api.objects[f"{GROUPS}/{NAME}"]["spec"]["replicas"] == 1
    assert of_kind(api, "Pod") == [f"{NAME}-0", f"{NAME}-0-1"]


def test_a_rule_scales_groups(api, compute):
    asked = replace(spread(), rule=rule())
    compute.ensure(asked, 1)
    assert compute.scale_in(asked, 1, 5) == 0
    assert api.objects[f"{AUTOSCALERS}/{NAME}"]["spec"]["scaleTargetRef"] == {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "name": NAME,
    }
