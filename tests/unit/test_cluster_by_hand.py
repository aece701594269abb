"""What others have changed of objects in a cluster, by what the API server notes of them."""

import pytest

from inference_provider.targets.kubernetes.applied import MARK, by_hand
from inference_provider.targets.kubernetes.objects import DEPLOYMENT, SECRET
from inference_provider.targets.kubernetes.observed_objects import altered, opening

OURS = {
    "manager": "pulumi-inference",
    "operation": "Apply",
    "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}},
}
MARKED = "4988c7fd39f8312c"


def deployment(*entries: dict, mark: str = "") -> dict:
    noted = {MARK: mark} if mark else {}
    about = {"name": "iris", "annotations": noted, "managedFields": list(entries)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about}


def by(manager: str, fields: dict, **more: str) -> dict:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


def test_an_object_that_only_we_have_set_is_as_it_was_applied():
    assert by_hand(deployment(OURS, mark=MARKED)) == ""


def test_an_object_without_a_mark_is_not_taken_for_changed():
    assert by_hand(deployment(OURS)) == ""


def test_a_field_that_somebody_removed_is_told():
    left = {**OURS, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    told = "some of its fields were changed or removed by hand"
    assert by_hand(deployment(left, mark=MARKED)) == told


def test_what_controllers_note_is_no_change_by_hand():
    status = by("kube-controller-manager", {"f:status": {"f:replicas": {}}}, subresource="status")
    noted = by("kube-controller-manager", {"f:metadata": {"f:annotations": {"f:x": {}}}})
    assert by_hand(deployment(OURS, status, noted, mark=MARKED)) == ""


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (
            by("kubectl-edit", {"f:spec": {"f:paused": {}}}, time="2026-11-26T08:00:00Z"),
            "spec.paused set by kubectl-edit at 2026-11-26T08:00:00Z",
        ),
        (
            by("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale"),
            "spec.replicas set by kubectl",
        ),
    ],
)
def test_what_others_have_set_is_told_with_who_and_when(entry, told):
    assert by_hand(deployment(OURS, entry)) == told


def test_a_claim_that_a_controller_has_bound_is_as_it_was_applied():
    bound = by("kube-controller-manager", {"f:spec": {"f:volumeName": {}}})
    claim = deployment(OURS, bound) | {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    assert by_hand(claim) == ""


def test_what_is_gone_is_told_by_its_kind_and_name():
    there = {(DEPLOYMENT, "iris"): deployment(OURS)}
    assert [*altered([(DEPLOYMENT, "iris"), (SECRET, "iris")], there)] == ["Secret iris is gone"]


def policy(chosen: dict, ingress: list | None = None, manager: str = "kubectl-create") -> dict:
    spec = {"podSelector": chosen, "ingress": [{}] if ingress is None else ingress}
    return {"metadata": {"name": "p", "managedFields": [{"manager": manager}]}, "spec": spec}


def expression(key: str, operator: str, *values: str) -> dict:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


ROLE = "pulumi-inference/role"


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"matchLabels": {ROLE: "instance"}},
        {"matchLabels": {"pulumi-inference/endpoint": "iris"}},
        expression(ROLE, "In", "instance", "router"),
        expression(ROLE, "NotIn", "router"),
        expression("app", "DoesNotExist"),
        expression("app", "NotIn", "web"),
        expression("pod-template-hash", "Exists"),
    ],
)
def test_a_policy_of_others_that_chooses_instances_opens_them(chosen):
    assert len([*opening([policy(chosen)], "demo")]) == 1


@pytest.mark.parametrize(
    "chosen",
    [
        {"matchLabels": {"app": "web"}},
        {"matchLabels": {ROLE: "router"}},
        {"matchLabels": {"pulumi-inference/workspace": "another"}},
        expression(ROLE, "NotIn", "instance"),
        expression(ROLE, "DoesNotExist"),
        expression("app", "Exists"),
        expression("pod-template-hash", "DoesNotExist"),
    ],
)
def test_a_policy_of_others_for_other_pods_opens_nothing(chosen):
    assert [*opening([policy(chosen)], "demo")] == []


def test_a_policy_that_allows_nothing_or_is_ours_opens_nothing():
    policies = [policy({}, ingress=[]), policy({}, manager="pulumi-inference")]
    assert [*opening(policies, "demo")] == []
