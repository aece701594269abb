"""What check of a dynamic provider fills in, lets pass and refuses."""

import pytest
from pulumi.output import UNKNOWN
from tests.providers import checked, failures

from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.environment import EnvironmentProvider
from inference_provider.dynamic.traffic import TrafficProvider
from inference_provider.dynamic.workspace import WorkspaceProvider


def test_check_fills_defaults_and_makes_floats_integers(empty):
    inputs = checked(TrafficProvider(), endpoint="echo", traffic={"blue": 90.0, "green": 10.0})

    assert inputs == {
        "workspace": "default",
        "endpoint": "echo",
        "traffic": {"blue": 90, "green": 10},
        "mirror_traffic": {},
        "stack": "s",
    }
    assert type(inputs["traffic"]["blue"]) is int


def test_check_reports_every_fault_at_once(target):
    found = failures(EndpointProvider(), name="x", auth_mode="none", colour="red")

    # Without a property of its own: the engine would print that field's value, `{<nil>}` and all.
    assert [(path, reason.partition(":")[0]) for path, reason in found] == [
        ("", "name"),
        ("", "auth_mode"),
        ("", "colour"),
    ]


def test_check_lets_unknown_values_pass_and_checks_the_others(target):
    inputs = checked(TrafficProvider(), endpoint=UNKNOWN, traffic={"blue": 100.0})

    assert inputs["endpoint"] is UNKNOWN
    assert failures(TrafficProvider(), endpoint=UNKNOWN, traffic={"blue": 60}) == [
        ("", "traffic: the shares sum to 60; make them 100, or 0")
    ]


def test_check_refuses_by_capability_in_a_sentence(target):
    [(path, reason)] = failures(EndpointProvider(), name="iris", kind="batch")

    assert path == ""
    assert reason == (
        "kind: Endpoint 'default/iris' on target 'memory':"
        " batch endpoints are not supported yet; use online"
    )


def test_check_names_the_field_that_the_target_cannot_keep(target):
    [(path, reason)] = failures(EndpointProvider(), name="echo", kind="batch")
    assert path == ""
    assert reason == (
        "kind: Endpoint 'default/echo' on target 'memory': batch endpoints are not supported yet;"
        " use online"
    )


@pytest.mark.parametrize(
    ("provider", "written", "said"),
    [
        pytest.param(
            EndpointProvider(),
            {"description": 5},
            "description: not text; write a string",
            id="text",
        ),
        pytest.param(
            EndpointProvider(), {"tags": "a"}, "tags: not a mapping; write a dictionary", id="tags"
        ),
        pytest.param(
            WorkspaceProvider(),
            {"quota": "a"},
            "quota: not a mapping; write a dictionary",
            id="nested",
        ),
        pytest.param(
            EnvironmentProvider(),
            {"dependencies": "numpy"},
            "dependencies: not a list; write a list",
            id="list",
        ),
        pytest.param(
            EnvironmentProvider(),
            {"python_version": 3.12},
            "python_version: not text; write a string",
            id="a version",
        ),
        pytest.param(
            EndpointProvider(),
            {"auth_mode": True},
            "auth_mode: expected 'key', 'aml_token' or 'aad_token', got true;"
            " write one of them as a string",
            id="choice",
        ),
        pytest.param(
            DeploymentProvider(),
            {"endpoint": "iris", "environment": "p:1", "app_insights_enabled": "maybe"},
            "app_insights_enabled: not a boolean; write True or False",
            id="boolean",
        ),
    ],
)
def test_a_fault_in_a_program_is_told_in_python_and_not_in_yaml(target, provider, written, said):
    assert failures(provider, name="iris", **written) == [("", said)]


def test_of_a_hundred_faults_50_are_check_failures_and_the_rest_counted(target):
    variables = {f"A={i}": "x" for i in range(100)}
    found = failures(
        DeploymentProvider(),
        endpoint="echo",
        name="blue",
        environment="env:1",
        environment_variables=variables,
    )
    assert len(found) == 51
    assert found[-1] == ("", "and 50 more")


def test_check_refuses_a_variable_that_is_too_long_and_a_null_byte_in_a_command(target):
    large = {"A": "x" * 131_072}
    [(_, reason)] = failures(
        DeploymentProvider(), endpoint="echo", name="blue", environment=UNKNOWN,
        environment_variables=large,
    )  # fmt: skip
    assert reason.startswith("environment_variables: ")
    [(_, reason), *_] = failures(EnvironmentProvider(), name="env", command=["a\0b"])
    assert reason.startswith("command.0: ")
    assert "contains a null byte; remove it" in reason
