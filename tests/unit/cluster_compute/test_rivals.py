"""Autoscalers that somebody else has pointed at Deployments of ours."""

from tests.unit.cluster_compute.rules import AUTOSCALERS, NAME, altered, rule, ruled
from tests.unit.cluster_compute.units import of_kind, unit


def scale_by_hand(api, name: str = "web", of: str = NAME, **labels: str) -> dict:
    """Make an autoscaler as a person does."""
    about = {"name": name, "namespace": "lab", "labels": labels}
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": of}}
    made = api.put(
        f"{AUTOSCALERS}/{name}",
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": about,
            "spec": spec,
        },
    )
    status = {"manager": "kube-controller-manager", "subresource": "status"}
    made["metadata"]["managedFields"] = [status, {"manager": "kubectl-autoscale"}]
    made["metadata"]["creationTimestamp"] = "2026-11-26T08:00:00Z"
    return made


BY = "made by kubectl-autoscale at 2026-11-26T08:00:00Z"


def test_an_autoscaler_of_others_is_told_with_who_made_it(api, compute):
    compute.ensure(unit(), 1)
    scale_by_hand(api)
    assert altered(compute, None) == (
        f"HorizontalPodAutoscaler web, {BY}, scales Deployment {NAME}, and `up` undoes what it"
        " does: delete it, or declare an autoscale rule instead",
    )


def test_an_autoscaler_of_others_beside_a_rule_is_told_to_fight_it(api, compute):
    compute.ensure(ruled(), 1)
    compute.scale_in(ruled(), 1, 5)
    scale_by_hand(api)
    assert altered(compute, rule()) == (
        f"HorizontalPodAutoscaler web, {BY}, scales Deployment {NAME}, and fights the autoscale"
        " rule: delete it, or the rule",
    )


def test_a_copy_of_our_autoscaler_is_of_others(api, compute):
    compute.ensure(ruled(), 1)
    compute.scale_in(ruled(), 1, 5)
    copied = api.objects[f"{AUTOSCALERS}/{NAME}"]["metadata"]["labels"]
    scale_by_hand(api, "copy", **copied)
    [said] = altered(compute, rule())
    assert said.startswith(f"HorizontalPodAutoscaler copy, {BY}, scales Deployment {NAME}, and")


def test_one_of_the_name_that_kubectl_gives_is_told_once_and_left(api, compute):
    compute.ensure(unit(), 1)
    scale_by_hand(api, NAME)
    [said] = altered(compute, None)
    assert said.startswith(f"HorizontalPodAutoscaler {NAME}, {BY}, scales Deployment {NAME}, and")
    compute.ensure(unit(), 1)
    compute.retire("iris/blue", [NAME], 5)
    assert of_kind(api, "Deployment") == []
    assert of_kind(api, "HorizontalPodAutoscaler") == [NAME]


def test_an_autoscaler_of_something_else_is_nobodys_business(api, compute):
    compute.ensure(unit(), 1)
    scale_by_hand(api, of="web")
    assert altered(compute, None) == ()
