"""Autoscale rules in a cluster: what is refused, what is applied, and who decides the count."""

import httpx
import pytest
from tests.cluster_api import client_of, failure
from tests.unit.cluster_compute.rules import (
    AUTOSCALERS,
    CPU,
    NAME,
    altered,
    count,
    rule,
    ruled,
    scaled,
)
from tests.unit.cluster_compute.units import of_kind, unit

from inference_provider.targets.kubernetes.applied import is_applied
from inference_provider.targets.kubernetes.autoscalers import Autoscalers
from inference_provider.targets.kubernetes.counts import Counts

# -- what is applied -------------------------------------------------------------------------------


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
