"""Autoscale rules that KEDA keeps: what is applied, what is ended, and what is told of it."""

import time
from types import SimpleNamespace

import pytest
from tests.cluster_api import failure
from tests.unit.cluster_compute.rules import (
    AUTOSCALERS,
    CPU,
    DAY,
    KEDA,
    NAME,
    altered,
    count,
    rule,
    ruled,
    scaled,
)
from tests.unit.cluster_compute.units import compute_over, of_kind, unit

from inference_provider.errors import TargetError
from inference_provider.targets.kubernetes import autoscalers
from inference_provider.targets.kubernetes.autoscalers import kind_for
from inference_provider.targets.kubernetes.objects import DEPLOYMENT
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.scaled_objects import scaled_object_spec

SCALED = "/apis/keda.sh/v1alpha1/namespaces/lab/scaledobjects"
OF_KEDA = f"{AUTOSCALERS}/keda-hpa-{NAME}"


@pytest.fixture
def with_keda(api, controllers):
    """Compute in a cluster with KEDA, which makes and ends an autoscaler."""
    api.groups = ("metrics.k8s.io", "keda.sh")
    return compute_over(api, served=lambda: api.groups)


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


@pytest.mark.parametrize(("asked", "idle_s"), [({}, 300), ({"stabilization_s": 60}, 60)])
def test_a_rule_to_zero_says_how_soon_the_first_starts_and_the_last_ends(asked, idle_s):
    to_zero = rule(min_instances=0, scale_in=asked, targets=REQUESTS.targets)
    spec = scaled_object_spec(NAME, "lab", to_zero, DEPLOYMENT)
    assert spec["minReplicaCount"] == 0
    assert spec["pollingInterval"] == 2
    assert spec["cooldownPeriod"] == spec["initialCooldownPeriod"] == idle_s


REQUESTS = rule(targets=[{"metric": "RequestsInFlight", "target": 8}])


@pytest.mark.parametrize(
    ("asked", "served", "kind"),
    [
        (rule(), KEDA, "HorizontalPodAutoscaler"),
        (rule(schedules=[DAY]), KEDA, "ScaledObject"),
        (REQUESTS, ("keda.sh",), "ScaledObject"),
        (REQUESTS, KEDA, "HorizontalPodAutoscaler"),
        (rule(min_instances=0, targets=REQUESTS.targets), KEDA, "ScaledObject"),
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


def test_a_scaled_object_that_may_not_be_deleted_is_not_passed_over(api, with_keda):
    with_keda.ensure(ruled(SCHEDULED), 2)
    with_keda.scale_in(ruled(SCHEDULED), 2, 5)
    said = 'User "ann" cannot delete resource "scaledobjects" in API group "keda.sh"'
    api.refuse = lambda asked: (
        failure(403, said)
        if asked.method == "DELETE" and "/scaledobjects/" in asked.url.path
        else None
    )
    with pytest.raises(Forbidden, match="'ann' may not delete scaledobjects"):
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
