"""What a deployment is scheduled with must be in the cluster; what there is, is named."""

import json

import httpx
import pytest
from pydantic import ValidationError
from tests.cluster_api import ClusterApi, client_of, failure
from tests.memory import desired

from inference_provider.capabilities import TargetCapabilities
from inference_provider.observed import Kind
from inference_provider.refusals import refusals
from inference_provider.spec import DeploymentSpec, WorkspaceSpec
from inference_provider.spec.resources import Resources
from inference_provider.targets.kubernetes.beside import Beside
from inference_provider.targets.kubernetes.capabilities import (
    Asked,
    closed_fault,
    kubernetes_capabilities,
)
from inference_provider.targets.kubernetes.classes import KnownNames, missing
from inference_provider.targets.kubernetes.records import ClusterRecords

PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"
ACCOUNTS = "/api/v1/namespaces/lab/serviceaccounts"
FORBIDDEN = 'priorityclasses is forbidden: User "ann" cannot list resource "priorityclasses"'
ROLE = {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/reader"}}


@pytest.fixture
def api():
    made = ClusterApi()
    for path, name in ((PRIORITIES, "low"), (PRIORITIES, "high"), (ACCOUNTS, "default")):
        made.put(f"{path}/{name}", {"kind": "X", "metadata": {"name": name}})
    return made


def blue(**scheduling) -> DeploymentSpec:
    return DeploymentSpec.model_validate(
        {"endpoint": "iris", "name": "blue", "environment": "plain:1", "scheduling": scheduling}
    )


def space(**cluster) -> WorkspaceSpec:
    return WorkspaceSpec.model_validate({"name": "demo", "cluster": cluster})


def faults(api, deployment, workspace=None):
    client = client_of(api)
    return [str(one) for one in missing(deployment, workspace, KnownNames(lambda: client), "lab")]


def test_a_class_that_is_not_there_is_refused_with_those_that_are(api):
    assert faults(api, blue(priority_class="high")) == []
    assert faults(api, blue(priority_class="top", runtime_class="gvisor")) == [
        "scheduling.priority_class: the cluster has no PriorityClass 'top'; leave it out, or use"
        " one of: high, low",
        "scheduling.runtime_class: the cluster has no RuntimeClass 'gvisor'; leave it out",
    ]


DEVICES = "/apis/resource.k8s.io/v1"


def claiming(name) -> DeploymentSpec:
    resources = {"limits": {"gpu": 1}, "device_class": name}
    return blue().model_copy(update={"resources": Resources.model_validate(resources)})


def test_a_device_class_that_is_not_there_is_refused_with_those_that_are(api):
    api.put(
        DEVICES,
        {"kind": "APIResourceList", "metadata": {}, "resources": [{"name": "deviceclasses"}]},
    )
    api.put(f"{DEVICES}/deviceclasses/gpu.nvidia.com", {"metadata": {"name": "gpu.nvidia.com"}})
    assert faults(api, claiming("gpu.nvidia.com")) == []
    assert faults(api, claiming("gpu.amd.com")) == [
        "resources.device_class: the cluster has no DeviceClass 'gpu.amd.com'; leave it out, or use"
        " one of: gpu.nvidia.com"
    ]


def test_a_device_class_is_refused_where_its_api_is_not_served(api):
    assert faults(api, claiming("gpu.nvidia.com")) == [
        "resources.device_class: the cluster does not serve resource.k8s.io/v1, which Kubernetes"
        " 1.34 and newer have; leave it out, and its nodes' device plugin counts GPUs"
    ]
    assert api.requests == [f"GET {DEVICES}"]


def test_whether_an_api_is_served_is_asked_once_for_many_deployments(api):
    known = KnownNames(lambda: client_of(api))
    for _ in range(3):
        assert len([*missing(claiming("gpu.nvidia.com"), None, known, "lab")]) == 1
    assert api.requests == [f"GET {DEVICES}"]


def test_classes_are_listed_once_for_many_deployments_and_never_for_none(api):
    known = KnownNames(lambda: client_of(api))
    for scheduling in ({}, {"priority_class": "high"}, {"priority_class": "low"}):
        assert [*missing(blue(**scheduling), None, known, "lab")] == []
    assert api.requests == [f"GET {PRIORITIES}"]


def test_who_may_not_list_classes_is_refused_nothing(api):
    api.refuse = lambda asked: failure(403, FORBIDDEN) if asked.url.path == PRIORITIES else None
    assert faults(api, blue(priority_class="top")) == []


def test_a_service_account_is_declared_by_the_workspace_or_there_already(api):
    asked = blue(service_account="reader")
    assert faults(api, blue(service_account="default"), space()) == []
    assert faults(api, asked, space(service_accounts={"reader": ROLE})) == []
    assert faults(api, asked) == []  # its workspace is not known
    assert faults(api, asked, space()) == [
        "scheduling.service_account: the workspace declares no ServiceAccount 'reader', and nobody"
        " else has made it; declare it in the workspace's cluster.service_accounts, or use one of:"
        " default"
    ]


def test_a_service_account_that_is_declared_no_more_is_not_taken_for_there(api):
    client = client_of(api)
    records = ClusterRecords(client, "lab", "demo")
    records.make()
    Beside(client, records).make(space(service_accounts={"reader": ROLE, "writer": {}}))
    asked, declared = blue(service_account="reader"), {"writer": {}}
    assert faults(api, asked, space(service_accounts=declared)) == [
        "scheduling.service_account: the workspace declares no ServiceAccount 'reader', and nobody"
        " else has made it; declare it in the workspace's cluster.service_accounts, or use one of:"
        " default"
    ]
    assert faults(api, blue(service_account="writer"), space(service_accounts=declared)) == []


def test_another_target_schedules_nothing():
    [refused] = refusals(
        [desired(Kind.DEPLOYMENT, blue(spread="nodes"))], TargetCapabilities(name="local")
    )
    assert str(refused) == (
        "Deployment 'default/iris/blue' on target 'local': scheduling: has no meaning here: only a"
        " cluster has it; leave it out"
    )


@pytest.mark.parametrize("target", ["local", "docker", "memory"])
def test_only_a_cluster_spreads_an_instance_over_several_nodes(target):
    asked = blue().model_copy(update={"nodes_per_instance": 2})
    [refused] = refusals([desired(Kind.DEPLOYMENT, asked)], TargetCapabilities(name=target))
    assert str(refused) == (
        f"Deployment 'default/iris/blue' on target '{target}': nodes_per_instance: only a cluster"
        " has several nodes; leave it out"
    )


GROUPS = "/apis/leaderworkerset.x-k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def on_two_nodes(**fields) -> DeploymentSpec:
    return blue().model_copy(update={"nodes_per_instance": 2, **fields})


def with_groups(api, *allowed):
    """Have the cluster serve LeaderWorkerSets, on which this user may do what is allowed."""
    resources = [{"name": "leaderworkersets"}, {"name": "leaderworkersets/scale"}]
    api.put(GROUPS, {"kind": "APIResourceList", "metadata": {}, "resources": resources})

    def review(asked):
        if asked.url.path != REVIEWS:
            return None
        about = json.loads(asked.content)["spec"]["resourceAttributes"]
        assert (about["resource"], about["namespace"]) == ("leaderworkersets", "lab")
        return httpx.Response(201, json={"status": {"allowed": about["verb"] in allowed}})

    api.refuse = review


def test_an_instance_on_several_nodes_is_refused_where_nothing_makes_it(api):
    assert faults(api, on_two_nodes()) == [
        "nodes_per_instance: the cluster does not serve leaderworkerset.x-k8s.io/v1, which makes"
        " instances on several nodes; install LeaderWorkerSet (https://lws.sigs.k8s.io), 0.9 or"
        " newer"
    ]
    assert faults(api, blue()) == []


def test_an_instance_on_several_nodes_is_refused_to_who_may_not_make_it(api):
    with_groups(api, "get", "list", "watch")
    assert faults(api, on_two_nodes()) == [
        "nodes_per_instance: you may not create, update, patch, delete"
        " leaderworkersets.leaderworkerset.x-k8s.io in namespace 'lab'; ask for a Role that allows"
        " it: docs/deployer-role.yaml"
    ]
    with_groups(api, "get", "list", "watch", "create", "update", "patch", "delete")
    assert faults(api, on_two_nodes()) == []


def test_workers_without_a_way_out_would_not_find_their_leader():
    closed = on_two_nodes(egress_public_network_access="disabled")
    assert str(closed_fault(closed, space(network_policies="enforced"), None)) == (
        "nodes_per_instance: workers ask a name server for their leader, and without a way out"
        " there is none; leave egress enabled"
    )
    assert closed_fault(on_two_nodes(), space(network_policies="enforced"), None) is None


QUOTA = "/api/v1/namespaces/lab/resourcequotas/inference-quota"
LIMITS = "/api/v1/namespaces/lab/limitranges/inference-limits"
BOUNDS = {
    "quota": {"requests.cpu": 64, "pods": "100"},
    "limits": {"default": {"cpu": 0.5}, "max": {"memory": "64Gi"}},
}


def test_a_quota_and_limits_come_and_go_with_their_declaration(api):
    client = client_of(api)
    records = ClusterRecords(client, "lab", "demo")
    records.make()
    beside = Beside(client, records)
    beside.make(space(**BOUNDS))
    assert api.objects[QUOTA]["spec"] == {"hard": {"requests.cpu": "64", "pods": "100"}}
    assert api.objects[LIMITS]["spec"]["limits"] == [
        {"type": "Container", "default": {"cpu": "0.5"}, "max": {"memory": "64Gi"}}
    ]
    beside.make(space(quota=BOUNDS["quota"]))
    assert (QUOTA in api.objects, LIMITS in api.objects) == (True, False)
    beside.remove()
    assert QUOTA not in api.objects


def test_a_quota_is_refused_by_name_in_a_namespace_that_was_there():
    def refused(theirs):
        asked = Asked(namespace_of_others=lambda _workspace: theirs)
        can = kubernetes_capabilities(lambda: None, lambda: None, asked)
        spec = space(**BOUNDS).model_copy(update={"runtime_image": "router:1"})
        return [str(one) for one in can.workspace_faults(spec)]

    assert refused("") == []
    assert refused("team-a") == [
        "cluster.quota: namespace 'team-a' was there before, and is bounded by who made it; leave"
        " it out",
        "cluster.limits: namespace 'team-a' was there before, and is bounded by who made it; leave"
        " it out",
    ]


@pytest.mark.parametrize("amount", ["64 Gi", "-1", "lots", True])
def test_an_amount_that_kubernetes_does_not_know_is_refused(amount):
    with pytest.raises(ValidationError):
        space(quota={"pods": amount})


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (68719476736, "68719476736"),
        (68719476736.0, "68719476736"),
        (1e22, "10000000000000000000000"),
        (1234567.5, "1234567.5"),
        (0.00005, "0.00005"),
        (3.0, "3"),
        (0, "0"),
    ],
)
def test_a_number_is_written_out_whatever_its_size(amount, text):
    assert space(quota={"requests.memory": amount}).cluster.quota == {"requests.memory": text}


def test_service_accounts_come_and_go_with_their_declaration(api):
    client = client_of(api)
    records = ClusterRecords(client, "lab", "demo")
    records.make()
    beside = Beside(client, records)
    beside.make(space(service_accounts={"reader": ROLE, "writer": {}}))
    made = api.objects[f"{ACCOUNTS}/reader"]
    assert made["metadata"]["annotations"].items() >= ROLE["annotations"].items()
    assert made["automountServiceAccountToken"] is False
    beside.make(space(service_accounts={"writer": {}}))
    assert f"{ACCOUNTS}/reader" not in api.objects
    assert f"{ACCOUNTS}/default" in api.objects
    beside.remove()
    assert f"{ACCOUNTS}/writer" not in api.objects
