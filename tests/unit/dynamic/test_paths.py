"""People's stacks hold the dotted path of each provider class: it never changes."""

import base64
import importlib

import dill
import pytest
from pulumi.dynamic.dynamic import serialize_provider

import pulumi_inference

PATHS = {
    "Workspace": "inference_provider.dynamic.workspace.WorkspaceProvider",
    "Connection": "inference_provider.dynamic.connection.ConnectionProvider",
    "Model": "inference_provider.dynamic.model.ModelProvider",
    "Environment": "inference_provider.dynamic.environment.EnvironmentProvider",
    "Identity": "inference_provider.dynamic.identity.IdentityProvider",
    "RoleAssignment": "inference_provider.dynamic.role_assignment.RoleAssignmentProvider",
    "Endpoint": "inference_provider.dynamic.endpoint.EndpointProvider",
    "Deployment": "inference_provider.dynamic.deployment.DeploymentProvider",
    "Traffic": "inference_provider.dynamic.traffic.TrafficProvider",
    "AutoscaleRule": "inference_provider.dynamic.autoscale_rule.AutoscaleRuleProvider",
}


@pytest.mark.parametrize("path", PATHS.values())
def test_a_provider_is_pickled_by_reference_under_200_bytes(path):
    module, _, name = path.rpartition(".")
    provider = getattr(importlib.import_module(module), name)()

    pickled = base64.b64decode(serialize_provider(provider))

    assert len(pickled) < 200
    assert module.encode() in pickled
    assert type(dill.loads(pickled)) is type(provider)
    assert provider.serialize_as_secret_always is False


@pytest.mark.parametrize("kind", PATHS)
def test_a_resource_keeps_its_type_token(kind):
    assert getattr(pulumi_inference, kind)._resource_type_name == f"dynamic/inference:{kind}"


def test_the_sdk_exports_the_kinds_and_declare_and_nothing_else():
    assert sorted(pulumi_inference.__all__) == sorted([*PATHS, "declare"])
