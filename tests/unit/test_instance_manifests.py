"""One generation of a deployment -> the objects that run it."""

from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from pydantic import SecretStr

from inference_provider.observed import Kind, ResourceId
from inference_provider.serving.command import InstanceCommand
from inference_provider.serving.server import server_of
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.spec.resources import Resources
from inference_provider.targets.kubernetes.instance_manifests import Generation, Given, amounts
from inference_provider.targets.kubernetes.names import labels
from inference_provider.workspace.ports import Unit

NAME = "iris-blue-5efdeb203621"


def generation(products=(), environment=None, **fields) -> Generation:
    spec = DeploymentSpec.model_validate(
        {"endpoint": "iris", "name": "blue", "environment": "plain:1", **fields}
    )
    made = EnvironmentSpec.model_validate({"name": "plain", **(environment or {})})
    id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace="demo", name="iris/blue")
    return Generation(
        unit=Unit(id_, "5efdeb203621", spec, made),
        name=NAME,
        namespace="lab",
        server=server_of(spec, made),
        command=InstanceCommand(
            argv=("python", "serve.py"),
            environment={"TOKEN": SecretStr("secret-1")},
            directory="/var/azureml/code/content",
        ),
        given=Given("python:3.12", PurePosixPath("/opt/environment/bin")),
        port=5001,
        count=2,
        labels=labels(
            "demo", "instance", endpoint="iris", deployment="blue", generation="5efdeb203621"
        ),
        products=products,
    )


def objects(made: Generation) -> dict:
    return {one["kind"]: one for one in made.objects()}


def pod(made: Generation) -> dict:
    return objects(made)["Deployment"]["spec"]["template"]["spec"]


def server(made: Generation) -> dict:
    return pod(made)["containers"][0]


def test_a_secret_comes_before_the_pods_that_read_it():
    kinds = [one["kind"] for one in generation().objects()]
    assert kinds == ["Service", "Secret", "PodDisruptionBudget", "Deployment"]


def test_a_pod_passes_the_restricted_standard_for_pods():
    spec = pod(generation())
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert server(generation())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False


def test_variables_are_in_the_secret_and_nowhere_else():
    found = objects(generation())
    assert found["Secret"]["data"] == {"TOKEN": "c2VjcmV0LTE="}
    assert server(generation())["envFrom"] == [{"secretRef": {"name": NAME}}]
    assert "secret-1" not in str(found["Deployment"])


def test_no_pod_is_taken_away_before_a_new_one_is_there():
    strategy = objects(generation())["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}


def test_without_surge_a_pod_is_taken_away_before_a_new_one_is_there():
    strategy = objects(generation(surge=0))["Deployment"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_pod_goes_on_until_routers_have_heard_that_it_ends():
    made = generation(request_settings={"request_timeout_ms": 60_000})
    assert server(made)["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert pod(made)["terminationGracePeriodSeconds"] == 75


def test_a_pod_that_has_what_waits_for_its_last_request_runs_that():
    made = generation(request_settings={"request_timeout_ms": 60_500})
    given = replace(made.given, last_requests=("python", "last_requests.py"))
    made = replace(made, given=given)
    command = ["python", "last_requests.py", "5001", "5", "61"]
    assert server(made)["lifecycle"] == {"preStop": {"exec": {"command": command}}}
    assert pod(made)["terminationGracePeriodSeconds"] == 76


def test_the_service_and_the_budget_choose_the_pods_of_this_generation():
    found = objects(generation())
    template = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for chosen in (
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["Deployment"]["spec"]["selector"]["matchLabels"],
    ):
        assert chosen.items() <= template.items()
        assert chosen["pulumi-inference/generation"] == "5efdeb203621"
    assert found["Service"]["spec"]["clusterIP"] == "None"


def test_probes_ask_as_the_deployment_says():
    made = server(
        generation(
            start_timeout_s=100,
            readiness_probe={"initial_delay": 20, "period": 5, "timeout": 3},
            liveness_probe={"period": 7, "failure_threshold": 4},
        )
    )
    route = {"path": "/", "port": 5001, "scheme": "HTTP"}
    assert made["startupProbe"] == {
        "httpGet": route,
        "periodSeconds": 1,
        "timeoutSeconds": 3,
        "failureThreshold": 120,
    }
    assert made["readinessProbe"] == {
        "httpGet": route,
        "periodSeconds": 5,
        "timeoutSeconds": 3,
        "successThreshold": 1,
        "failureThreshold": 30,
    }
    assert made["livenessProbe"] == {
        "httpGet": route,
        "periodSeconds": 7,
        "timeoutSeconds": 2,
        "successThreshold": 1,
        "failureThreshold": 4,
    }


def test_an_image_with_a_server_of_its_own_is_started_as_it_says():
    routes = {
        f"{n}_route": {"path": "/v2", "port": 8000} for n in ("liveness", "readiness", "scoring")
    }
    made = server(
        generation(environment={"image": "tritonserver:24.10", "inference_config": routes})
    )
    assert "command" not in made
    assert "workingDir" not in made


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({}, {}),
        (
            {"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "2Gi"}},
            {"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        ),
        (
            {"limits": {"gpu": 2}},
            {"requests": {"nvidia.com/gpu": "2"}, "limits": {"nvidia.com/gpu": "2"}},
        ),
        (
            {"mig": {"1g.5gb": 1}},
            {"requests": {"nvidia.com/mig-1g.5gb": "1"}, "limits": {"nvidia.com/mig-1g.5gb": "1"}},
        ),
        (
            {"gpu_share": "tiny"},
            {"requests": {"nvidia.com/gpu.shared": "1"}, "limits": {"nvidia.com/gpu.shared": "1"}},
        ),
    ],
)
def test_amounts_have_the_names_that_nodes_give_them(asked, given):
    assert amounts(Resources.model_validate(asked)) == given


def test_a_pod_with_gpus_may_be_where_others_are_kept_off():
    made = pod(generation(("NVIDIA-A100-SXM4-80GB",), resources={"limits": {"gpu": 1}}))
    assert made["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    required = made["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["nodeSelectorTerms"][0] == {
        "matchExpressions": [
            {
                "key": "nvidia.com/gpu.product",
                "operator": "In",
                "values": ["NVIDIA-A100-SXM4-80GB"],
            }
        ]
    }


CLAIMING = {
    "limits": {"gpu": 2, "cpu": "1"},
    "device_class": "gpu.nvidia.com",
    "gpu_product": "A100",
    "device_selectors": ["device.driver == 'gpu.nvidia.com'"],
}


def test_each_pod_claims_devices_of_a_class_by_a_template_of_its_generation():
    found = objects(generation(resources=CLAIMING))
    assert [*found][-2:] == ["ResourceClaimTemplate", "Deployment"]
    template = found["ResourceClaimTemplate"]
    assert template["metadata"]["name"] == NAME
    assert template["spec"]["metadata"]["labels"]["pulumi-inference/deployment"] == "blue"
    [asked] = template["spec"]["spec"]["devices"]["requests"]
    assert asked["exactly"] == {
        "deviceClassName": "gpu.nvidia.com",
        "allocationMode": "ExactCount",
        "count": 2,
        "selectors": [
            {"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}},
            {
                "cel": {
                    "expression": "'productName' in device.attributes[device.driver] &&"
                    " device.attributes[device.driver].productName.lowerAscii()"
                    ".matches('(^|[-_ ])a100([-_ ]|$)')"
                }
            },
        ],
    }
    made = pod(generation(resources=CLAIMING))
    assert made["resourceClaims"] == [{"name": "gpus", "resourceClaimTemplateName": NAME}]
    assert made["containers"][0]["resources"] == {
        "claims": [{"name": "gpus"}],
        "limits": {"cpu": "1"},
    }


def test_a_pod_that_claims_devices_may_be_where_any_vendors_gpus_keep_others_off():
    assert [one["key"] for one in pod(generation(resources=CLAIMING))["tolerations"]] == [
        "nvidia.com/gpu",
        "amd.com/gpu",
        "gpu.intel.com/i915",
        "gpu.intel.com/xe",
    ]


def test_a_pod_is_scheduled_as_its_deployment_says():
    asked = {
        "priority_class": "serving",
        "runtime_class": "nvidia",
        "service_account": "reader",
        "node_selector": {"pool": "gpu"},
        "tolerations": [{"key": "team", "value": "ml", "effect": "NoSchedule"}, {"key": "spot"}],
        "spread": "zones",
    }
    made = pod(generation(scheduling=asked, resources={"limits": {"amd.com/gpu": 1}}))
    assert (made["priorityClassName"], made["runtimeClassName"]) == ("serving", "nvidia")
    assert (made["serviceAccountName"], made["nodeSelector"]) == ("reader", {"pool": "gpu"})
    assert made["automountServiceAccountToken"] is False
    assert made["tolerations"] == [
        {"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "value": "ml", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
    ]
    [hint] = made["topologySpreadConstraints"]
    assert hint["topologyKey"] == "topology.kubernetes.io/zone"
    assert hint["whenUnsatisfiable"] == "ScheduleAnyway"
    assert hint["labelSelector"]["matchLabels"]["pulumi-inference/deployment"] == "blue"
    assert made["containers"][0]["resources"]["limits"] == {"amd.com/gpu": "1"}


def test_what_is_not_asked_for_is_not_in_a_pod():
    names = {
        "resourceClaims",
        "priorityClassName",
        "runtimeClassName",
        "serviceAccountName",
        "nodeSelector",
    }
    assert not {*names, "topologySpreadConstraints", "affinity"} & pod(generation()).keys()


def test_a_pod_without_gpus_is_kept_off_their_nodes():
    assert "tolerations" not in pod(generation())
