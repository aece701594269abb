"""Check refuses roles that are not there, and deployments whose identity lacks one."""

import pytest
from pulumi.output import UNKNOWN
from tests.memory import ANN, desired, with_workspace
from tests.providers import PLAIN, THERE, checked, failures

from inference_provider.dynamic.connection import ConnectionProvider
from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.identity import IdentityProvider
from inference_provider.dynamic.role_assignment import RoleAssignmentProvider
from inference_provider.dynamic.workspace import WorkspaceProvider
from inference_provider.observed import Kind
from inference_provider.spec import IdentitySpec, RoleAssignmentSpec

KEY = {"KEY": "${{azureml://connections/openai/credentials/key}}"}
BLUE = {**THERE, **PLAIN, "name": "blue", "endpoint": "iris", "environment_variables": KEY}


@pytest.fixture
def program(empty):
    """A program with an endpoint that has a user-assigned identity."""
    own = {"Scorer": {"actions": ["*/score/action"]}}
    checked(WorkspaceProvider(), name="default", target="memory", roles=own)
    if Kind.CONNECTION in empty.capabilities.kinds:
        key = {"key": "hush"}
        checked(ConnectionProvider(), **THERE, name="openai", credentials=key)
    checked(IdentityProvider(), **THERE, name="robot")
    checked(EndpointProvider(), **THERE, name="iris", identity="robot")
    return empty


def test_a_role_that_nobody_has_is_refused_with_the_one_that_is_meant(program):
    given = {**THERE, "name": "may", "principal": "robot"}
    [(path, reason)] = failures(RoleAssignmentProvider(), **given, role="Storage Blob Data Reade")
    assert path == ""
    assert reason.startswith(
        "role: no role 'Storage Blob Data Reade'; did you mean 'Storage Blob Data Reader'?"
        " declare it under `roles` of the workspace, or use one of: Owner, Contributor, Reader,"
    )
    assert reason.endswith(", Scorer")
    checked(RoleAssignmentProvider(), **given, role="Scorer")
    checked(RoleAssignmentProvider(), **given, role=UNKNOWN)


def test_a_deployment_is_refused_until_the_program_gives_its_identity_the_role(program):
    [(path, reason)] = failures(DeploymentProvider(), **BLUE)
    assert (path, reason) == (
        "",
        "identity 'robot' has no role 'Azure Machine Learning Workspace Connection Secrets Reader'"
        " on connections/openai, to read its credentials; add to role_assignments:"
        " - {name: robot-secrets-openai, principal: robot, role: Azure Machine Learning Workspace"
        " Connection Secrets Reader, scope: connections/openai};"
        " in a program, declare it above this",
    )
    given = {**THERE, "name": "may", "principal": "robot", "role": "Connection Secrets Reader"}
    checked(RoleAssignmentProvider(), **given)
    checked(DeploymentProvider(), **BLUE)


def test_what_a_preview_does_not_know_is_not_refused(program):
    given = {**THERE, "name": "may", "principal": "robot"}
    checked(RoleAssignmentProvider(), **given, role=UNKNOWN)
    checked(DeploymentProvider(), **BLUE)


def test_a_role_that_another_stack_gave_counts(program):
    with_workspace(program)
    given = RoleAssignmentSpec(name="may", principal="robot", principal_type="group", role="Owner")
    program.apply(desired(Kind.ROLE_ASSIGNMENT, given), ANN)
    assert len(failures(DeploymentProvider(), **BLUE)) == 1
    owns = given.model_copy(update={"name": "owns", "principal_type": "identity"})
    program.apply(desired(Kind.IDENTITY, IdentitySpec(name="robot")), ANN)
    program.apply(desired(Kind.ROLE_ASSIGNMENT, owns), ANN)
    checked(DeploymentProvider(), **BLUE)


def test_tokens_of_a_provider_that_the_workspace_does_not_name_are_refused(program):
    asked = {**THERE, "name": "rose", "auth_mode": "aad_token"}
    assert failures(EndpointProvider(), **asked) == [
        (
            "",
            "auth_mode: aad_token, and workspace 'default' names no identity_provider;"
            " name one there, or use aml_token or key",
        )
    ]
    provider = {"issuer": "https://a.test", "audience": "chat", "jwks_uri": "https://a.test/keys"}
    for given in (UNKNOWN, provider):
        space = {"name": "default", "target": "memory", "identity_provider": given}
        checked(WorkspaceProvider(), **space)
        checked(EndpointProvider(), **asked)
