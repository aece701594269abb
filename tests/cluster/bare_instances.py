"""Instances of an image that brings all, in a namespace that is no workspace yet."""

import contextlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.targets.kubernetes.compute import KubernetesCompute
from inference_provider.targets.kubernetes.instance_manifests import Given
from inference_provider.targets.kubernetes.kept_inventory import KeptInventory
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.ports import Unit
from tests import docker_host
from tests.cluster.api import Api


class Content:
    """An image that brings all."""

    def given(self, _unit: Unit) -> Given:
        return Given(docker_host.BASE_IMAGE, PurePosixPath("/usr/bin"))


def compute_of(platform: KubernetesPlatform, namespace: str) -> KubernetesCompute:
    """Return one that has asked nothing yet."""
    records = ClusterRecords(platform.client, namespace, namespace)
    inventory = KeptInventory(lambda: platform.client)
    return KubernetesCompute(platform.client, records, Content(), inventory.all)


@contextlib.contextmanager
def bare_compute(platform: KubernetesPlatform, namespace: str) -> Iterator[KubernetesCompute]:
    """Give the compute of a namespace, and end what runs there."""
    made = compute_of(platform, namespace)
    yield made
    for found in made.instances().values():  # sooner than with their namespace
        made.retire("", [one.name for one in found], 0)


def unit(name: str = "blue", start_s: int = 30, scheduling: Any = None, **resources: Any) -> Unit:
    route = {"path": "/", "port": 8080}
    routes = {f"{name}_route": route for name in ("liveness", "readiness", "scoring")}
    environment = EnvironmentSpec.model_validate(
        {
            "workspace": "demo",
            "name": "plain",
            "image": docker_host.BASE_IMAGE,
            "inference_config": routes,
        }
    )
    spec = DeploymentSpec.model_validate(
        {
            "workspace": "demo",
            "endpoint": "iris",
            "name": name,
            "environment": "plain:1",
            "start_timeout_s": start_s,
            "readiness_probe": {"initial_delay": 0},
            "resources": resources,
            "scheduling": scheduling or {},
        }
    )
    id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace="demo", name=f"iris/{name}")
    return Unit(id_, "5efdeb203621", spec, environment)


def nodes_of(api: Api, namespace: str, deployment: str = "blue") -> list[str]:
    """Return the node of each pod of a deployment."""
    pods = api.items(f"/api/v1/namespaces/{namespace}/pods")
    name = "pulumi-inference/deployment"
    ours = (one for one in pods if (one["metadata"].get("labels") or {}).get(name) == deployment)
    return sorted(one["spec"].get("nodeName", "") for one in ours)
