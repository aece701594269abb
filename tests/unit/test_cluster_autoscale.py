"""Autoscale rules in a cluster: what is refused, what is applied, and who decides the count."""

import time
from types import SimpleNamespace

import httpx
import pytest
from tests.cluster_api import ClusterApi, client_of, failure
from tests.cluster_controllers import DEPLOYMENTS, Controllers
from tests.memory import desired
from tests.unit.test_cluster_compute import Content, of_kind, unit

from inference_provider.desired import properties_of
from inference_provider.errors import TargetError
from inference_provider.observed import Actor, Kind, Record
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.targets.kubernetes import autoscalers, pod_wait
from inference_provider.targets.kubernetes.applied import is_applied
from inference_provider.targets.kubernetes.autoscalers import Autoscalers, kind_for
from inference_provider.targets.kubernetes.compute import KubernetesCompute
from inference_provider.targets.kubernetes.counts import Counts
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State

CPU = {"metric": "CpuUtilizationPercentage", "target": 70}
NAME = "iris-blue-5efdeb203621"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/lab/horizontalpodautoscalers"
ALL = ("metrics.k8s.io", "custom.metrics.k8s.io")
KEDA = ("metrics.k8s.io", "custom.metrics.k8s.io", "keda.sh")
DAY = {"cron": "0 8 * * 1-5", "duration_s": 36_000, "min_instances": 4, "max_instances": 5}


def rule(**fields) -> AutoscaleRuleSpec:
    base = {"workspace": "demo", "endpoint": "iris", "deployment": "blue", "max_instances": 5}
    return AutoscaleRuleSpec.model_validate({**base, "targets": [CPU], **fields})


# -- what is applied -------------------------------------------------------------------------------


@pytest.fixture
def api():
    return ClusterApi()


@pytest.fixture
def compute(api, monkeypatch):
    monkeypatch.setattr(pod_wait, "POLL_S", 0.01)
    client = client_of(api)
    with Controllers(api):
        yield KubernetesCompute(client, ClusterRecords(client, "lab", "demo"), Content())


def ruled(asked: AutoscaleRuleSpec | None = None, generation: str = "5efdeb203621") -> Unit:
    plain = unit(generation)
    fields = {name: getattr(plain, name) for name in ("id", "generation", "spec", "environment")}
    return Unit(**fields, rule=asked or rule())


def scaled(api, count: int) -> None:
    """Change the count as an autoscaler does."""
    there = api.objects[f"{DEPLOYMENTS}/{NAME}"]
    api.put(f"{DEPLOYMENTS}/{NAME}", {**there, "spec": {**there["spec"], "replicas": count}})


def count(api) -> int:
    return api.objects[f"{DEPLOYMENTS}/{NAME}"]["spec"]["replicas"]


def test_a_rule_is_an_autoscaler_of_the_generation(api, compute):
    asked = rule(
        min_instances=2,
        targets=[
            CPU,
            {"metric": "CpuMemoryUtilizationPercentage", "target": 80},
            {"metric": "RequestsInFlight", "target": 2.5},
        ],
        scale_out={"stabilization_s": 10},
        scale_in={"stabilization_s": 600, "max_change": 1, "period_s": 90},
    )
    compute.ensure(ruled(asked), 2)
    assert of_kind(api, "HorizontalPodAutoscaler") == []
    assert compute.scale_in(ruled(asked), 2, 5) == 0
    one = api.objects[f"{AUTOSCALERS}/{NAME}"]
    assert one["metadata"]["labels"]["pulumi-inference/deployment"] == "blue"
    assert one["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": "server",
                    "target": {"type": "Utilization", "averageUtilization": 70},
                },
            },
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": "memory",
                    "container": "server",
                    "target": {"type": "Utilization", "averageUtilization": 80},
                },
            },
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "inference_requests_in_flight"},
                    "target": {"type": "AverageValue", "averageValue": "2500m"},
                },
            },
        ],
        "behavior": {
            "scaleUp": {"stabilizationWindowSeconds": 10},
            "scaleDown": {
                "stabilizationWindowSeconds": 600,
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 90}],
            },
        },
    }


SCALED = "/apis/keda.sh/v1alpha1/namespaces/lab/scaledobjects"
OF_KEDA = f"{AUTOSCALERS}/keda-hpa-{NAME}"


@pytest.fixture
def with_keda(api, monkeypatch):
    """Compute in a cluster with KEDA, which makes and ends an autoscaler."""
    monkeypatch.setattr(pod_wait, "POLL_S", 0.01)
    api.groups, client = ("metrics.k8s.io", "keda.sh"), client_of(api)
    with Controllers(api):
        yield KubernetesCompute(
            client, ClusterRecords(client, "lab", "demo"), Content(), served=lambda: api.groups
        )


SCHEDULED = rule(
    min_instances=2,
    targets=[
        CPU,
        {"metric": "CpuMemoryUtilizationPercentage", "target": 80},
        {"metric": "RequestsInFlight", "target": 2.5},
    ],
    schedules=[DAY, {**DAY, "cron": "0 22 * * 6", "time_zone": "Europe/Berlin"}],
    scale_in={"stabilization_s": 600, "max_change": 1, "period_s": 90},
)


def test_a_rule_with_schedules_is_a_scaled_object_of_the_generation(api, with_keda):
    with_keda.ensure(ruled(SCHEDULED), 2)
    assert with_keda.scale_in(ruled(SCHEDULED), 2, 5) == 0
    assert of_kind(api, "HorizontalPodAutoscaler") == []
    one = api.objects[f"{SCALED}/{NAME}"]
    assert one["metadata"]["labels"]["pulumi-inference/deployment"] == "blue"
    assert one["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
        "minReplicaCount": 2,
        "maxReplicaCount": 5,
        "advanced": {
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleDown": {
                        "stabilizationWindowSeconds": 600,
                        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 90}],
                    }
                }
            }
        },
        "triggers": [
            {
                "type": "cpu",
                "metricType": "Utilization",
                "metadata": {"value": "70", "containerName": "server"},
            },
            {
                "type": "memory",
                "metricType": "Utilization",
                "metadata": {"value": "80", "containerName": "server"},
            },
            {
                "type": "metrics-api",
                "metricType": "AverageValue",
                "metadata": {
                    "url": "http://inference-router-metrics.lab.svc:8081/in-flight/iris/blue",
                    "valueLocation": "requests",
                    "targetValue": "2.5",
                },
            },
            {
                "type": "cron",
                "metadata": {
                    "timezone": "UTC",
                    "start": "0 8 * * 1-5",
                    "end": "0 18 * * 1-5",
                    "desiredReplicas": "4",
                },
            },
            {
                "type": "cron",
                "metadata": {
                    "timezone": "Europe/Berlin",
                    "start": "0 22 * * 6",
                    "end": "0 8 * * 0",
                    "desiredReplicas": "4",
                },
            },
        ],
    }


REQUESTS = rule(targets=[{"metric": "RequestsInFlight", "target": 8}])


@pytest.mark.parametrize(
    ("asked", "served", "kind"),
    [
        (rule(), KEDA, "HorizontalPodAutoscaler"),
        (rule(schedules=[DAY]), KEDA, "ScaledObject"),
        (REQUESTS, ("keda.sh",), "ScaledObject"),
        (REQUESTS, KEDA, "HorizontalPodAutoscaler"),
        (REQUESTS, ("custom.metrics.k8s.io",), "HorizontalPodAutoscaler"),
    ],
)
def test_keda_keeps_only_what_no_other_autoscaler_can(asked, served, kind):
    assert kind_for(asked, lambda: served).name == kind


@pytest.mark.parametrize("there", [rule(), None])
def test_a_rule_that_needs_keda_no_more_leaves_nothing_of_it(api, with_keda, monkeypatch, there):
    with_keda.ensure(ruled(SCHEDULED), 3)
    with_keda.scale_in(ruled(SCHEDULED), 3, 5)
    api.put(OF_KEDA, {"kind": "HorizontalPodAutoscaler", "metadata": {"name": f"keda-hpa-{NAME}"}})
    seen = []

    def waits(_s: float) -> None:
        seen.append((f"{SCALED}/{NAME}" in api.objects, f"{AUTOSCALERS}/{NAME}" in api.objects))
        api.drop(OF_KEDA)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=waits)
    monkeypatch.setattr(autoscalers, "time", clock)
    with_keda.ensure(ruled(there) if there else unit(), 3)
    assert seen == [(False, False)]
    kinds = {path.rpartition("/")[0] for path in api.objects} & {SCALED, AUTOSCALERS}
    assert kinds == ({AUTOSCALERS} if there else set())
    assert count(api) == 3


def test_a_rule_that_comes_to_need_keda_leaves_no_other_autoscaler(api, with_keda):
    with_keda.ensure(ruled(), 3)
    with_keda.scale_in(ruled(), 3, 5)
    assert f"{AUTOSCALERS}/{NAME}" in api.objects
    with_keda.scale_in(ruled(SCHEDULED), 3, 5)
    assert f"{AUTOSCALERS}/{NAME}" not in api.objects
    assert f"{SCALED}/{NAME}" in api.objects


def test_keda_that_ends_nothing_is_told(api, with_keda, monkeypatch):
    with_keda.ensure(ruled(SCHEDULED), 3)
    with_keda.scale_in(ruled(SCHEDULED), 3, 5)
    api.put(OF_KEDA, {"kind": "HorizontalPodAutoscaler", "metadata": {"name": f"keda-hpa-{NAME}"}})
    monkeypatch.setattr(autoscalers, "GONE_S", 0.0)
    with pytest.raises(TargetError) as told:
        with_keda.ensure(unit(), 3)
    assert str(told.value) == (
        f"delete ScaledObject {NAME}: KEDA still has not ended it after 0 s; look whether KEDA's"
        " operator runs"
    )


def test_who_may_do_nothing_with_keda_needs_no_right_on_it(api, with_keda):
    said = 'User "ann" cannot get resource "scaledobjects" in API group "keda.sh"'
    api.refuse = lambda asked: failure(403, said) if "/keda.sh/" in asked.url.path else None
    with_keda.ensure(unit(), 2)
    with_keda.ensure(unit(), 1)
    assert with_keda.status().altered == {}
    api.put(OF_KEDA, {"kind": "HorizontalPodAutoscaler", "metadata": {"name": f"keda-hpa-{NAME}"}})
    with pytest.raises(Forbidden, match="'ann' may not get scaledobjects"):
        with_keda.retire("iris/blue", [NAME], 5)


def test_a_scaled_object_of_others_is_not_ended(api, with_keda):
    with_keda.ensure(unit(), 2)
    about = {"name": NAME, "namespace": "lab", "labels": {}}
    theirs = api.put(f"{SCALED}/{NAME}", {"kind": "ScaledObject", "metadata": about})
    theirs["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    with_keda.ensure(unit(), 1)
    with_keda.retire("iris/blue", [NAME], 5)
    assert f"{SCALED}/{NAME}" in api.objects


def test_nothing_of_a_scaled_generation_is_left_when_it_is_retired(api, with_keda):
    with_keda.ensure(ruled(SCHEDULED), 1)
    with_keda.scale_in(ruled(SCHEDULED), 1, 5)
    with_keda.retire("iris/blue", [NAME], 5)
    with_keda.wait_gone(5)
    assert api.objects == {}


def test_a_rollout_of_the_same_generation_leaves_the_count_alone(api, compute):
    compute.ensure(ruled(), 1)
    compute.scale_in(ruled(), 1, 5)
    scaled(api, 4)
    [instance] = compute.instances()["iris/blue"]
    assert instance.stands_for == 4
    api.requests.clear()
    compute.ensure(ruled(), 4)
    compute.scale_in(ruled(), 4, 5)
    assert count(api) == 4


def test_what_was_taken_back_of_an_autoscaler_is_told(api, compute):
    compute.ensure(ruled(), 1)
    compute.scale_in(ruled(), 1, 5)
    path, told = f"{AUTOSCALERS}/{NAME}", []
    edited = {"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:maxReplicas": {}}}}
    one = api.objects[path]
    api.objects[path] = {**one, "metadata": {**one["metadata"], "managedFields": [edited]}}

    def conflict(asked: httpx.Request) -> httpx.Response | None:
        patched = asked.method == "PATCH" and asked.url.path == path
        return failure(409, "x") if patched and asked.url.params["force"] == "false" else None

    api.refuse = conflict
    compute.ensure(ruled(), 1, lambda _id, said: told.append(said))
    assert told == [
        f"HorizontalPodAutoscaler {NAME}: taken back: spec.maxReplicas set by kubectl-edit"
    ]


def test_a_count_outside_of_a_rule_is_moved_into_it(api, compute):
    compute.ensure(unit(), 1)
    compute.ensure(ruled(rule(min_instances=3)), 3)
    assert count(api) == 3
    compute.scale_in(ruled(rule(max_instances=2)), 2, 5)
    assert count(api) == 2


def test_a_rule_that_ends_takes_its_autoscaler_along_and_gives_the_count_back(api, compute):
    compute.ensure(ruled(), 3)
    compute.scale_in(ruled(), 3, 5)
    compute.ensure(unit(), 1)
    assert of_kind(api, "HorizontalPodAutoscaler") == []
    assert count(api) == 3
    assert compute.scale_in(unit(), 1, 5) == 2
    assert count(api) == 1


def test_nothing_of_a_generation_with_a_rule_is_left_when_it_is_retired(api, compute):
    compute.ensure(ruled(), 1)
    compute.scale_in(ruled(), 1, 5)
    compute.retire("iris/blue", [NAME], 5)
    compute.wait_gone(5)
    assert api.objects == {}


# -- what a person does ----------------------------------------------------------------------------


def altered(compute, spec: AutoscaleRuleSpec | None) -> tuple[str, ...]:
    """Return what is wrong beside a recorded rule."""
    state = State(compute._records)
    wanted = desired(Kind.AUTOSCALE_RULE, spec or rule())
    made = Record(
        id=wanted.id,
        owner="demo",
        properties=properties_of(wanted.spec),
        actor=Actor(user="ann"),
        time="2026-11-26T08:00:00Z",
    )
    with compute._records.edit():
        state.put_record(made) if spec else state.drop_record(wanted.id)
    found = compute.status().altered.get("iris/blue", ())
    assert compute.status("iris/blue").altered.get("iris/blue", ()) == found
    return found


def test_what_becomes_of_an_autoscaler_is_told(api, compute):
    compute.ensure(ruled(), 1)
    compute.scale_in(ruled(), 1, 5)
    assert altered(compute, rule()) == ()
    scaled(api, 4)
    assert altered(compute, rule()) == ()
    assert altered(compute, rule(max_instances=9)) == (
        f"HorizontalPodAutoscaler {NAME} follows another rule than is recorded",
    )
    assert altered(compute, None) == (f"HorizontalPodAutoscaler {NAME} is left over",)
    scaled(api, 0)
    assert altered(compute, rule()) == (
        f"Deployment {NAME} was scaled to 0, which turns its HorizontalPodAutoscaler off",
    )
    api.drop(f"{AUTOSCALERS}/{NAME}")
    assert altered(compute, rule())[0] == f"HorizontalPodAutoscaler {NAME} is gone"


def test_what_becomes_of_a_scaled_object_is_told(api, with_keda):
    with_keda.ensure(ruled(SCHEDULED), 2)
    with_keda.scale_in(ruled(SCHEDULED), 2, 5)
    made = {"labels": api.objects[f"{SCALED}/{NAME}"]["metadata"]["labels"]}
    about = {"name": f"keda-hpa-{NAME}", **made}
    api.put(OF_KEDA, {"kind": "HorizontalPodAutoscaler", "metadata": about})
    assert altered(with_keda, SCHEDULED) == ()
    scaled(api, 0)  # KEDA starts one again
    assert altered(with_keda, SCHEDULED) == ()
    assert altered(with_keda, rule(schedules=[DAY])) == (
        f"ScaledObject {NAME} follows another rule than is recorded",
    )
    assert altered(with_keda, None) == (f"ScaledObject {NAME} is left over",)
    scaled(api, 1)
    assert altered(with_keda, rule()) == (
        f"ScaledObject {NAME} is left over",
        f"HorizontalPodAutoscaler {NAME} is gone",
    )
    one, paused = api.objects[f"{SCALED}/{NAME}"], "autoscaling.keda.sh/paused-replicas"
    noted = {**one["metadata"]["annotations"], paused: "1", "autoscaling.keda.sh/paused": "false"}
    api.put(f"{SCALED}/{NAME}", {**one, "metadata": {**one["metadata"], "annotations": noted}})
    assert altered(with_keda, SCHEDULED) == (
        f"ScaledObject {NAME} is paused by the annotation {paused}",
    )
    with_keda.ensure(ruled(SCHEDULED), 2)
    assert altered(with_keda, SCHEDULED) == ()
    api.drop(f"{SCALED}/{NAME}")
    assert altered(with_keda, SCHEDULED) == (f"ScaledObject {NAME} is gone",)


def owner(manager: str, path: str = "replicas") -> dict:
    fields = {"f:spec": {f"f:{path}": {}}}
    return {"manager": manager, "operation": "Apply", "fieldsV1": fields}


@pytest.mark.parametrize(
    ("managers", "handed"), [(("pulumi-inference",), True), (("kube-controller-manager",), False)]
)
def test_a_count_that_we_apply_is_handed_over_before_it_is_left_out(api, managers, handed):
    about = {"name": NAME, "namespace": "lab", "managedFields": [owner(one) for one in managers]}
    one = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about}
    one |= {"spec": {"replicas": 3}}
    assert is_applied(one, "spec.replicas") is handed
    client = client_of(api)
    counts = Counts(client, "lab", Autoscalers(client, "lab"))
    counts.let_go(one)
    assert len(api.requests) == handed
    path = f"{AUTOSCALERS}/{NAME}"
    api.put(path, {"kind": "HorizontalPodAutoscaler", "metadata": {"name": NAME}})
    counts.take_back(one)
    assert path not in api.objects
