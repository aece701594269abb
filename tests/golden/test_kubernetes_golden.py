"""What is applied to a cluster, byte for byte: the objects of `kubernetes/<name>.yaml`.

Every object of ours obeys the Pod Security Standard `restricted`, which a namespace may enforce.
"""

import pathlib
from typing import Any

import pytest
import yaml

from inference_provider.targets.envoy.delivery import LONGEST_REQUEST_S
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.targets.kubernetes.router_manifests import (
    DRAIN_S,
    RouterSettings,
    router_objects,
)
from inference_provider.targets.kubernetes.service_manifests import service_objects

FOLDER = pathlib.Path(__file__).parent / "kubernetes"
DEPLOYER = pathlib.Path(__file__).parents[2] / "docs" / "deployer-role.yaml"
PLAIN = RouterSettings(image="registry.example.org/team/router:1")
OUTSIDE = RouterSettings(
    image="registry.example.org/team/router:1",
    service="LoadBalancer",
    port=80,
    replicas=5,
    workers=4,
    metrics_port=9464,
    cpu="2",
    memory="1Gi",
    memory_limit="4Gi",
)
CASES = {
    "router": router_objects("demo", "ml", PLAIN),
    "router-outside": router_objects("demo", "ml", OUTSIDE),
    "service": service_objects("demo", "ml", PLAIN),
}


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _of(objects: tuple[Object, ...], kind: str) -> dict[str, Any]:
    return next(one for one in objects if one["kind"] == kind)


@pytest.mark.parametrize("name", CASES)
def test_objects_are_their_golden_file(name: str, request: pytest.FixtureRequest):
    text = yaml.dump_all(CASES[name], Dumper=_WithoutAliases, sort_keys=False)
    path = FOLDER / f"{name}.yaml"
    if request.config.getoption("--update-golden"):
        path.write_text(text)
    assert path.read_text() == text


def test_there_are_no_golden_objects_without_a_case():
    assert {path.stem for path in FOLDER.glob("*")} == set(CASES)


def test_a_router_pod_has_time_for_its_longest_request():
    pod = _of(CASES["router"], "Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert waits + LONGEST_REQUEST_S < waits + DRAIN_S < pod["terminationGracePeriodSeconds"]


def test_a_router_may_list_and_watch_and_nothing_else():
    rules = _of(CASES["router"], "Role")["rules"]
    assert [(rule["resources"], rule["verbs"]) for rule in rules] == [
        (["secrets"], ["list", "watch"]),
        (["endpointslices"], ["list", "watch"]),
    ]


def test_a_workspace_service_may_no_more_than_who_deploys():
    [deployer] = yaml.safe_load_all(DEPLOYER.read_text())
    held = {
        (group, resource): set(rule["verbs"])
        for rule in deployer["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if "resourceNames" not in rule
    }
    for rule in _of(CASES["service"], "Role")["rules"]:
        [group], [resource] = rule["apiGroups"], rule["resources"]
        assert set(rule["verbs"]) <= held[group, resource]


def test_a_workspace_service_is_told_no_secret_and_lets_nobody_in():
    pod = _of(CASES["service"], "Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert [*container["env"]] == [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    ]
    policy = _of(CASES["service"], "NetworkPolicy")["spec"]
    assert (policy["policyTypes"], policy.get("ingress")) == (["Ingress"], None)
