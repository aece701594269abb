"""The objects that keep content in a cluster, and what an instance's pod gets of them."""

import base64

import pytest

from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.resources import Resources
from inference_provider.targets.kubernetes.content_manifests import (
    ContentService,
    Fetched,
    Volume,
    built_from,
    environment_key,
    environment_secret,
    key_of,
)

HARDENED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
PACKAGES = EnvironmentSpec(name="env", python_version="3.11", dependencies=("six==1.16.0",))
BROUGHT = EnvironmentSpec(name="triton", image="triton:24")


def objects(**given):
    service = ContentService("demo", "lab", "runtime:1", **given)
    return {one["kind"]: one for one in service.objects()}


def fetched(environment=PACKAGES, assets=None, **amounts):
    resources = Resources.model_validate(amounts)
    return Fetched("runtime:1", "python:3.11", environment, assets or {}, resources).given()


def test_the_content_pod_may_do_nothing_but_keep_files():
    spec = objects()["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == HARDENED
    assert container["command"] == [
        "python3",
        "-m",
        "inference_provider.targets.kubernetes.content_server",
        "/content",
    ]
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["env"] == [
        {
            "name": "INFERENCE_CONTENT_PASS",
            "valueFrom": {"secretKeyRef": {"name": "inference-content", "key": "token"}},
        }
    ]
    assert "envFrom" not in container


def test_the_labels_of_the_pod_are_those_that_its_service_and_policy_choose():
    found = objects()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    assert labels >= found["Deployment"]["spec"]["selector"]["matchLabels"].items()
    assert labels >= found["Service"]["spec"]["selector"].items()
    assert labels >= found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()


def test_content_lies_on_the_disk_of_the_node_unless_a_size_is_named():
    found = objects()
    assert "PersistentVolumeClaim" not in found
    [volume] = found["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert volume == {"name": "content", "emptyDir": {}}


@pytest.mark.parametrize(("storage_class", "named"), [(None, {}), ("", {"storageClassName": ""})])
def test_a_claim_has_the_size_that_is_named(storage_class, named):
    found = objects(volume=Volume("20Gi", storage_class))
    assert found["PersistentVolumeClaim"]["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "20Gi"}},
        **named,
    }
    [volume] = found["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": "inference-content"}


def test_the_port_is_open_to_instances_and_to_the_networks_of_clients():
    [rule] = objects(clients=["10.0.0.1/32"])["NetworkPolicy"]["spec"]["ingress"]
    assert rule == {
        "ports": [{"port": 8080, "protocol": "TCP"}],
        "from": [
            {
                "podSelector": {
                    "matchLabels": {
                        "pulumi-inference/workspace": "demo",
                        "pulumi-inference/role": "instance",
                    }
                }
            },
            {"ipBlock": {"cidr": "10.0.0.1/32"}},
        ],
    }
    [anyone] = objects()["NetworkPolicy"]["spec"]["ingress"]
    assert anyone == {"ports": [{"port": 8080, "protocol": "TCP"}]}


def test_an_instance_finds_model_and_code_where_azure_ml_has_them():
    given = fetched(BROUGHT, {"model": "a" * 64, "code": "b" * 64})
    assert str(given.model_dir) == "/var/azureml/model/content"
    assert str(given.code_dir) == "/var/azureml/code/content"
    [init] = given.init_containers
    assert (init["name"], init["image"]) == ("storage-initializer", "runtime:1")
    assert init["command"] == [
        "python3",
        "-m",
        "inference_provider.targets.kubernetes.fetch",
        "--into",
        "/var/azureml",
        f"code={'b' * 64}",
        f"model={'a' * 64}",
    ]
    assert init["securityContext"] == HARDENED
    assert given.mounts == ({"name": "content", "mountPath": "/var/azureml", "readOnly": True},)
    assert init["volumeMounts"] == [{"name": "content", "mountPath": "/var/azureml"}]


def test_an_image_with_nothing_to_fetch_starts_as_it_is():
    given = fetched(BROUGHT)
    assert given.init_containers == given.volumes == given.mounts == ()
    assert (given.model_dir, given.code_dir) == (None, None)


def test_packages_are_built_in_the_image_of_the_instance_with_its_amounts_and_no_gpu():
    given = fetched(limits={"cpu": "2", "memory": "4Gi", "gpu": 1})
    fetcher, builder = given.init_containers
    assert fetcher["command"][3:] == ["--into", "/var/azureml", "--tools", "/tools", "--installer"]
    assert (builder["name"], builder["image"]) == ("environment", "python:3.11")
    assert builder["command"][-2:] == ["--python", "3.11"]
    assert builder["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}
    assert builder["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert [(one["mountPath"], one.get("readOnly", False)) for one in given.mounts] == [
        ("/opt/environment", True),
        ("/opt/inference", True),
    ]
    assert [(one["mountPath"], one.get("readOnly", False)) for one in builder["volumeMounts"]] == [
        ("/opt/environment", False),
        ("/opt/inference", False),
    ]


def test_a_deployment_tells_the_key_of_its_environment():
    template = {"spec": {"initContainers": list(fetched().init_containers)}}
    made = {"kind": "Deployment", "spec": {"template": template}}
    assert key_of(made) == environment_key(PACKAGES, "python:3.11")
    assert key_of({**made, "spec": {"template": {"spec": {}}}}) == ""


@pytest.mark.parametrize(
    ("change", "image"),
    [
        ({"dependencies": ("six==1.17.0",)}, "python:3.11"),
        ({"python_version": "3.12"}, "python:3.11"),
        ({}, "python:3.11-slim"),
    ],
)
def test_what_decides_an_environment_is_in_its_key(change, image):
    other = environment_key(PACKAGES.model_copy(update=change), image)
    assert other != environment_key(PACKAGES, "python:3.11")
    described = PACKAGES.model_copy(update={"description": "other words", "version": "2"})
    assert environment_key(described, "python:3.11") == environment_key(PACKAGES, "python:3.11")


def test_the_secret_of_an_environment_has_requirements_and_the_installers_settings():
    variables = {"UV_INDEX_URL": "https://ann:hunter2@example.org/simple", **built_from(PACKAGES)}
    secret = environment_secret("demo", "lab", "e" * 64, variables)
    assert secret["metadata"]["name"] == "environment-eeeeeeeeeeeeeeee"
    found = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
    assert found == {
        "INFERENCE_REQUIREMENTS": "six==1.16.0\nazureml-inference-server-http==1.5.1\n",
        "UV_INDEX_URL": "https://ann:hunter2@example.org/simple",
    }


def test_the_token_of_a_workspace_is_in_the_secret_that_its_pod_reads():
    made = ContentService("demo", "lab", "runtime:1", "abc").objects()
    secret = next(one for one in made if one["kind"] == "Secret")
    assert (secret["kind"], secret["metadata"]["name"]) == ("Secret", "inference-content")
    assert secret["data"] == {"token": "YWJj"}
