"""What the pods of a router in a cluster say together: drained, healthy, serving."""

from datetime import UTC, datetime

import pytest
from tests.unit.cluster_router.lab import PODS, SERVES, SETTINGS, waiting

from inference_provider.errors import NotReady, TargetUnreachable
from inference_provider.router.table import Backend
from inference_provider.targets.envoy.agent_errors import written
from inference_provider.workspace.endings import Endings
from inference_provider.workspace.statuses import RouterStatus


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
    assert ("router-a", "is_drained") in lab.questions()


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


def test_a_pod_whose_node_does_not_answer_is_told_with_it(lab):
    lab.router.apply()
    lab.add("router-a")
    lab.add("router-b", ready=False)
    path = f"{PODS}/router-b"
    lab.api.put(path, {**lab.api.objects[path], "spec": {"nodeName": "n-1"}})
    silent = {"type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-11-26T08:00:00Z"}
    node = {"kind": "Node", "metadata": {"name": "n-1"}, "status": {"conditions": [silent]}}
    lab.api.put("/api/v1/nodes/n-1", node)
    assert lab.router.status().fault == (
        "router pod router-b is not ready: its node n-1 does not answer since 2026-11-26T08:00:00Z"
    )


def test_a_router_that_is_gone_does_not_run(lab):
    found = lab.router.status()
    assert (found.runs, found.fault, found.weights) == (False, "the router does not run", None)


def test_a_router_without_pods_in_a_namespace_that_ends_is_told_that(lab):
    lab.router.apply()
    assert lab.router.status().fault == "Kubernetes has made no pod for it"
    about = {"name": "lab", "deletionTimestamp": "2026-11-26T08:00:00Z"}
    lab.api.put("/api/v1/namespaces/lab", {"kind": "Namespace", "metadata": about})
    assert lab.router.status().fault == (
        "somebody deleted namespace 'lab' at 2026-11-26T08:00:00Z, and it is still going"
    )


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


def paged(lab, name, port=None, fault=""):
    lab.add(name)
    said = RouterStatus.model_validate({**SERVES, "metrics_port": port, "fault": fault})
    lab.answers[name, "ask"] = {"answer": said.model_dump(mode="json")}


def test_where_metrics_are_served_is_told(lab):
    lab.router.save(SETTINGS.model_copy(update={"metrics_port": 9464}))
    lab.router.apply()
    for name in ("router-a", "router-b"):
        paged(lab, name, 9464)
    found = lab.router.status()
    assert (found.fault, found.beside) == ("", "metrics on port 9464 of each router pod")


@pytest.mark.parametrize(
    ("port", "fault"),
    [
        (None, "router pod router-b serves no metrics: its image is of an older release"),
        (9000, "router pod router-b still serves metrics on port 9000"),
    ],
)
def test_a_pod_without_the_metrics_that_are_declared_is_a_fault(lab, port, fault):
    lab.router.save(SETTINGS.model_copy(update={"metrics_port": 9464}))
    lab.router.apply()
    paged(lab, "router-a", 9464)
    paged(lab, "router-b", port)
    found = lab.router.status()
    assert (found.fault, found.beside) == (fault, "")
    assert found.weights == {"iris": {"blue": 100}}


def test_a_pod_whose_page_cannot_be_served_says_so(lab):
    lab.router.save(SETTINGS.model_copy(update={"metrics_port": 9464}))
    lab.router.apply()
    paged(lab, "router-a", 9464, "no metrics are served on port 9464: no such module")
    assert lab.router.status().fault == (
        "router pod router-a: no metrics are served on port 9464: no such module"
    )
