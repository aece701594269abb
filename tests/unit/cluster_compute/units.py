"""A deployment's instances as a cluster is asked for them, and what is there of a kind."""

from pathlib import PurePosixPath

from tests.cluster_api import ClusterApi, client_of

from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.targets.kubernetes.compute import KubernetesCompute
from inference_provider.targets.kubernetes.instance_manifests import Given
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.workspace.ports import Unit


class Content:
    def given(self, _unit: Unit) -> Given:
        folder = PurePosixPath("/var/azureml/code/content")
        return Given("debian-python:12", PurePosixPath("/opt/environment/bin"), code_dir=folder)


def compute_over(api: ClusterApi, **more) -> KubernetesCompute:
    """Return the Compute of workspace demo in namespace lab."""
    client = client_of(api)
    return KubernetesCompute(client, ClusterRecords(client, "lab", "demo"), Content(), **more)


def unit(generation: str = "5efdeb203621", **fields) -> Unit:
    route = {"path": "/", "port": 8080}
    environment = EnvironmentSpec.model_validate(
        {
            "workspace": "demo",
            "name": "plain",
            "command": ["python", "{code_dir}/serve.py", "{port}"],
            "inference_config": {
                f"{name}_route": route for name in ("liveness", "readiness", "scoring")
            },
        }
    )
    spec = DeploymentSpec.model_validate(
        {
            "workspace": "demo",
            "endpoint": "iris",
            "name": "blue",
            "environment": "plain:1",
            "environment_variables": {"PASSWORD": "secret-1"},
            "start_timeout_s": 1,
            "readiness_probe": {"initial_delay": 0},
            **fields,
        }
    )
    id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace="demo", name="iris/blue")
    return Unit(
        id_, generation, spec, environment, secrets=tuple(spec.environment_variables.values())
    )


def of_kind(api, kind: str) -> list[str]:
    return sorted(one["metadata"]["name"] for one in api.objects.values() if one["kind"] == kind)
