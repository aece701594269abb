"""Who deploys needs the documented Role in a namespace that exists, and is told what is missing."""

import time
from pathlib import Path

import pytest
import yaml

from inference_provider.drift import drift
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.target import KubernetesPlatform, KubernetesTarget
from tests import cluster_host
from tests.cluster.bare_instances import bare_compute, unit
from tests.cluster.devices import CLASS
from tests.cluster.devices import GROUP as DEVICES
from tests.conformance.labs import KubernetesLab, wait_until

pytestmark = pytest.mark.cluster

ROLE = Path(__file__).parents[2] / "docs" / "deployer-role.yaml"
GROUP = "rbac.authorization.k8s.io"
CONTENT = "http:inference-content:8080"


class Deployer:
    """A service account of a namespace, with a Role that a test narrows."""

    def __init__(self, api, namespace: str, folder: Path) -> None:
        self.api, self.namespace, self.folder = api, namespace, folder
        self.user = f"system:serviceaccount:{namespace}:deployer"
        about = {"namespace": namespace, "name": "deployer"}
        self.role = yaml.safe_load(ROLE.read_text())
        self.role["metadata"]["namespace"] = namespace
        binding = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": about,
            "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "inference-deployer"},
            "subjects": [{"kind": "ServiceAccount", **about}],
        }
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about}
        api.apply(account, self.role, binding)
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/deployer/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = api.create(path, asked)["status"]["token"]
        config = yaml.safe_load(Path(cluster_host.KUBECONFIG).read_text())
        for user in config["users"]:
            user["user"] = {"token": token}
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def without(self, resource: str, verb: str) -> None:
        """Take one right away; it is in force in a moment."""
        rules = [dict(rule) for rule in self.role["rules"]]
        kept = [rule for rule in rules if resource not in rule["resources"]]
        for rule in rules:
            if resource in rule["resources"]:
                others = [name for name in rule["resources"] if name != resource]
                verbs = [name for name in rule["verbs"] if name != verb]
                kept += [{**rule, "resources": others}] if others else []
                kept += [{**rule, "resources": [resource], "verbs": verbs}] if verbs else []
        self.api.apply({**self.role, "rules": kept})
        time.sleep(0.5)

    def lab(self) -> KubernetesLab:
        place = KubernetesPlace(kind="kubernetes", namespace=self.namespace)
        return KubernetesLab(KubernetesPlatform(place), self.folder, "rights")


@pytest.fixture
def deployer(api, namespace, tmp_path, monkeypatch):
    made = Deployer(api, namespace, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig))
    return made


def names(api, namespace: str) -> set[str]:
    found = {
        f"{kind}/{one['metadata']['name']}"
        for group, kind in (
            ("/api/v1", "secrets"),
            ("/api/v1", "configmaps"),
            ("/api/v1", "services"),
            ("/apis/apps/v1", "deployments"),
            ("/apis/policy/v1", "poddisruptionbudgets"),
            ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
            ("/apis/networking.k8s.io/v1", "networkpolicies"),
            (f"/apis/{GROUP}/v1", "roles"),
            (f"/apis/{GROUP}/v1", "rolebindings"),
            ("/apis/coordination.k8s.io/v1", "leases"),
        )
        for one in api.items(f"{group}/namespaces/{namespace}/{kind}")
    }
    return found - {"configmaps/kube-root-ca.crt"}


def test_the_documented_role_is_enough_and_nothing_is_left_after_down(deployer, api, namespace):
    before, refused = names(api, namespace), []
    lab = deployer.lab()

    def note(answer):
        path = answer.url.path
        bounds = "/resourcequotas/" in path or "/limitranges/" in path  # of a namespace of ours
        if answer.status_code == 403 and f"/namespaces/{namespace}/" in path and not bounds:
            refused.append(path)

    lab.platform.client._http.event_hooks["response"].append(note)
    lab.measure()
    lab.up()
    rule = lab.rule(min_instances=2, max_instances=2)
    lab.apply(lab.blue(), rule)
    lab.delete(rule.id)
    lab.apply(green := lab.deployment("green"), lab.rollout(green=100))
    wait_until(
        lambda: "workspace service runs" in lab.target.observe_one(lab.space().id).status, 90
    )
    service = {"port": 18443, "console": True}
    lab.apply(lab.space(logs={"otlp_endpoint": "http://collector.invalid:4318"}, service=service))
    listens = f"service on http://inference-web.{namespace}.svc:18443"
    wait_until(lambda: listens in lab.target.observe_one(lab.space().id).status, 90)
    lab.up()
    lab.delete(green.id)
    assert refused == []
    measuring = KubernetesTarget(KubernetesPlace(kind="kubernetes", namespace=namespace))
    unasked = "'iris/blue' asks for no cpu and no memory"  # told once its pod is measured
    notes = measuring.meter("rights")().notes
    assert [one for one in notes if not one.startswith(unasked)] == []
    measuring.kubernetes.close()
    assert drift(lab.desired, lab.target.observe([lab.workspace]), "demo").exit_code == 0
    assert lab.target.workspaces() == ("rights",)
    for resource in reversed(lab.desired):
        lab.delete(resource.id)
    assert lab.target.workspaces() == ()
    assert names(api, namespace) == before
    lab.platform.close()


def claiming(deployer, devices):
    """Start and end an instance that claims a device."""
    devices.add(("dra-1", "Big", 1))
    platform = deployer.lab().platform
    try:
        with bare_compute(platform, deployer.namespace) as compute:
            compute.ensure(unit(limits={"gpu": 1}, device_class=CLASS), 1)
            assert compute.status().altered == {}
    finally:
        platform.close()


def test_the_documented_role_is_enough_for_devices_of_a_class(devices, deployer, api, namespace):
    claiming(deployer, devices)
    templates = f"{DEVICES}/namespaces/{namespace}/resourceclaimtemplates"
    assert api.items(templates) == []


def test_the_right_to_claim_devices_is_named(devices, deployer):
    deployer.without("resourceclaimtemplates", "patch")
    with pytest.raises(Forbidden, match=r"may not patch resourceclaimtemplates\.resource\.k8s\.io"):
        claiming(deployer, devices)


def test_who_sees_the_namespace_alone_knows_it_for_the_one_that_others_see(
    deployer, namespace, monkeypatch
):
    lab = deployer.lab()
    theirs = lab.platform.home
    lab.platform.close()
    monkeypatch.setenv("KUBECONFIG", cluster_host.KUBECONFIG)
    everybody = KubernetesPlatform(KubernetesPlace(kind="kubernetes", namespace=namespace))
    assert set(theirs.ids) == {"namespace"}
    assert set(everybody.home.ids) == {"cluster", "namespace"}
    assert everybody.home.is_that_of(theirs.ids) is theirs.is_that_of(everybody.home.ids) is True
    everybody.close()


MISSING = {
    "leases": ("create", "leases.coordination.k8s.io"),
    "secrets": ("create", "secrets"),
    "deployments": ("patch", "deployments.apps"),
    "networkpolicies": ("patch", "networkpolicies.networking.k8s.io"),
    "roles": ("patch", "roles.rbac.authorization.k8s.io"),
    "pods": ("list", "pods"),
    "services/proxy": ("update", "services/proxy"),
    "pods/proxy": ("get", "pods/proxy"),
}


@pytest.mark.parametrize("resource", MISSING)
def test_a_right_that_is_missing_is_named(deployer, namespace, resource):
    verb, named = MISSING[resource]
    deployer.without(resource, verb)
    lab = deployer.lab()
    with pytest.raises(Forbidden) as refused:
        lab.up()
    assert f"'{deployer.user}' may not {verb} {named}; ask for a Role with verb {verb} on" in str(
        refused.value
    )
    assert str(refused.value).endswith(f"in namespace '{namespace}'")
    lab.platform.close()


def test_rights_of_the_router_that_the_deployer_lacks_are_named(deployer):
    deployer.without("endpointslices", "watch")
    lab = deployer.lab()
    told = "may give no right that it lacks: watch on endpointslices; ask for a Role with watch on"
    with pytest.raises(Forbidden, match=told):
        lab.up()
    lab.platform.close()
