"""An identity that a role assignment lets deploy by itself does so, until that is taken away."""

from pathlib import Path

import pytest
import yaml

from inference_provider.desired import resolve
from inference_provider.errors import InferenceError
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.spec import StackSpec
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.engine import Engine
from tests import cluster_host
from tests.cluster.runtime import runtime_image
from tests.cluster.test_rights import Deployer

pytestmark = pytest.mark.cluster
ANN, ROBOT = Actor(user="ann", command="pytest"), Actor(user="robot", command="pytest")
ASSIGNED = ResourceId(kind=Kind.ROLE_ASSIGNMENT, workspace="managed", name="deploys")


def stack(namespace: str, *endpoints: str) -> StackSpec:
    place = {"kind": "kubernetes", "namespace": namespace}
    space = {"name": "managed", "target": place, "runtime_image": runtime_image()}
    assigned = {"name": "deploys", "principal": "robot", "role": "AzureML Data Scientist"}
    inside = {"workspace": "managed"}
    return StackSpec.model_validate(
        {
            "name": "managed",
            "workspaces": [space],
            "identities": [{"name": "robot", **inside}],
            "role_assignments": [{**assigned, **inside}],
            "endpoints": [{"name": name, **inside} for name in endpoints],
        }
    )


def apply(platform: KubernetesPlatform, actor: Actor, spec: StackSpec) -> None:
    engine = Engine(platform)
    for one in resolve(spec):
        engine.apply(one, actor)


def opened(namespace: str) -> KubernetesPlatform:
    return KubernetesPlatform(KubernetesPlace(kind="kubernetes", namespace=namespace))


def as_robot(api, namespace: str, folder: Path) -> Path:
    """Write a kubeconfig of the identity's account."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/identity-robot/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api.create(path, asked)["status"]["token"]
    config = yaml.safe_load(Path(cluster_host.KUBECONFIG).read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    written = folder / "robot"
    written.write_text(yaml.safe_dump(config))
    return written


def test_an_identity_deploys_by_itself_until_its_assignment_is_removed(
    api, namespace, tmp_path, monkeypatch
):
    ours = opened(namespace)
    apply(ours, ANN, stack(namespace))
    monkeypatch.setenv("KUBECONFIG", str(as_robot(api, namespace, tmp_path)))
    theirs = opened(namespace)
    apply(theirs, ROBOT, stack(namespace, "iris"))
    iris = ResourceId(kind=Kind.ENDPOINT, workspace="managed", name="iris")
    assert Engine(theirs).observe_one(iris).degraded == ""
    Engine(ours).delete(ASSIGNED, "managed", ANN)
    with pytest.raises(Forbidden, match=r"identity-robot' may not \w+ (secrets|leases)"):
        apply(theirs, ROBOT, stack(namespace, "iris", "rose"))
    for platform in (theirs, ours):
        platform.close()


def test_who_may_not_do_all_of_it_cannot_give_it_and_is_told(api, namespace, tmp_path, monkeypatch):
    deployer = Deployer(api, namespace, tmp_path)
    deployer.without("scaledobjects", "patch")
    monkeypatch.setenv("KUBECONFIG", str(deployer.kubeconfig))
    platform = opened(namespace)
    with pytest.raises(InferenceError) as refused:
        apply(platform, ANN, stack(namespace))
    assert (
        f"'{deployer.user}' may give no right that it lacks: patch on scaledobjects;"
        " ask for a Role with patch on scaledobjects too"
    ) in str(refused.value)
    assert Engine(platform).record(ASSIGNED) is None
    platform.close()


def test_who_has_the_documented_role_can_give_it(api, namespace, tmp_path, monkeypatch):
    deployer = Deployer(api, namespace, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(deployer.kubeconfig))
    platform = opened(namespace)
    apply(platform, ANN, stack(namespace))
    binding = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    path = f"{binding}/assignment-deploys"
    assert Engine(platform).observe_one(ASSIGNED).degraded == ""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "assignment-deploys"}
    other = {"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}
    there = api.get(path)
    api.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "assignment-deploys", "namespace": namespace},
            "roleRef": role,
            "subjects": [*there["subjects"], other],
        }
    )
    assert "subjects set by" in Engine(platform).observe_one(ASSIGNED).degraded
    apply(platform, ANN, stack(namespace))
    assert api.get(path)["subjects"] == there["subjects"]
    assert Engine(platform).observe_one(ASSIGNED).degraded == ""
    platform.close()
