"""`inferctl az` on what a stack file has made: what it keeps, and what it must not break."""

import json

import pytest

from inference_provider.observed import Kind, ResourceId

STACK = """\
name: base
environments:
  - name: plain
    command: [python, -m, http.server]
    inference_config:
      liveness_route: {path: /, port: 80}
      readiness_route: {path: /, port: 80}
      scoring_route: {path: /, port: 80}
endpoints:
  - {name: Iris, keys: {primary: "${env:IRIS_KEY}"}}
deployments:
  - {endpoint: Iris, name: Blue, environment: plain:1, start_timeout_s: 7}
traffic: [{endpoint: Iris, traffic: {Blue: 100}}]
role_assignments:
  - {name: ann, principal: ann, principal_type: user, role: Reader, scope: endpoints/Iris}
"""


@pytest.fixture
def az(folder, monkeypatch):
    monkeypatch.setenv("IRIS_KEY", "a-key-of-sixteen-characters")
    monkeypatch.setenv("INFERENCE_STACK", "base")
    folder.write("stack.yaml", STACK)
    done = folder.run("up")
    assert done.exit_code == 0, done.output

    def run(line: str, code: int = 0):
        done = folder.run("az", *line.split())
        assert done.exit_code == code, done.output
        return done.stderr if code else json.loads(done.stdout or "null")

    return run


def deployment(folder):
    id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name="Iris/Blue")
    return folder.target.record(id_).properties


def test_names_are_those_of_the_stack_file_in_whatever_case_they_are_given(az):
    shown = az("online-endpoint update -n IRIS --traffic blue=0")
    assert (shown["name"], shown["traffic"]) == ("Iris", {"Blue": 0})
    assert az("online-deployment show -e iris -n BLUE --query name") == "Blue"


def test_an_update_keeps_what_azure_ml_has_no_word_for(az, folder):
    az("online-deployment update -e iris -n blue --set tags.a=1 instance_count=2")
    found = deployment(folder)
    assert (found["start_timeout_s"], found["tags"], found["instance_count"]) == (7, {"a": "1"}, 2)


def test_an_endpoint_with_secrets_of_its_file_is_changed_there(az):
    assert az("online-endpoint update -n iris --set description=x", 1) == (
        "error: update Endpoint 'default/Iris': it has secrets, of which only digests are kept;"
        " pass its file, or change it in its stack file\n"
    )


def test_a_count_that_a_rule_decides_is_not_set(az, folder):
    rule = "autoscale_rules: [{endpoint: Iris, deployment: Blue, max_instances: 3}]\n"
    folder.write("stack.yaml", STACK + rule)
    done = folder.run("up")
    assert done.exit_code == 0, done.output
    assert "instance_count follows the deployment's autoscale rule" in az(
        "online-deployment update -e iris -n blue --set instance_count=2", 1
    )


def test_nothing_is_deleted_of_an_endpoint_that_something_else_names(az, folder):
    assert az("online-endpoint delete -n iris -y", 1) == (
        "error: delete Endpoint 'default/Iris': RoleAssignment 'default/ann' names it; delete that"
        " first\n"
    )
    assert deployment(folder)["instance_count"] == 1


def test_nothing_is_replaced_but_by_a_delete(az, folder):
    other = "  - {name: other, identity: reader}\nidentities: [{name: reader}]\ndeployments:"
    folder.write("stack.yaml", STACK.replace("deployments:", other))
    assert folder.run("up").exit_code == 0
    assert az("online-endpoint create -n other", 1) == (
        "error: create Endpoint 'default/other': this would delete it and make it again: identity;"
        " nothing was changed; delete it first, or change it in its stack file\n"
    )


CURATED = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"


def with_curated(folder):
    text = (folder.path / "azure/blue-deployment.yml").read_text()
    head, _, tail = text.partition("environment:\n")
    rest = tail.partition("environment_variables:")[2]
    folder.write("azure/red.yml", f"{head}environment: {CURATED}\nenvironment_variables:{rest}")


def test_a_curated_environment_is_what_the_stack_file_says(az, folder):
    with_curated(folder)
    create = "online-deployment create -f azure/red.yml -n red"
    assert az(create, 1).endswith(
        f"environment: '{CURATED}' is in a registry of Azure, which cannot be read here; write in"
        " the workspace of ./stack.yaml `registries: {azureml: {environments: {sklearn-1.5:"
        " {conda_file: PATH}}}}`\n"
    )
    spaces = "workspaces: [{name: default, registries: {azureml: {environments: {sklearn-1.5: "
    folder.write("stack.yaml", f"{STACK}{spaces}{{conda_file: conda.yaml}}}}}}}}}}]\n")
    assert az(f"{create} --query environment") == "azureml:azureml-sklearn-1.5:1"
    assert az(f"{create} --query environment") == "azureml:azureml-sklearn-1.5:1"


def test_a_workspace_that_the_stack_file_declares_is_not_made_of_defaults(folder):
    folder.write("stack.yaml", STACK)
    done = folder.run("az", "online-endpoint", "create", "-n", "iris")
    assert (done.exit_code, done.stderr) == (
        3, "error: find workspace 'default': not found; create it with `inferctl up`\n",
    )  # fmt: skip
