"""Which deployment `serve` runs, and what it refuses to run."""

import pytest
from tests.specs import deployment, stack

from inference_provider.desired import resolve
from inference_provider.errors import SpecError
from inference_provider.spec import EndpointSpec, EnvironmentSpec, ModelSpec
from inference_provider.targets.local.foreground.choice import choose
from inference_provider.targets.local.foreground.served import Debugger, debugged, with_debugger


def chosen(asked=None, variables=None, **fields):
    return choose(resolve(stack(**fields), "/srv/stack"), asked, variables or {})


def refused(asked=None, variables=None, **fields):
    with pytest.raises(SpecError) as found:
        chosen(asked, variables, **fields)
    return [f"{one.path}: {one.reason}; {one.remedy}" for one in found.value.faults]


TWO = (deployment(), deployment(name="green"))


def test_the_only_deployment_is_meant():
    choice = chosen()
    assert choice.name == "iris/blue"
    assert str(choice.code_dir) == "/srv/stack/src"
    assert str(choice.model_path) == "/srv/stack/m"
    assert choice.notes == ()


@pytest.mark.parametrize("asked", ["green", "iris/green"])
def test_one_of_several_is_named(asked):
    assert chosen(asked, deployments=TWO).name == "iris/green"


def test_several_and_no_name_are_told():
    found = refused(deployments=TWO)
    assert found == [
        "--deployment: the files declare iris/blue, iris/green; pass --deployment ENDPOINT/NAME"
    ]


def test_a_name_that_two_endpoints_have_is_not_enough():
    other = deployment(endpoint="rose")
    endpoints = (EndpointSpec(name="iris"), EndpointSpec(name="rose"))
    found = refused("blue", deployments=(deployment(), other), endpoints=endpoints)
    assert found == [
        "--deployment: the files declare iris/blue, rose/blue; pass --deployment ENDPOINT/NAME"
    ]


def test_a_name_of_none_is_told_with_those_there_are():
    found = refused("red", deployments=TWO)
    assert found == [
        "--deployment: there is no 'red'; the files declare iris/blue, iris/green; name one of"
        " these"
    ]


def test_files_without_a_deployment_are_told():
    assert refused(deployments=()) == [
        "--deployment: the files declare no online deployment; name the file of one"
    ]


def test_values_that_are_elsewhere_are_asked_for_all_at_once():
    variables = {
        "KEY": "${{azureml://connections/hub/credentials/key}}",
        "PLAIN": "1",
        "SECRET": "${{keyvault:https://v.vault.azure.net/secrets/s}}",
    }
    one = deployment(environment_variables=variables, nodes_per_instance=2)
    assert refused(deployments=(one,)) == [
        "environment_variables.KEY: its value is in a connection or a vault, which `serve` does"
        " not read; pass --env KEY=VALUE",
        "environment_variables.SECRET: its value is in a connection or a vault, which `serve` does"
        " not read; pass --env SECRET=VALUE",
        "nodes_per_instance: 2 nodes are asked for, and this is one machine; leave it out",
    ]


def test_a_value_that_is_given_takes_its_place():
    one = deployment(
        environment_variables={"KEY": "${{azureml://connections/hub/credentials/key}}"}
    )
    choice = chosen(variables={"KEY": "here"}, deployments=(one,))
    found = choice.deployment.spec.environment_variables["KEY"]
    assert found.get_secret_value() == "here"


def test_a_server_in_an_image_is_refused():
    environment = EnvironmentSpec(name="env", image="hub.example.org/server:1")
    assert refused(environments=(environment,)) == [
        "environment 'env:1': its server is in an image, and `serve` starts processes of this"
        " machine; name dependencies or a command in it, or run `inferctl up` on target docker"
    ]


def test_what_is_not_tried_is_noted():
    environment = EnvironmentSpec(name="env", image="hub.example.org/base:1", dependencies=("a",))
    one = deployment(
        instance_count=3,
        egress_public_network_access="disabled",
        resources={"limits": {"cpu": "1", "nvidia.com/gpu": 1}},
    )
    endpoint = EndpointSpec(name="iris", auth_mode="aml_token")
    choice = chosen(environments=(environment,), deployments=(one,), endpoints=(endpoint,))
    assert choice.notes == (
        "the environment's image is not used: what it names to install is, in a folder",
        "auth_mode 'aml_token' is not tried: callers have the key that is printed below",
        "egress_public_network_access: the way out is open",
        "resources: it sees every GPU of this machine",
        "resources.limits: CPU and memory are not limited",
        "instance_count 3 is not used: one instance runs",
    )


def test_a_model_of_the_workspace_is_not_in_the_files():
    known = ModelSpec(name="iris", path="m", content_hash="sha256:1")
    resources = resolve(stack(models=(known,)), "/srv/stack")
    left = [one for one in resources if one.spec is not known]
    with pytest.raises(SpecError, match="is not in the given files; pass the model's file"):
        choose(left, None, {})


def test_a_debugger_is_put_before_the_program():
    command = ("/venv/bin/python", "script.py", "--socket", "s")
    assert debugged(command, Debugger(5678, wait=True)) == (
        *("/venv/bin/python", "-Xfrozen_modules=off", "-m", "debugpy"),
        *("--listen", "127.0.0.1:5678", "--wait-for-client", "script.py", "--socket", "s"),
    )


def test_an_environment_with_a_debugger_is_another_one():
    found = with_debugger(EnvironmentSpec(name="env", dependencies=("a",), content_hash="x"))
    assert found.dependencies == ("a", "debugpy>=1.8,<2")
    assert found.content_hash == ""
