"""What others have changed of objects in a cluster, by what the API server notes of them."""

import pytest
from tests.cluster_api import ClusterApi, client_of

from inference_provider.targets.kubernetes import applied
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
    left = {**OURS, "fieldsV1": {"f:spec": {}}}
    assert by_hand(deployment(left, entry)) == told


def test_what_went_with_another_field_is_nobodys_change():
    both = by("kubectl-patch", {"f:spec": {"f:externalTrafficPolicy": {}, "f:type": {}}})
    there = {**deployment(OURS, both), "spec": {"type": "NodePort"}}
    assert by_hand(there) == "spec.type set by kubectl-patch"


def test_what_others_have_set_to_what_we_apply_is_no_change():
    entry = by("kube-controller-manager", {"f:spec": {"f:replicas": {}}}, subresource="scale")
    assert by_hand(deployment(OURS, entry, mark=MARKED)) == ""


def test_a_count_that_is_left_to_others_is_theirs_and_nothing_else_is():
    left = {**OURS, "fieldsV1": {"f:spec": {"f:paused": {}}}}
    count = by("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale")
    both = by("kubectl-edit", {"f:spec": {"f:replicas": {}, "f:minReadySeconds": {}}})
    assert by_hand(deployment(left, count), ("replicas",)) == ""
    assert by_hand(deployment(left, both), ("replicas",)) == (
        "spec.minReadySeconds set by kubectl-edit"
    )


def test_a_count_that_was_ours_and_is_left_to_others_now_was_not_removed():
    left = {**OURS, "fieldsV1": {"f:spec": {"f:paused": {}}}}
    told = "some of its fields were changed or removed by hand"
    assert by_hand(deployment(left, mark=MARKED)) == told
    assert by_hand(deployment(left, mark=MARKED), ("replicas",)) == ""
    neither = {**OURS, "fieldsV1": {"f:spec": {}}}
    assert by_hand(deployment(neither, mark=MARKED), ("replicas",)) == told


def test_a_claim_that_a_controller_has_bound_is_as_it_was_applied():
    bound = by("kube-controller-manager", {"f:spec": {"f:volumeName": {}}})
    claim = deployment(OURS, bound) | {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    assert by_hand(claim) == ""


def test_what_is_gone_is_told_by_its_kind_and_name():
    there = {(DEPLOYMENT, "iris"): deployment(OURS)}
    assert [*altered([(DEPLOYMENT, "iris"), (SECRET, "iris")], there)] == ["Secret iris is gone"]


@pytest.mark.parametrize(
    ("finalizers", "told"),
    [
        (
            ["example.org/x"],
            "is being deleted, and waits for who set its finalizers: example.org/x",
        ),
        (["foregroundDeletion", "kubernetes.io/pvc-protection"], "is being deleted"),
    ],
)
def test_what_is_being_deleted_is_told_with_what_of_others_it_waits_for(finalizers, told):
    one = deployment(OURS)
    one["metadata"] |= {"deletionTimestamp": "2026-11-26T08:00:00Z", "finalizers": finalizers}
    assert [*altered([(DEPLOYMENT, "iris")], {(DEPLOYMENT, "iris"): one})] == [
        f"Deployment iris {told}"
    ]


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


def applied_fields(one: object) -> dict:
    """Return which fields of an object the API server notes as applied."""
    if not isinstance(one, dict):
        return {}
    return {
        f"f:{name}": applied_items(value) if isinstance(value, list) else applied_fields(value)
        for name, value in one.items()
        if name not in ("apiVersion", "kind", "name", "namespace")
    }


def applied_items(items: list) -> dict:
    keys = ("topologyKey", "whenUnsatisfiable")
    return {f"k:{[one.get(key) for key in keys]}": applied_fields(one) for one in items}


def noting(api):
    """Have an API server in memory note which fields were applied first."""
    stored, noted = api._stored, {}

    def store(path, one, type_):
        about = {
            name: v for name, v in one["metadata"].items() if name in ("labels", "annotations")
        }
        fields = applied_fields({**one, "metadata": about})
        entry = {"manager": "pulumi-inference", "operation": "Apply", "fieldsV1": fields}
        made = stored(path, one, type_)
        made["metadata"]["managedFields"] = noted.setdefault(path, [entry])
        return made

    api._stored = store


def test_objects_of_one_shape_are_marked_by_the_request_that_applies_them(monkeypatch):
    monkeypatch.setattr(applied, "_MARKS", {})
    api = ClusterApi()
    noting(api)
    client = client_of(api)
    for name in ("one", "two"):
        about = {"name": name, "namespace": "lab", "labels": {"team": name}}
        one = {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": {"port": 1}}
        applied.apply_ours(client, one, lambda _said: None)
    assert [line.rpartition("/")[2] for line in api.requests] == ["one", "one", "two"]
    assert [by_hand(one) for one in api.objects.values()] == ["", ""]


def test_an_object_of_another_shape_has_a_mark_of_its_own(monkeypatch):
    monkeypatch.setattr(applied, "_MARKS", {})
    api = ClusterApi()
    noting(api)
    client = client_of(api)
    for name, spec in (("one", {"port": 1}), ("two", {"port": 1, "type": "x"})):
        about = {"name": name, "namespace": "lab"}
        one = {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": spec}
        applied.apply_ours(client, one, lambda _said: None)
    marks = {one["metadata"]["annotations"][MARK] for one in api.objects.values()}
    assert len(marks) == 2
    assert [by_hand(one) for one in api.objects.values()] == ["", ""]


@pytest.mark.parametrize("other", [{"topologyKey": "zone"}, {"whenUnsatisfiable": "DoNotSchedule"}])
def test_objects_that_are_spread_otherwise_are_of_two_shapes_and_marked_at_once(other, monkeypatch):
    monkeypatch.setattr(applied, "_MARKS", {})
    api = ClusterApi()
    noting(api)
    client = client_of(api)
    spread = {"topologyKey": "hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    for name, more in (("a", {}), ("b", other), ("c", {}), ("d", other)):
        about, spec = {"name": name, "namespace": "lab"}, {"spread": [{**spread, **more}]}
        one = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": spec}
        applied.apply_ours(client, one, lambda _said: None)
    assert [line.rpartition("/")[2] for line in api.requests] == ["a", "a", "b", "b", "c", "d"]
