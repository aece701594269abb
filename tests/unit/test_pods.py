"""What a pod says of itself -> whether it serves, and why it does not."""

import pytest

from inference_provider.targets.kubernetes import pods
from inference_provider.targets.kubernetes.applied import foreign
from inference_provider.workspace.endings import Endings


def pod(**status):
    return {"metadata": {"name": "p"}, "spec": {}, "status": status}


def container(state: dict, last: dict | None = None, count: int = 0, name: str = "server"):
    return {"name": name, "state": state, "lastState": last or {}, "restartCount": count}


READY = {"type": "Ready", "status": "True"}


def test_a_ready_pod_takes_requests_until_somebody_deletes_it():
    one = pod(phase="Running", conditions=[READY])
    assert pods.is_ready(one)
    one["metadata"]["deletionTimestamp"] = "2026-11-26T07:00:00Z"
    assert not pods.is_ready(one)
    assert not pods.runs(one)


def test_an_evicted_pod_does_not_run():
    assert not pods.runs(pod(phase="Failed", reason="Evicted", conditions=[READY]))


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
                    }
                ]
            },
            ("PodUnschedulable", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        ),
        (
            {
                "containerStatuses": [
                    container({"waiting": {"reason": "ImagePullBackOff", "message": "not\nfound"}})
                ]
            },
            ("ImageBuildFailure", "ImagePullBackOff: not found"),
        ),
        (
            {
                "containerStatuses": [
                    container(
                        {"waiting": {"reason": "CreateContainerConfigError", "message": "no key"}}
                    )
                ]
            },
            ("ResourceNotReady", "CreateContainerConfigError: no key"),
        ),
        (
            {
                "containerStatuses": [
                    container(
                        {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                        {"terminated": {"exitCode": 3, "reason": "Error"}},
                        count=2,
                    )
                ]
            },
            ("UserScriptInitFailed", "container server ended with status 3"),
        ),
        (
            {
                "containerStatuses": [
                    container({"running": {}}, {"terminated": {"exitCode": 0}}, count=1)
                ]
            },
            ("UserScriptInitFailed", "container server ended with status 0"),
        ),
        (
            {
                "containerStatuses": [
                    container({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
                ]
            },
            ("PodOutOfMemory", "container server used more memory than its limit"),
        ),
        (
            {
                "initContainerStatuses": [
                    container({"terminated": {"exitCode": 1}}, name="storage-initializer")
                ]
            },
            ("UserScriptInitFailed", "container storage-initializer ended with status 1"),
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
            ("PodFailed", "Evicted: The node was low on memory."),
        ),
    ],
)
def test_why_a_pod_is_not_ready_has_the_name_that_azure_gives_it(status, trouble):
    found = pods.trouble_of(pod(**status))
    assert (found.name, found.reason) == trouble


def test_the_memory_that_was_too_little_is_told_also_where_the_namespace_set_it():
    killed = container({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
    limits = {"name": "server", "resources": {"limits": {"memory": "32Mi"}}}
    one = {**pod(containerStatuses=[killed]), "spec": {"containers": [limits]}}
    assert pods.trouble_of(one).reason == (
        "container server used more memory than its limit of 32Mi"
    )


@pytest.mark.parametrize(
    "state",
    [
        {"waiting": {"reason": "ContainerCreating"}},
        {"waiting": {"reason": "PodInitializing"}},
        {"running": {"startedAt": "2026-11-26T07:00:00Z"}},
    ],
)
def test_a_pod_that_just_starts_is_in_no_trouble(state):
    done = container({"terminated": {"exitCode": 0, "reason": "Completed"}}, name="init")
    one = pod(initContainerStatuses=[done], containerStatuses=[container(state)])
    assert pods.trouble_of(one) is None


def test_restarts_are_counted_at_the_time_of_the_last():
    last = {"terminated": {"exitCode": 1, "finishedAt": "1970-01-01T00:05:30Z"}}
    one = pod(containerStatuses=[container({"running": {}}, last, count=4)])
    assert pods.endings_of(one) == Endings(total=4, minutes={5: 4})


def test_ends_before_the_last_run_are_of_the_time_when_that_began():
    """A pod that ended now and then in a month, and once more now, does not keep dying."""
    run = {"startedAt": "1970-01-01T00:05:30Z", "finishedAt": "1970-01-29T00:00:30Z"}
    last = {"terminated": {"exitCode": 1, **run}}
    one = pod(containerStatuses=[container({"running": {}}, last, count=4)])
    assert pods.endings_of(one) == Endings(total=4, minutes={5: 3, 28 * 1440: 1})


def test_a_pod_that_never_ended_has_no_restarts():
    assert pods.endings_of(pod(containerStatuses=[container({"running": {}})])) == Endings()


def managed(*entries):
    about = {"name": "iris-blue", "managedFields": list(entries)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about}


OURS = {"manager": "pulumi-inference", "fieldsV1": {"f:spec": {"f:replicas": {}}}}


def test_what_another_manager_has_set_is_named_with_who_and_when():
    edited = {
        "manager": "kubectl-edit",
        "time": "2026-11-26T07:00:00Z",
        "fieldsV1": {
            "f:metadata": {"f:annotations": {"f:note": {}}},
            "f:spec": {
                "f:template": {
                    "f:spec": {"f:containers": {'k:{"name":"server"}': {".": {}, "f:image": {}}}}
                }
            },
        },
    }
    assert foreign(managed(OURS, edited)) == (
        "spec.template.spec.containers[server].image set by kubectl-edit at 2026-11-26T07:00:00Z"
    )


def test_status_and_annotations_are_no_change_by_hand():
    controller = {
        "manager": "kube-controller-manager",
        "subresource": "status",
        "fieldsV1": {"f:metadata": {"f:annotations": {}}, "f:status": {"f:replicas": {}}},
    }
    annotated = {"manager": "kubectl-annotate", "fieldsV1": {"f:metadata": {"f:annotations": {}}}}
    assert foreign(managed(OURS, controller, annotated)) == ""


def test_many_changed_fields_are_counted():
    data = {f"f:key{number}": {} for number in range(6)}
    edited = {"manager": "kubectl-edit", "time": "now", "fieldsV1": {"f:data": data}}
    assert foreign(managed(edited)) == (
        "data.key0, data.key1, data.key2, data.key3 and 2 more set by kubectl-edit at now"
    )
