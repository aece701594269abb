"""What a program's resources depend on, as Pulumi is told."""

import asyncio
from typing import Any

import pulumi
import pytest
from pulumi.runtime.settings import set_root_resource

import pulumi_inference as inference


@pytest.fixture
def before(recorder):
    """Return a function that ends the program, and tells what each resource depends on."""
    set_root_resource(pulumi.ComponentResource("program", "root"))

    def end() -> dict[str, set[str]]:
        asyncio.get_event_loop().run_until_complete(pulumi.runtime.stack.wait_for_rpcs())
        found: dict[str, set[str]] = recorder.before
        return found

    return end


ASKED: dict[str, Any] = {
    "workspace": "demo",
    "endpoint": "iris",
    "environment": "azureml:sklearn@latest",
}


def test_what_is_named_in_text_comes_before_what_names_it(before):
    inference.Workspace("demo")
    inference.Workspace("other")
    inference.Model("linear", workspace="demo", path="m")
    inference.Environment("sklearn", workspace="demo")
    inference.Endpoint("iris", workspace="demo")
    inference.Endpoint("elsewhere", workspace="other")
    inference.Endpoint("lost")  # in `default`, which the program does not declare
    inference.Deployment("blue", **ASKED, model="linear:1")
    inference.Traffic("split", workspace="demo", endpoint="iris")
    inference.Traffic("far", workspace="other", endpoint="elsewhere")
    found = before()
    assert found["Workspace demo"] == set()
    assert found["Endpoint iris"] == {"Workspace demo"}
    assert found["Endpoint lost"] == {"Workspace demo", "Workspace other"}
    assert found["Deployment blue"] == {
        "Workspace demo", "Endpoint iris", "Model linear", "Environment sklearn",
    }  # fmt: skip
    assert found["Traffic split"] == {"Workspace demo", "Endpoint iris", "Deployment blue"}
    assert found["Traffic far"] == {"Workspace other", "Endpoint elsewhere"}


def test_an_endpoint_comes_after_the_identity_that_it_names(before):
    inference.Identity("robot")
    inference.Identity("other")
    inference.Endpoint("iris", identity="robot")
    assert before()["Endpoint iris"] == {"Identity robot"}


def test_a_role_assignment_comes_after_its_identity_and_its_scope(before):
    inference.Connection("hub")
    inference.Identity("robot")
    inference.Endpoint("iris")
    inference.RoleAssignment("may", principal="robot", role="Reader", scope="endpoints/iris")
    inference.RoleAssignment("reads", principal="robot", role="Reader", scope="connections/hub")
    inference.RoleAssignment("ana", principal="robot", principal_type="user", role="Reader")
    found = before()
    assert found["RoleAssignment may"] == {"Identity robot", "Endpoint iris"}
    assert found["RoleAssignment reads"] == {"Identity robot", "Connection hub"}
    assert found["RoleAssignment ana"] == set()


def test_an_environment_and_a_model_come_after_all_connections_of_their_workspace(before):
    inference.Connection("hub", workspace="demo", category="Git", credentials={"pat": "x"})
    inference.Connection("far", workspace="other", category="Git", credentials={"pat": "x"})
    inference.Environment("sklearn", workspace="demo")
    inference.Model("linear", workspace="demo", path="m")
    found = before()
    assert found["Environment sklearn"] == {"Connection hub"}
    assert found["Model linear"] == {"Connection hub"}


def test_a_deployment_comes_after_all_role_assignments_of_its_workspace(before):
    inference.RoleAssignment("may", workspace="demo", principal="ana", role="Reader")
    inference.RoleAssignment("far", workspace="other", principal="ana", role="Reader")
    inference.Deployment("blue", **ASKED)
    assert before()["Deployment blue"] == {"RoleAssignment may"}


def test_an_autoscale_rule_comes_after_its_deployment(before):
    iris, rose = inference.Endpoint("iris"), inference.Endpoint("rose")
    inference.Deployment("iris-blue", name="blue", endpoint=iris, environment="env:1")
    inference.Deployment("iris-green", name="green", endpoint=iris, environment="env:1")
    inference.Deployment("rose-blue", name="blue", endpoint=rose, environment="env:1")
    inference.AutoscaleRule("grow", endpoint=iris, deployment="blue", max_instances=3)
    inference.AutoscaleRule("named", endpoint="iris", deployment="green", max_instances=3)
    found = before()
    assert found["AutoscaleRule grow"] == {"Endpoint iris", "Deployment iris-blue"}
    assert found["AutoscaleRule named"] == {"Endpoint iris", "Deployment iris-green"}


STACK = """\
name: demo
models: [{name: iris, path: m.bin}]
environments: [{name: plain, command: [python], inference_config: {
  liveness_route: &root {path: /, port: 80}, readiness_route: *root, scoring_route: *root}}]
identities: [{name: robot}]
endpoints: [{name: iris, identity: robot, traffic: {blue: 100}}, {name: rose}]
role_assignments: [{name: may, principal: robot, role: Reader, scope: endpoints/rose}]
deployments:
  - &blue {endpoint: iris, name: blue, model: iris@latest, environment: plain@latest}
  - {<<: *blue, endpoint: rose, name: red}
autoscale_rules: [{endpoint: rose, deployment: red, max_instances: 3}]
"""


def test_declare_orders_a_stack_file_as_any_program(before, tmp_path):
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "m.bin").write_text("model")
    inference.declare(str(tmp_path / "stack.yaml"))
    workspace, assets = "Workspace default", {"Model default/iris:1", "Environment default/plain:1"}
    granted = {workspace, *assets, "Identity default/robot", "RoleAssignment default/may"}
    assert before() == {
        workspace: set(),
        "Model default/iris:1": {workspace},
        "Environment default/plain:1": {workspace},
        "Identity default/robot": {workspace},
        "Endpoint default/iris": {workspace, "Identity default/robot"},
        "Endpoint default/rose": {workspace},
        "RoleAssignment default/may": {
            workspace, "Identity default/robot", "Endpoint default/rose",
        },
        "Deployment default/iris/blue": granted | {"Endpoint default/iris"},
        "Deployment default/rose/red": granted | {"Endpoint default/rose"},
        "Traffic default/iris": {
            workspace, "Endpoint default/iris", "Deployment default/iris/blue",
        },
        "AutoscaleRule default/rose/red": {
            workspace, "Endpoint default/rose", "Deployment default/rose/red",
        },
    }  # fmt: skip


class OurEndpoint(inference.Endpoint):
    """An endpoint as a user's own house makes it."""


class OurDeployment(inference.Deployment):
    """A deployment of the same house."""


def test_a_class_of_the_users_own_is_ordered_sent_and_registered_as_what_it_derives_from(
    before, recorder
):
    space = inference.Workspace("demo")
    iris = OurEndpoint("iris", workspace=space)
    OurDeployment("blue", workspace=space, endpoint=iris, environment="env:1")
    OurDeployment("iris", workspace=space, endpoint="iris", environment="env:1")
    inference.Traffic("iris", workspace=space, endpoint=iris)
    with pytest.raises(pulumi.RunError) as refused:
        inference.Model("m", workspace=iris, path="m")  # type: ignore[arg-type]
    found = before()
    assert (
        str(refused.value)
        == "Model 'm': workspace expects a Workspace or its name, not an Endpoint"
    )
    assert found["Deployment iris"] == {"Workspace demo", "Endpoint iris"}
    assert found["Traffic iris"] == {
        "Workspace demo", "Endpoint iris", "Deployment blue", "Deployment iris",
    }  # fmt: skip
    assert sorted(kind for kind, inputs in recorder.declared if "workspace" in inputs) == [
        "pulumi-python:dynamic/inference:Deployment",
        "pulumi-python:dynamic/inference:Deployment",
        "pulumi-python:dynamic/inference:Endpoint",
        "pulumi-python:dynamic/inference:Traffic",
    ]
