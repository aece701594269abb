"""What of a workspace only a cluster has: refused elsewhere, and what becomes of a claim."""

from typing import Any

import pytest
from tests.cluster_api import ClusterApi, client_of
from tests.memory import desired

from inference_provider.capabilities import TargetCapabilities
from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.refusals import refusals
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, WorkspaceSpec
from inference_provider.targets.kubernetes.beside import Beside
from inference_provider.targets.kubernetes.capabilities import closed_fault, kubernetes_capabilities
from inference_provider.targets.kubernetes.content_manifests import Volume, bytes_of, claim_fault
from inference_provider.targets.kubernetes.records import ClusterRecords

ROUTE = {"path": "/", "port": 8080}
ROUTES = {f"{name}_route": ROUTE for name in ("liveness", "readiness", "scoring")}
CLOSED: dict[str, Any] = {"egress_public_network_access": "disabled"}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "inference-content", "namespace": "demo"},
    "spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "20Gi"}}},
}


def workspace(target="kubernetes", **cluster):
    spec = {"name": "demo", "target": target, "cluster": cluster}
    image = {"runtime_image": "router:1"} if target == "kubernetes" else {}
    return WorkspaceSpec.model_validate({**spec, **image})


def refused(spec, capabilities):
    return [str(one) for one in refusals([desired(Kind.WORKSPACE, spec)], capabilities)]


def test_what_only_a_cluster_has_is_refused_by_other_targets():
    capabilities = TargetCapabilities(name="local")
    assert refused(workspace("local", router={"replicas": 3}), capabilities) == [
        "Workspace 'demo' on target 'local': cluster: has no meaning here: only a cluster has it;"
        " leave it out"
    ]
    assert refused(workspace("local"), capabilities) == []


def test_a_storage_class_without_a_size_is_refused():
    spec = workspace(storage={"storage_class": "fast"})
    assert refused(spec, kubernetes_capabilities(lambda: None, lambda: None)) == [
        "Workspace 'demo' on target 'kubernetes': cluster.storage.storage_class: a class without a"
        " size makes no claim; add size, for example 20Gi"
    ]


def test_a_service_account_has_no_name_of_one_that_is_the_routers_or_an_identitys():
    said = "Workspace 'demo' on target 'kubernetes': cluster.service_accounts."
    remedy = "use another, or declare an Identity with its annotations"
    accounts = {"inference-router": {}, "identity-robot": {}, "inference-reader": {}, "robot": {}}
    spec = workspace(service_accounts=accounts)
    assert refused(spec, kubernetes_capabilities(lambda: None, lambda: None)) == [
        f"{said}inference-router: the name is the router's; {remedy}",
        f"{said}identity-robot: the name is an Identity's; {remedy}",
    ]


def test_a_plan_says_where_content_lies_without_a_claim():
    notes = kubernetes_capabilities(lambda: None, lambda: None).notes
    assert [*notes(desired(Kind.WORKSPACE, workspace()), None)] == [
        "models and code lie on the disk of a node, and `up` copies them again after their pod has"
        " moved; `cluster: {storage: {size: 20Gi}}` keeps them on a claim"
    ]
    claimed = desired(Kind.WORKSPACE, workspace(storage={"size": "20Gi"}))
    assert [*notes(claimed, None)] == []


@pytest.mark.parametrize(
    ("volume", "fault"),
    [
        (Volume("20Gi"), None),
        (Volume("20480Mi", "fast"), None),
        (Volume("1Ti"), None),
        (
            Volume("20G"),
            ("its claim has 20Gi, and cannot shrink to 20G", "write size: 20Gi"),
        ),
        (
            Volume("20Gi", "slow"),
            (
                "its claim is of storage class 'fast', which cannot be changed",
                "write that one, or leave it out",
            ),
        ),
    ],
)
def test_a_claim_grows_and_neither_shrinks_nor_changes_its_class(volume, fault):
    assert claim_fault(CLAIM, volume) == fault


@pytest.mark.parametrize(
    ("amount", "count"),
    [("20Gi", 21474836480), ("1k", 1000), ("512Mi", 536870912), ("7", 7), ("1.5Gi", 1610612736)],
)
def test_an_amount_of_bytes_is_read_as_kubernetes_writes_it(amount, count):
    assert bytes_of(amount) == count


def test_a_claim_that_would_shrink_stops_an_up_before_anything_changes():
    api = ClusterApi()
    api.objects["/api/v1/namespaces/demo/persistentvolumeclaims/inference-content"] = CLAIM
    client = client_of(api)
    beside = Beside(client, ClusterRecords(client, "demo", "demo"))
    with pytest.raises(TargetError) as refused:
        beside.refuse_other_claim(workspace(storage={"size": "10Gi"}))
    assert str(refused.value) == (
        "change storage of workspace 'demo': its claim has 20Gi, and cannot shrink to 10Gi; write"
        " size: 20Gi"
    )
    assert {one.split()[0] for one in api.requests} == {"GET"}


IMAGE = {"name": "own", "image": "scorer:1", "inference_config": ROUTES}
PACKAGES = {"name": "sklearn", "dependencies": ["scikit-learn==1.7.2"]}
ENFORCED = {"cluster": {"network_policies": "enforced"}}
NOT_ENFORCED = (
    "'disabled' needs a network plugin that enforces NetworkPolicies; a cluster does not tell; run"
    " `inferctl doctor`, and set the workspace's `cluster: {network_policies: enforced}`;"
    " or `allow_unenforced_egress: true`, where something else closes it"
)
INSTALLED = (
    "environment: its packages are installed in the pod, which has no way out to an index; name an"
    " image that has them, or set the workspace's registry: one is built then"
)


@pytest.mark.parametrize(
    ("space", "environment", "blue", "fault"),
    [
        ({}, PACKAGES, {}, ""),
        ({"egress": "disabled", **ENFORCED}, IMAGE, {}, ""),
        ({"egress": "disabled", **ENFORCED}, PACKAGES, {}, INSTALLED),
        (ENFORCED, PACKAGES, CLOSED, INSTALLED),
        ({**ENFORCED, "registry": "r.example.org/team"}, PACKAGES, CLOSED, ""),
        (ENFORCED, IMAGE, CLOSED, ""),
        ({}, IMAGE, CLOSED, f"egress_public_network_access: {NOT_ENFORCED}"),
        ({"allow_unenforced_egress": True}, IMAGE, CLOSED, ""),
        (None, IMAGE, CLOSED, ""),
    ],
)
def test_a_deployment_is_closed_where_policies_hold_and_nothing_is_installed(
    space, environment, blue, fault
):
    deployment = DeploymentSpec(endpoint="iris", name="blue", environment="own:1", **blue)
    spec = WorkspaceSpec.model_validate(space) if space is not None else None
    found = closed_fault(deployment, spec, EnvironmentSpec.model_validate(environment))
    assert str(found or "") == fault


def test_an_environment_of_before_its_workspace_had_a_registry_needs_another_version_to_be_closed():
    closed = DeploymentSpec(endpoint="iris", name="blue", environment="own:1", **CLOSED)
    spec = WorkspaceSpec.model_validate({**ENFORCED, "registry": "r.example.org/team"})
    found = closed_fault(closed, spec, EnvironmentSpec.model_validate(PACKAGES), installs=True)
    assert str(found) == (
        "environment: its packages are installed in the pod, which has no way out to an index;"
        " apply another version of it: an image that has them is built then"
    )


def test_a_workspace_is_closed_only_where_it_says_that_policies_hold():
    spec = workspace().model_copy(update={"egress": "disabled"})
    assert refused(spec, kubernetes_capabilities(lambda: None, lambda: None)) == [
        f"Workspace 'demo' on target 'kubernetes': egress: {NOT_ENFORCED}"
    ]


def test_a_plan_refuses_a_closed_deployment_whose_packages_must_be_installed():
    environment = EnvironmentSpec(**PACKAGES, content_hash="e" * 64)
    pinned = "sklearn:1@sha256:" + environment.content_hash
    blue = DeploymentSpec(endpoint="iris", name="blue", environment=pinned, **CLOSED)
    known = [desired(Kind.ENVIRONMENT, environment), desired(Kind.DEPLOYMENT, blue)]
    found = [
        str(one) for one in refusals(known, kubernetes_capabilities(lambda: None, lambda: None))
    ]
    assert found == [f"Deployment 'default/iris/blue' on target 'kubernetes': {INSTALLED}"]
