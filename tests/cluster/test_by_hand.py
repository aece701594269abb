"""What a person does to the objects of a workspace is named once, with who did it, and mended."""

import base64
import json
import re
import time
from collections.abc import Callable

import httpx
import pytest

from inference_provider.drift import drift
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.targets.kubernetes.names import ROLE as ROLE_LABEL
from inference_provider.targets.kubernetes.names import WORKSPACE
from inference_provider.targets.kubernetes.objects import (
    AUTOSCALER,
    BUDGET,
    DEPLOYMENT,
    POD,
    POLICY,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    name_of,
)
from inference_provider.targets.kubernetes.objects import Kind as ObjectKind
from tests.conformance.labs import KubernetesLab, wait_until

pytestmark = pytest.mark.cluster

ROUTER, CONTENT, INSTANCES = "inference-router", "inference-content", "inference-instances"
EDITOR = r"kubectl-edit at 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"
PATCH = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One workspace for all of the module: every test leaves it as it found it."""
    folder = tmp_path_factory.mktemp("hand")
    made = KubernetesLab(KubernetesLab.open(folder), folder, f"hand{time.time_ns() % 10**9}")
    made.up()
    yield made
    made.close()
    made.platform.close()


class Hand:
    """A person with kubectl, and the names that they use."""

    def __init__(self, lab, api) -> None:
        self.client = lab.platform.client
        self.namespace = lab.workspace
        self.workspace = lab.workspace
        self.http = api.http
        found = self.client.items(DEPLOYMENT, self.namespace)
        [self.generation] = [n for one in found if (n := name_of(one)).startswith("iris-")]

    def edit(self, kind: ObjectKind, name: str, change: object, how: str = "strategic") -> None:
        answer = self.http.patch(
            kind.path(self.namespace, name),
            params={"fieldManager": "kubectl-edit"},
            headers={"content-type": PATCH[how]},
            content=json.dumps(change),
        )
        assert answer.is_success, answer.text

    def scale(self, name: str, replicas: int) -> None:
        path = f"{DEPLOYMENT.path(self.namespace, name)}/scale"
        answer = self.http.patch(
            path,
            params={"fieldManager": "kubectl"},
            headers={"content-type": PATCH["merge"]},
            content=json.dumps({"spec": {"replicas": replicas}}),
        )
        assert answer.is_success, answer.text

    def delete(self, kind: ObjectKind, name: str) -> None:
        assert self.client.delete(kind, self.namespace, name)

    def allow(self, chosen: dict) -> None:
        about = {"name": "allow-all", "namespace": self.namespace}
        spec = {"podSelector": chosen, "policyTypes": ["Ingress"], "ingress": [{}]}
        policy = {"apiVersion": POLICY.api, "kind": POLICY.name, "metadata": about, "spec": spec}
        path = POLICY.path(self.namespace)
        answer = self.http.post(path, params={"fieldManager": "kubectl-create"}, json=policy)
        assert answer.is_success, answer.text


@pytest.fixture
def hand(lab, api):
    yield Hand(lab, api)
    mend(lab)


def reasons(lab) -> dict[Kind, str]:
    found = drift(lab.desired, lab.target.observe([lab.workspace]), "demo")
    drifted = [one for one in found.resources if one.reason or one.fields]
    assert found.exit_code == (2 if drifted else 0)
    return {one.id.kind: one.reason for one in drifted}


def mend(lab) -> None:
    """Do what `inferctl up` would."""
    planned = plan(lab.desired, lab.target.observe([lab.workspace]), "demo")
    lab.apply(*[action.desired for action in planned.pending if action.desired])


def objects(hand: Hand) -> list[tuple[str, str]]:
    """Return everything that is there for long."""
    kinds = (DEPLOYMENT, SERVICE, BUDGET, SECRET, POLICY, ROLE, ROLE_BINDING, SERVICE_ACCOUNT)
    found = [one for kind in kinds for one in hand.client.items(kind, hand.namespace)]
    return sorted((one["kind"], name_of(one)) for one in found)


def container(**fields) -> dict:
    return {"spec": {"template": {"spec": {"containers": [{"name": "server", **fields}]}}}}


PATH = "spec.template.spec.containers[server]"
GONE = "{kind} {name} is gone"
UNLABELLED = {"metadata": {"labels": {ROLE_LABEL: None}}}
TO_INSTANCE: dict[str, tuple[Callable[[Hand], object], str]] = {
    "scale to 0": (
        lambda h: h.scale(h.generation, 0),  # of 0 the API server notes no manager
        "Deployment {gen}: some of its fields were changed or removed by hand",
    ),
    "scale to 2": (
        lambda h: h.scale(h.generation, 2),
        "Deployment {gen}: spec.replicas set by kubectl",
    ),
    "set a limit": (
        lambda h: h.edit(DEPLOYMENT, h.generation, container(resources={"limits": {"cpu": "1"}})),
        f"Deployment {{gen}}: {re.escape(PATH)}.resources.limits.cpu set by {EDITOR}",
    ),
    "set an image": (  # kept from starting, as it is nowhere
        lambda h: h.edit(DEPLOYMENT, h.generation, container(image="registry.invalid/other:1")),
        f"Deployment {{gen}}: {re.escape(PATH)}.image set by {EDITOR}",
    ),
    "set a variable": (
        lambda h: h.edit(
            DEPLOYMENT, h.generation, container(env=[{"name": "DEBUG", "value": "1"}])
        ),
        f"Deployment {{gen}}: {re.escape(PATH)}.env.* set by {EDITOR}",
    ),
    "remove a probe": (
        lambda h: h.edit(DEPLOYMENT, h.generation, container(livenessProbe=None)),
        "Deployment {gen}: some of its fields were changed or removed by hand",
    ),
    "edit a variable": (
        lambda h: h.edit(SECRET, h.generation, {"data": {"PORT": "OTk="}}),
        f"Secret {{gen}}: data.PORT set by {EDITOR}",
    ),
    "add a variable": (
        lambda h: h.edit(SECRET, h.generation, {"data": {"DEBUG": "OTk="}}),
        f"Secret {{gen}}: data.DEBUG set by {EDITOR}",
    ),
    "remove a variable": (
        lambda h: h.edit(SECRET, h.generation, {"data": {"PORT": None}}),
        "Secret {gen}: some of its fields were changed or removed by hand",
    ),
    "edit the service": (
        lambda h: h.edit(SERVICE, h.generation, {"spec": {"selector": {"app": "x"}}}, "merge"),
        f"Service {{gen}}: spec.selector.* set by {EDITOR}",
    ),
    "remove a label of the deployment": (
        lambda h: h.edit(DEPLOYMENT, h.generation, UNLABELLED),
        "Deployment {gen}: some of its fields were changed or removed by hand",
    ),
    "remove a label of the service": (
        lambda h: h.edit(SERVICE, h.generation, UNLABELLED),
        "Service {gen}: some of its fields were changed or removed by hand",
    ),
    "delete the secret": (lambda h: h.delete(SECRET, h.generation), "Secret {gen} is gone"),
    "delete the service": (lambda h: h.delete(SERVICE, h.generation), "Service {gen} is gone"),
    "delete the budget": (
        lambda h: h.delete(BUDGET, h.generation),
        "PodDisruptionBudget {gen} is gone",
    ),
    "delete the deployment": (
        lambda h: h.delete(DEPLOYMENT, h.generation),
        "Deployment {gen} is gone(; 1 instance not running)?",  # its pod is told to end just now
    ),
}


@pytest.mark.parametrize("done", TO_INSTANCE)
def test_what_is_done_to_a_generation_is_named_once_and_mended(lab, hand, done):
    before = objects(hand)
    act, told = TO_INSTANCE[done]
    act(hand)
    found = reasons(lab)
    assert [*found] == [Kind.DEPLOYMENT]
    assert re.fullmatch(told.format(gen=hand.generation), found[Kind.DEPLOYMENT])
    mend(lab)
    assert lab.ask() == 200
    assert reasons(lab) == {}
    assert objects(hand) == before


def test_an_autoscaler_of_others_is_named_until_they_delete_it(lab, hand):
    scaled = {"apiVersion": DEPLOYMENT.api, "kind": DEPLOYMENT.name, "name": hand.generation}
    spec = {"scaleTargetRef": scaled, "minReplicas": 1, "maxReplicas": 2, "metrics": []}
    answer = hand.http.post(
        AUTOSCALER.path(hand.namespace),
        params={"fieldManager": "kubectl-autoscale"},
        json={
            "apiVersion": AUTOSCALER.api,
            "kind": AUTOSCALER.name,
            "metadata": {"name": "web", "namespace": hand.namespace},
            "spec": spec,
        },
    )
    assert answer.is_success, answer.text
    told = (
        rf"HorizontalPodAutoscaler web, made by kubectl-autoscale at 20.*Z, scales Deployment"
        rf" {hand.generation}, and `up` undoes what it does: delete it, or declare an autoscale"
        " rule instead"
    )
    assert re.fullmatch(told, reasons(lab)[Kind.DEPLOYMENT])
    mend(lab)
    assert re.fullmatch(told, reasons(lab)[Kind.DEPLOYMENT])
    hand.delete(AUTOSCALER, "web")
    assert reasons(lab) == {}


def test_a_deleted_pod_comes_back_by_itself(lab, hand):
    [pod] = lab.instances()
    hand.delete(POD, pod)
    wait_until(lambda: reasons(lab) == {} and lab.ask() == 200)
    assert pod not in lab.instances()


def test_pods_that_a_person_starts_again_are_no_difference(lab, hand):
    noted = {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}
    hand.edit(DEPLOYMENT, hand.generation, {"spec": {"template": {"metadata": noted}}})
    hand.edit(DEPLOYMENT, ROUTER, {"spec": {"template": {"metadata": noted}}})
    wait_until(lambda: reasons(lab) == {} and lab.ask() == 200)


TO_WORKSPACE: dict[str, tuple[Callable[[Hand], object], str]] = {
    "scale the router": (
        lambda h: h.scale(ROUTER, 1),
        f"Deployment {ROUTER}: spec.replicas set by kubectl",
    ),
    "edit the router": (
        lambda h: h.edit(DEPLOYMENT, ROUTER, {"spec": {"minReadySeconds": 1}}),
        f"Deployment {ROUTER}: spec.minReadySeconds set by {EDITOR}",
    ),
    "edit its service": (
        lambda h: h.edit(SERVICE, ROUTER, {"spec": {"sessionAffinity": "ClientIP"}}),
        f"Service {ROUTER}: spec.sessionAffinity.* set by {EDITOR}",
    ),
    "delete its service": (lambda h: h.delete(SERVICE, ROUTER), f"Service {ROUTER} is gone"),
    "delete its budget": (
        lambda h: h.delete(BUDGET, ROUTER),
        f"PodDisruptionBudget {ROUTER} is gone",
    ),
    "remove a label of its service": (
        lambda h: h.edit(SERVICE, ROUTER, UNLABELLED),
        f"Service {ROUTER}: some of its fields were changed or removed by hand",
    ),
    "edit its role": (
        lambda h: h.edit(ROLE, ROUTER, {"rules": []}, "merge"),
        f"Role {ROUTER}: rules set by {EDITOR}",
    ),
    "delete its role": (lambda h: h.delete(ROLE, ROUTER), f"Role {ROUTER} is gone"),
    "delete its binding": (
        lambda h: h.delete(ROLE_BINDING, ROUTER),
        f"RoleBinding {ROUTER} is gone",
    ),
    "delete its account": (
        lambda h: h.delete(SERVICE_ACCOUNT, ROUTER),
        f"ServiceAccount {ROUTER} is gone",
    ),
    "open the instances": (
        lambda h: h.edit(POLICY, INSTANCES, {"spec": {"ingress": [{}]}}, "merge"),
        f"NetworkPolicy {INSTANCES}: spec.ingress set by {EDITOR}",
    ),
    "delete the policy": (
        lambda h: h.delete(POLICY, INSTANCES),
        f"NetworkPolicy {INSTANCES} is gone",
    ),
    "delete the content's policy": (
        lambda h: h.delete(POLICY, CONTENT),
        f"NetworkPolicy {CONTENT} is gone",
    ),
    "delete the router's policy": (
        lambda h: h.delete(POLICY, ROUTER),
        f"NetworkPolicy {ROUTER} is gone",
    ),
    "another policy": (
        lambda h: h.allow({}),
        "NetworkPolicy allow-all, made by kubectl-create at .*Z, lets others in to instances",
    ),
    "another policy for the workspace": (
        lambda h: h.allow({"matchLabels": {WORKSPACE: h.workspace}}),
        "NetworkPolicy allow-all, made by kubectl-create at .*Z, lets others in to instances",
    ),
    "delete the token": (lambda h: h.delete(SECRET, CONTENT), f"Secret {CONTENT} is gone"),
    "edit the token": (
        lambda h: h.edit(SECRET, CONTENT, {"data": {"token": "OTk="}}),
        f"Secret {CONTENT}: data.token set by {EDITOR}",
    ),
}


@pytest.mark.parametrize("done", TO_WORKSPACE)
def test_what_is_done_to_a_workspace_is_named_once_and_mended(lab, hand, done):
    before = objects(hand)
    act, told = TO_WORKSPACE[done]
    act(hand)
    found = reasons(lab)
    assert [*found] == [Kind.WORKSPACE]
    assert re.fullmatch(told, found[Kind.WORKSPACE])
    mend(lab)
    wait_until(lambda: answers(lab))
    assert reasons(lab) == {}
    assert objects(hand) == before


def answers(lab) -> bool:
    """Whether the router answers, also at an address that is new and not known on nodes yet."""
    url = f"{lab.router_url}/endpoints/iris/score"
    try:
        headers = {"authorization": f"Bearer {lab.keys()[0]}"}
        return httpx.post(url, headers=headers, timeout=1, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_a_policy_that_does_not_choose_instances_is_no_difference(lab, hand):
    hand.allow({"matchLabels": {"app": "mine"}})
    assert reasons(lab) == {}
    hand.delete(POLICY, "allow-all")


def test_a_router_whose_deployment_is_gone_is_named_and_comes_back(lab, hand):
    hand.delete(DEPLOYMENT, ROUTER)
    wait_until(lambda: not lab.router.runs())
    assert reasons(lab) == {
        Kind.WORKSPACE: f"Deployment {ROUTER} is gone",
        Kind.TRAFFIC: "the router does not run",
    }
    mend(lab)
    assert lab.ask() == 200
    assert reasons(lab) == {}


def test_a_record_that_a_person_edits_is_told_and_counts_from_the_next_up(lab, hand):
    [secret] = [
        name_of(one)
        for one in hand.client.items(SECRET, hand.namespace)
        if name_of(one).startswith("inference.keys.")
    ]
    keys = {"primary": "mine", "secondary": "other"}
    text = base64.b64encode(json.dumps(keys).encode()).decode()
    hand.edit(SECRET, secret, {"data": {"document": text}})
    other = lab.another()
    found = drift(lab.desired, other.observe([lab.workspace]), "demo")
    [told] = [one for one in found.resources if one.reason]
    assert told.id.kind == Kind.WORKSPACE
    assert re.fullmatch(f"Secret {secret}: data.document set by {EDITOR}", told.reason)
    lab.apply(lab.space(), target=other)
    assert drift(lab.desired, other.observe([lab.workspace]), "demo").exit_code == 0
    assert lab.ask(key="mine") == 200


def test_a_record_that_a_person_deletes_is_missing_and_made_again(lab, hand):
    [secret] = [
        name_of(one)
        for one in hand.client.items(SECRET, hand.namespace)
        if name_of(one).startswith("inference.records.traffic-")
    ]
    hand.delete(SECRET, secret)
    other = lab.another()
    found = drift(lab.desired, other.observe([lab.workspace]), "demo")
    told = {one.id.kind: one.reason for one in found.resources if one.reason}
    assert told == {Kind.TRAFFIC: "it was applied once and is gone"}
    lab.apply(lab.of(Kind.TRAFFIC), target=other)
    assert drift(lab.desired, other.observe([lab.workspace]), "demo").exit_code == 0
    wait_until(lambda: lab.ask() == 200)  # `ask` may read keys that are a second old
