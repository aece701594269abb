"""Rules between the resources of one stack."""

import pytest
from tests.specs import deployment, stack

from inference_provider.spec import (
    AutoscaleRuleSpec,
    ConnectionSpec,
    EndpointSpec,
    IdentitySpec,
    RoleAssignmentSpec,
    TrafficSpec,
    WorkspaceSpec,
    stack_faults,
)

VAULT = WorkspaceSpec(secret_store={"kind": "vault", "address": "https://vault.example.org"})


def test_a_sound_stack_has_no_faults():
    traffic = (TrafficSpec(endpoint="iris", traffic={"blue": 100}),)
    assert stack_faults(stack(traffic=traffic)) == ()


def _given(**fields):
    one = {"name": "may", "principal": "endpoints/iris", "role": "Reader", **fields}
    return RoleAssignmentSpec.model_validate(one)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"deployments": (deployment(), deployment(name="BLUE"))},
            "deployments.1.name: 'default/iris/blue' is already declared, as deployments.0;"
            " rename one of them",
            id="names that differ in case only",
        ),
        pytest.param(
            {"deployments": tuple(deployment(name=f"blue-{i}") for i in range(21))},
            "endpoints.0.name: 21 deployments behind 'iris'; keep at most 20 per endpoint",
            id="21 deployments",
        ),
        pytest.param(
            {"endpoints": (EndpointSpec(name="iris", auth_mode="aad_token"),)},
            "endpoints.0.auth_mode: aad_token, and workspace 'default' names no identity_provider;"
            " name one there, or use aml_token or key",
            id="tokens of no provider",
        ),
        pytest.param(
            {"connections": (ConnectionSpec(name="hub", stored_credentials={"key": "HUB_KEY"}),)},
            "connections.0.stored_credentials: the workspace's secret_store is encrypted_file,"
            " which has what connections say; write credentials, or name another secret_store",
            id="a place in no other store",
        ),
        pytest.param(
            {
                "workspaces": (VAULT,),
                "connections": (ConnectionSpec(name="hub", credentials={"key": "hidden"}),),
            },
            "connections.0.credentials: secret_store vault is read-only;"
            " leave key out, and say in stored_credentials where each is",
            id="a secret for a store that is read",
        ),
        pytest.param(
            {
                "workspaces": (VAULT,),
                "connections": (ConnectionSpec(name="hub", stored_credentials={"key": "openai"}),),
            },
            "connections.0.stored_credentials.key: 'openai' does not name a secret in a Vault;"
            " write PATH#KEY: openai#key",
            id="a place of another kind of store",
        ),
        pytest.param(
            {"deployments": (deployment(endpoint="other"),)},
            "deployments.0.endpoint: no endpoint 'other' in workspace 'default';"
            " declare it under endpoints",
            id="unknown endpoint",
        ),
        pytest.param(
            {"deployments": (deployment(model="iris:2"),)},
            "deployments.0.model: no model 'iris:2' in workspace 'default';"
            " declare it under models",
            id="unknown version",
        ),
        pytest.param(
            {"deployments": (deployment(code_configuration=None),)},
            "deployments.0.code_configuration: missing, and the environment brings no command of"
            " its own; name the code folder and its scoring_script, or give the environment a"
            " command",
            id="nothing to run",
        ),
        pytest.param(
            {"deployments": (deployment(code_configuration={"code": "src"}),)},
            "deployments.0.code_configuration.scoring_script: missing, and the environment brings"
            " no command of its own; name the script with init() and run()",
            id="no script",
        ),
        pytest.param(
            {"traffic": (TrafficSpec(endpoint="iris", traffic={"green": 100}),)},
            "traffic.0.traffic.green: no deployment 'green' behind endpoint 'iris';"
            " declare the deployment, or remove its weight",
            id="weight on a missing deployment",
        ),
        pytest.param(
            {"endpoints": (EndpointSpec(name="iris", workspace="other"),), "deployments": ()},
            "endpoints.0.workspace: no workspace 'other' is declared;"
            " declare it, or use one of: default",
            id="unknown workspace",
        ),
        pytest.param(
            {"endpoints": (EndpointSpec(name="iris", identity="robot"),)},
            "endpoints.0.identity: no identity 'robot' in workspace 'default';"
            " declare it under identities",
            id="unknown identity",
        ),
        pytest.param(
            {
                "role_assignments": (
                    RoleAssignmentSpec(name="may", principal="robot", role="Reader"),
                )
            },
            "role_assignments.0.principal: no identity 'robot' in workspace 'default';"
            " declare it under identities, or set principal_type: user",
            id="unknown principal",
        ),
        pytest.param(
            {
                "role_assignments": (
                    RoleAssignmentSpec(
                        name="may",
                        principal="ana",
                        principal_type="user",
                        role="Reader",
                        scope="endpoints/gone",
                    ),
                )
            },
            "role_assignments.0.scope: no endpoint 'gone' in workspace 'default';"
            " declare it under endpoints",
            id="unknown scope",
        ),
        pytest.param(
            {"role_assignments": (_given(principal="endpoints/gone"),)},
            "role_assignments.0.principal: no endpoint 'gone' in workspace 'default';"
            " declare it under endpoints",
            id="system-assigned identity of a missing endpoint",
        ),
        pytest.param(
            {"role_assignments": (_given(scope="endpoints/iris/deployments/gren"),)},
            "role_assignments.0.scope: no deployment 'endpoints/iris/deployments/gren'"
            " in workspace 'default'; declare it under deployments",
            id="scope of a missing deployment",
        ),
        pytest.param(
            {"role_assignments": (_given(role="Data Scientists"),)},
            "role_assignments.0.role: no role 'Data Scientists';"
            " did you mean 'AzureML Data Scientist'?"
            " declare it under `roles` of the workspace, or use one of: Owner, Contributor, Reader,"
            " User Access Administrator, AzureML Data Scientist, Azure Machine Learning Workspace"
            " Connection Secrets Reader, Key Vault Secrets User, AzureML Metrics Writer, AcrPull,"
            " AcrPush, Storage Blob Data Reader, Storage Blob Data Contributor",
            id="unknown role",
        ),
        pytest.param(
            {
                "autoscale_rules": (
                    AutoscaleRuleSpec(endpoint="iris", deployment="green", max_instances=2),
                )
            },
            "autoscale_rules.0.deployment: no deployment 'green' behind endpoint 'iris';"
            " declare it under deployments",
            id="rule for nothing",
        ),
    ],
)
def test_a_broken_rule_between_resources_is_a_fault(fields, expected):
    assert [str(fault) for fault in stack_faults(stack(**fields))] == [expected]


def test_an_identity_of_the_workspace_may_be_named():
    identities = (IdentitySpec(name="robot"),)
    endpoints = (EndpointSpec(name="iris", identity="robot"),)
    assert stack_faults(stack(identities=identities, endpoints=endpoints)) == ()


def test_what_the_stack_declares_may_be_a_scope_and_a_role():
    given = (
        _given(scope="endpoints/iris/deployments/blue"),
        _given(name="own", role="Scorer"),
    )
    workspaces = (WorkspaceSpec(roles={"Scorer": {"actions": ["*/score/action"]}}),)
    assert stack_faults(stack(workspaces=workspaces, role_assignments=given)) == ()


@pytest.mark.parametrize(
    "limits",
    [
        (4, ()),
        (2, ({"cron": "0 9 * * *", "duration_s": 60, "min_instances": 1, "max_instances": 4},)),
    ],
    ids=["always", "at times"],
)
def test_a_rule_counts_in_a_quota_with_as_many_instances_as_it_ever_allows(limits):
    workspaces = (WorkspaceSpec(quota={"max_instances": 3}),)
    rule = AutoscaleRuleSpec(
        endpoint="iris", deployment="blue", max_instances=limits[0], schedules=limits[1]
    )
    declared = {"endpoints": (EndpointSpec(name="iris"),), "deployments": (deployment(),)}
    for enabled, faults in ((True, 1), (False, 0)):
        rules = (rule.model_copy(update={"enabled": enabled}),)
        found = stack_faults(stack(workspaces=workspaces, autoscale_rules=rules, **declared))
        told = [str(fault) for fault in found if "quota" in fault.path]
        assert (
            told
            == [
                "workspaces.0.quota.max_instances: would bring the workspace to 4 instances; its"
                " quota is 3; raise it, or declare fewer"
            ]
            * faults
        )


def test_a_weight_of_0_may_name_what_is_gone():
    traffic = (TrafficSpec(endpoint="iris", traffic={"blue": 100, "green": 0}),)
    assert stack_faults(stack(traffic=traffic)) == ()


def test_a_quota_below_what_the_stack_declares_is_a_fault_of_the_quota():
    workspaces = (WorkspaceSpec(quota={"max_instances": 3, "max_gpus": 4}),)
    resources = {"limits": {"gpu": 2}}
    blue = deployment(instance_count=2, resources=resources)
    green = deployment(name="green", instance_count=2)
    endpoints = (EndpointSpec(name="iris"),)
    found = stack(workspaces=workspaces, endpoints=endpoints, deployments=(blue, green))
    assert [str(fault) for fault in stack_faults(found) if "quota" in fault.path] == [
        "workspaces.0.quota.max_instances: would bring the workspace to 4 instances; its quota is"
        " 3; raise it, or declare fewer"
    ]
    more = deployment(name="green", instance_count=1, resources={"requests": {"gpu": 1}})
    found = stack(workspaces=workspaces, endpoints=endpoints, deployments=(blue, more))
    assert [str(fault) for fault in stack_faults(found) if "quota" in fault.path] == [
        "workspaces.0.quota.max_gpus: would bring the workspace to 5 gpus; its quota is 4; raise"
        " it, or declare fewer"
    ]
