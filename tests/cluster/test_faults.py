"""What a cluster refuses or does not answer is said in seconds, with one cause and one remedy."""

import re
import time

import pytest
import yaml

from inference_provider.drift import drift
from inference_provider.errors import (
    CapabilityMissing,
    InferenceError,
    OutOfCapacity,
    TargetError,
    TargetUnreachable,
)
from inference_provider.observed import Kind
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes.names import CONTENT, CONTENT_NAME, selecting
from inference_provider.targets.kubernetes.objects import DEPLOYMENT, NAMESPACE, POD, selector
from inference_provider.targets.kubernetes.refusals import Refused
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from tests import cluster_host
from tests.conformance.labs import KubernetesLab, together, wait_until

pytestmark = pytest.mark.cluster

RULES = "admissionregistration.k8s.io/v1"


def place(namespace: str) -> KubernetesPlatform:
    return KubernetesPlatform(KubernetesPlace(kind="kubernetes", namespace=namespace))


@pytest.fixture
def lab(namespace, tmp_path):
    made = KubernetesLab(place(namespace), tmp_path, "faults")
    yield made
    made.platform.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    made = KubernetesLab(KubernetesLab.open(folder), folder, f"faults{time.time_ns() % 10**9}")
    made.up()
    yield made
    made.close()
    made.platform.close()


def quota(namespace: str, **hard: str) -> dict:
    about = {"name": "small", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": about, "spec": {"hard": hard}}


def deployments(api, namespace: str) -> list[str]:
    found = api.items(f"/apis/apps/v1/namespaces/{namespace}/deployments")
    return sorted(one["metadata"]["name"] for one in found)


def test_a_quota_without_room_for_the_router_is_told_at_once(lab, api, namespace):
    api.apply(quota(namespace, pods="0"))
    began_s = time.monotonic()
    with pytest.raises(OutOfCapacity, match=r"exceeded quota: small, .*; ask for less, or raise"):
        lab.up()
    assert time.monotonic() - began_s < 15
    assert deployments(api, namespace) == []


def test_a_generation_over_the_quota_leaves_the_old_one_alone(served, api):
    namespace = served.workspace
    before, pods = deployments(api, namespace), served.instances()
    api.apply(quota(namespace, pods=str(len(api.items(f"/api/v1/namespaces/{namespace}/pods")))))
    began_s = time.monotonic()
    try:
        with pytest.raises(OutOfCapacity, match="exceeded quota: small, requested: pods=1"):
            served.apply(served.deployment(environment_variables={"ANSWER": "2"}))
        with pytest.raises(OutOfCapacity, match="exceeded quota: small, requested: pods=1"):
            served.apply(served.deployment(instance_count=2))
        assert time.monotonic() - began_s < 20
        assert (deployments(api, namespace), served.instances()) == (before, pods)
        assert served.ask() == 200
        seen = served.target.observe_one(served.id(Kind.DEPLOYMENT, "iris/blue"))
        assert (seen.degraded, seen.properties["instance_count"]) == ("", 1)
    finally:
        api.delete(f"/api/v1/namespaces/{namespace}/resourcequotas/small")


def test_a_limit_range_that_refuses_is_told(served, api):
    about = {"name": "small", "namespace": served.workspace}
    limits = [{"type": "Container", "max": {"memory": "300Mi"}}]
    api.apply(
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": about, "spec": {"limits": limits}}
    )
    try:
        resources = {"requests": {"memory": "400Mi"}, "limits": {"memory": "400Mi"}}
        with pytest.raises(Refused) as told:
            served.apply(served.deployment(resources=resources))
        assert "a rule of the cluster refuses it: maximum memory usage per Container is 300Mi" in (
            str(told.value)
        )
        assert served.ask() == 200
    finally:
        api.delete(f"/api/v1/namespaces/{served.workspace}/limitranges/small")


def test_a_rule_of_admission_that_refuses_is_told(served, api):
    name = f"no-{served.workspace}"
    chosen = {"matchLabels": {"kubernetes.io/metadata.name": served.workspace}}
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"]}
    constraints = {"resourceRules": [{**rule, "resources": ["deployments"]}]}
    refused = [{"expression": "false", "message": "not today"}]
    spec = {"matchConstraints": constraints, "validations": refused}
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": chosen},
    }
    path = f"/apis/{RULES}/validatingadmissionpolicies"
    bindings = f"/apis/{RULES}/validatingadmissionpolicybindings"
    kind = "ValidatingAdmissionPolicy"
    about = {"apiVersion": RULES, "metadata": {"name": name}}
    api.create(path, {**about, "kind": kind, "spec": spec})
    api.create(bindings, {**about, "kind": f"{kind}Binding", "spec": binding})
    try:
        with pytest.raises(Refused, match=r"refuses it: ValidatingAdmissionPolicy .* not today"):
            for number in range(40):  # it is in force in a second or two
                served.apply(served.deployment(environment_variables={"N": str(number)}))
        assert served.ask() == 200
    finally:
        api.delete(f"{bindings}/{name}", f"{path}/{name}")


def test_a_namespace_that_has_another_workspace_is_refused_and_harms_nothing(served, api, tmp_path):
    other = KubernetesLab(place(served.workspace), tmp_path, "other")
    before = deployments(api, served.workspace)
    with pytest.raises(
        CapabilityMissing, match=f"has workspace '{served.workspace}'; name another"
    ):
        other.up()
    other.delete(other.id(Kind.WORKSPACE, "other"))
    other.platform.close()
    assert deployments(api, served.workspace) == before
    assert served.ask() == 200


def test_two_ups_at_once_do_the_same_or_say_who_is_first(api, tmp_path):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"two{time.time_ns() % 10**9}")
    target = lab.another()
    try:
        failed = together(lab.up, lambda: lab.apply(*lab.desired, target=target))
        assert all(one is None or isinstance(one, InferenceError) for one in failed)
        assert None in failed
        assert lab.ask() == 200
        assert drift(lab.desired, lab.target.observe([lab.workspace]), "demo").exit_code == 0
        assert len([n for n in deployments(api, lab.workspace) if n.startswith("iris-")]) == 1
    finally:
        lab.close()
        lab.platform.close()


ENTRY: dict[str, tuple[dict, dict, str]] = {
    "refused": ({"server": "https://127.0.0.1:1"}, {}, r"does not answer: .*[Cc]onnection refused"),
    "another port": ({"server": "https://127.0.0.1:22"}, {}, "does not answer: "),
    "plain http": ({"server": "http://{host}"}, {}, "answers 400: Client sent an HTTP request"),
    "not trusted": (
        {"certificate-authority-data": None},
        {},
        "is not trusted: .*; check `certificate-authority-data` in the kubeconfig",
    ),
    "expired": ({}, {"token": "old"}, "credentials are not accepted, or have expired; log in"),
}


@pytest.mark.parametrize("fault", ENTRY)
def test_a_cluster_that_cannot_be_entered_is_told(fault, tmp_path, monkeypatch):
    cluster, user, told = ENTRY[fault]
    with open(cluster_host.KUBECONFIG, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    there = config["clusters"][0]["cluster"]
    host = there["server"].removeprefix("https://")
    there |= {name: value.format(host=host) if value else None for name, value in cluster.items()}
    if there.get("certificate-authority-data", "") is None:
        there.pop("certificate-authority-data")
        there.pop("certificate-authority", None)
    config["users"][0]["user"] = user or config["users"][0]["user"]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    lab = KubernetesLab(KubernetesPlatform("kubernetes"), tmp_path, "nowhere")
    began_s = time.monotonic()
    with pytest.raises((TargetError, TargetUnreachable)) as failed:
        lab.up()
    print(f"{fault}: {time.monotonic() - began_s:.1f} s: {failed.value}")
    assert re.search(told, str(failed.value))
    assert time.monotonic() - began_s < 20
    lab.platform.close()


def test_a_workspace_goes_whole_while_what_keeps_its_content_is_away(tmp_path):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"away{time.time_ns() % 10**9}")
    client = lab.platform.client
    try:
        lab.up()
        client.merge(DEPLOYMENT, lab.workspace, CONTENT_NAME, {"spec": {"replicas": 0}})
        content = selector(selecting(lab.workspace, CONTENT))
        wait_until(lambda: not client.items(POD, lab.workspace, content), 60)
        for one in reversed(lab.desired):
            lab.delete(one.id)
        wait_until(lambda: client.get(NAMESPACE, "", lab.workspace) is None, 90)
    finally:
        lab.close()
        lab.platform.close()
