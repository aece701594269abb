"""Which roles the identity of a deployment's endpoint needs, and lacks."""

import pytest
import yaml
from pydantic import SecretStr

from inference_provider.access import Principal
from inference_provider.desired import resolve
from inference_provider.observed import ObservedState
from inference_provider.plan import plan
from inference_provider.plan_roles import lacking_roles
from inference_provider.role_needs import Grants, Reach, connections_in, lacking, reach_of
from inference_provider.spec import EnvironmentSpec, RoleAssignmentSpec, StackSpec

HUB = "hub.example.org/team"
SPACE = {"registry": HUB}
ROBOTS = {"name": "iris", "identity": "robot"}
OWN = {"name": "iris"}
ENFORCED = {"properties": {"enforce_access_to_default_secret_stores": "enabled"}}
BUILT = EnvironmentSpec(name="env", dependencies=["numpy"])
SECRETS = "Azure Machine Learning Workspace Connection Secrets Reader"


def grants(*given, roles=None):
    return Grants.of([{"name": f"g{i}", **one} for i, one in enumerate(given)], {"roles": roles})


def of_robot(role, scope=""):
    return {"principal": "robot", "role": role, "scope": scope}


# -- what is reached -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "registry"),
    [
        (BUILT, HUB),
        (EnvironmentSpec(name="env", image=f"{HUB}/scorer:2"), HUB),
        (EnvironmentSpec(name="env", image="hub.example.org/teams/scorer:2"), ""),
        (EnvironmentSpec(name="env", image="python:3.12"), ""),
        (EnvironmentSpec(name="env", image="python:3.12", dependencies=["numpy"]), HUB),
        (None, ""),
    ],
)
def test_the_registry_is_reached_for_images_that_come_from_it(environment, registry):
    assert reach_of({}, SPACE, environment).registry == registry
    assert reach_of({}, {}, environment).registry == ""


def test_a_bucket_is_reached_for_a_model_or_for_code():
    space = {"cluster": {"storage": {"url": "s3://models/demo/"}}}
    assert reach_of({"model": "iris:1"}, space, None).store == "models/demo"
    assert reach_of({"code_configuration": {"code": "c"}}, space, None).store == "models/demo"
    assert reach_of({}, space, None).store == ""
    assert reach_of({"model": "iris:1"}, {"cluster": {"storage": {"url": None}}}, None).store == ""


def test_connections_are_reached_that_variables_name():
    variables = {
        "KEY": SecretStr("${{azureml://connections/openai/credentials/key}}"),
        "URL": "${{ azureml://connections/hub/target }}",
        "PLAIN": "connections/none",
        "LATER": object(),
    }
    assert connections_in(variables) == ("hub", "openai")


# -- what is lacking -------------------------------------------------------------------------------


def test_a_user_assigned_identity_lacks_what_nobody_gave_it():
    reach = Reach(HUB, "models/demo", ("openai",))
    assert [*lacking(ROBOTS, reach, grants())] == [
        "identity 'robot' has no role 'AcrPull' on registries/hub.example.org/team,"
        " to pull its image; add to role_assignments: - {name: robot-acr-pull, principal: robot,"
        " role: AcrPull, scope: registries/hub.example.org/team}",
        "identity 'robot' has no role 'Storage Blob Data Reader' on stores/models/demo,"
        " to read its model and code; add to role_assignments: - {name: robot-blob-reader,"
        " principal: robot, role: Storage Blob Data Reader, scope: stores/models/demo}",
        f"identity 'robot' has no role '{SECRETS}' on connections/openai,"
        " to read its credentials; add to role_assignments: - {name: robot-secrets-openai,"
        f" principal: robot, role: {SECRETS}, scope: connections/openai}}",
    ]


@pytest.mark.parametrize(
    "given",
    [
        of_robot("AcrPull", f"registries/{HUB}"),
        of_robot("AcrPull", "registries/hub.example.org"),
        of_robot("acrpush"),
        of_robot("Owner"),
        of_robot("Puller", f"registries/{HUB}"),
    ],
)
def test_any_role_with_the_action_will_do_in_any_scope_around(given):
    roles = {"Puller": {"actions": ["Microsoft.ContainerRegistry/registries/pull/read"]}}
    assert [*lacking(ROBOTS, Reach(registry=HUB), grants(given, roles=roles))] == []


@pytest.mark.parametrize(
    "given",
    [
        of_robot("AcrPull", f"registries/{HUB}/other"),
        of_robot("Storage Blob Data Reader"),
        of_robot("AzureML Data Scientist"),
        {**of_robot("AcrPull"), "principal_type": "user"},
        {**of_robot("AcrPull"), "principal": "other"},
    ],
)
def test_another_role_scope_or_principal_will_not_do(given):
    assert len([*lacking(ROBOTS, Reach(registry=HUB), grants(given))]) == 1


def test_a_system_assigned_identity_has_what_it_needs_but_secrets():
    [said] = lacking(OWN, Reach(HUB, "models/demo", ("openai",)), grants())
    assert said == (
        f"the system-assigned identity of endpoint 'iris' has no role '{SECRETS}' on"
        " connections/openai, to read its credentials;"
        " add to role_assignments: - {name: iris-secrets-openai, principal: endpoints/iris,"
        f" role: {SECRETS}, scope: connections/openai}}, or give it to yourself and write"
        " properties: {enforce_access_to_default_secret_stores: enabled} on the endpoint"
    )
    given = {"principal": "endpoints/iris", "role": SECRETS, "scope": "connections/openai"}
    assert [*lacking(OWN, Reach(connections=("openai",)), grants(given))] == []


def test_it_gets_secrets_where_that_is_enforced_and_the_deployer_may_read_them():
    reach, ann = Reach(connections=("openai",)), Principal("user", "ann")
    may = {"principal": "ann", "principal_type": "user", "role": "Connection Secrets Reader"}
    assert [*lacking({**OWN, **ENFORCED}, reach, grants(may), ann)] == []
    assert [*lacking({**OWN, **ENFORCED}, reach, grants())] == []
    assert len([*lacking(OWN, reach, grants(may), ann)]) == 1
    part = {**may, "scope": "connections/openai"}
    [said] = lacking({**OWN, **ENFORCED}, reach, grants(part), ann)
    assert "to read its credentials, nor has its deployer, user 'ann'; add to" in said


def test_enforcement_gives_a_user_assigned_identity_nothing():
    reach = Reach(connections=("openai",))
    assert len([*lacking({**ROBOTS, **ENFORCED}, reach, grants())]) == 1


@pytest.mark.parametrize(
    ("principal", "connection", "name"),
    [
        ("robot", "openai", "robot-secrets-openai"),
        ("a" * 32, "openai", f"{'a' * 17}-secrets-openai"),
        ("robot", "b" * 30, "secrets-bbbbbbbbbbbbbbbbbbbbbbbb"),
        ("robot", "my_open__ai", "robot-secrets-my-open-ai"),
    ],
)
def test_the_line_to_add_is_an_item_of_a_stack_file_that_gives_the_role(
    principal, connection, name
):
    endpoint = {"name": "iris", "identity": principal, "workspace": "lab"}
    reach = Reach(connections=(connection,))
    [said] = lacking(endpoint, reach, grants())
    [item] = yaml.safe_load(said.partition("role_assignments: ")[2])
    given = RoleAssignmentSpec.model_validate(item)
    assert (given.name, given.workspace) == (name, "lab")
    assert [*lacking(endpoint, reach, grants(given.model_dump()))] == []


# -- in a plan -------------------------------------------------------------------------------------


def stack(*assignments):
    return StackSpec.model_validate(
        {
            "name": "demo",
            "workspaces": [{"registry": HUB}],
            "environments": [{"name": "env", "image": f"{HUB}/s:1", "content_hash": "b" * 64}],
            "identities": [{"name": "robot"}],
            "endpoints": [{"name": "iris", "identity": "robot"}],
            "role_assignments": list(assignments),
            "deployments": [{"endpoint": "iris", "name": "blue", "environment": "env:1"}],
        }
    )


def test_a_plan_counts_the_roles_that_it_makes():
    made = {"name": "pull", "principal": "robot", "role": "ACR Pull"}
    found = [
        [*lacking_roles(plan(resolve(one), ObservedState(), "demo"), ObservedState(), "ann")]
        for one in (stack(), stack(made))
    ]
    [said], none = found
    assert said.startswith(
        "Deployment 'default/iris/blue': identity 'robot' has no role 'AcrPull' on"
        " registries/hub.example.org/team, to pull its image; add to role_assignments: - {name:"
    )
    assert none == []
