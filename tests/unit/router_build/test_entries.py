"""What stands in the router's table for the records of a workspace."""

from typing import Any

import pytest
from pydantic import SecretStr
from tests.unit.router_build.records import (
    KEYS,
    ONE,
    Workspace,
    deployment,
    endpoint,
    lab,
    record,
    traffic,
)

from inference_provider.observed import Kind
from inference_provider.router import DeploymentEntry, EndpointEntry
from inference_provider.router.build import Builder


def test_an_endpoint_has_its_deployments_and_its_split():
    built = Workspace(
        deployment("iris/blue"),
        deployment("iris/green", "own", retry_on_503=True),
        endpoint("iris"),
        traffic("iris", {"blue": 90, "green": 10}, {"green": 5}),
    ).built()
    assert built == (
        EndpointEntry(
            name="iris",
            keys=KEYS,
            deployments=(
                DeploymentEntry(
                    name="blue",
                    backends=ONE,
                    timeout_ms=5000,
                    max_concurrent=2,
                    health_interval_ms=10000,
                    health_timeout_ms=2000,
                    health_failures=30,
                ),
                DeploymentEntry(
                    name="green",
                    backends=ONE,
                    timeout_ms=5000,
                    max_concurrent=2,
                    retry_on_503=True,
                    health_path="/ready",
                    health_interval_ms=10000,
                    health_timeout_ms=2000,
                    health_failures=30,
                    scoring_path="/v1/predict",
                ),
            ),
            weights={"blue": 90, "green": 10},
            mirror={"green": 5},
        ),
    )


@pytest.mark.parametrize(
    ("rule", "start", "patience_s"),
    [
        ({"enabled": True, "min_instances": 0}, {"start_timeout_s": 20}, 60),
        ({"enabled": True, "min_instances": 0}, {"start_timeout_s": 3600}, 240),
        ({"enabled": True, "min_instances": 0}, {}, 160),
        ({"enabled": True, "min_instances": 1}, {"start_timeout_s": 20}, 0),
        ({"enabled": False, "min_instances": 0}, {"start_timeout_s": 20}, 0),
        (
            {"enabled": True, "min_instances": 1, "schedules": [{"min_instances": 0}]},
            {"start_timeout_s": 20},
            60,
        ),
    ],
)
def test_requests_wait_as_long_as_a_start_may_take_where_a_rule_lets_there_be_none(
    rule: dict[str, Any], start: dict[str, int], patience_s: int
):
    blue = deployment("chat/blue")
    probe = {**blue.properties["readiness_probe"], "initial_delay": 10}
    properties = {**blue.properties, "readiness_probe": probe, **start}
    ruled = record(Kind.AUTOSCALE_RULE, "chat/blue", **rule)
    blue = blue.model_copy(update={"properties": properties})
    [found] = Workspace(endpoint("chat"), blue, ruled).built()
    assert found.deployments[0].patience_s == patience_s


def test_a_share_of_zero_and_one_of_a_deployment_that_is_gone_are_left_out():
    (built,) = Workspace(
        endpoint("iris"),
        deployment("iris/blue"),
        traffic("iris", {"blue": 100, "gone": 0, "old": 10}, {"old": 5}),
    ).built()
    assert (built.weights, built.mirror) == ({"blue": 100}, {})


def test_what_did_not_change_is_the_same_object_again():
    builder = Builder()
    workspace = Workspace(
        *(endpoint("iris"), deployment("iris/blue"), deployment("iris/green")),
        *(endpoint("chat"), deployment("chat/blue")),
    )
    iris, chat = workspace.built(builder)
    workspace.environments.clear()
    workspace.backends["iris/blue"] = ()
    changed, same = workspace.built(builder)
    assert same is chat
    assert changed.deployments[0].backends == ()
    assert changed.deployments[1] is iris.deployments[1]
    assert workspace.environments == ["plain"]


def test_new_keys_and_a_new_split_make_a_new_entry():
    builder = Builder()
    workspace = Workspace(endpoint("iris"), deployment("iris/blue"), endpoint("chat"))
    workspace.built(builder)
    workspace.keys["chat"] = (SecretStr("third"), SecretStr("second"))
    workspace.records = (*workspace.records, traffic("iris", {"blue": 100}))
    iris, chat = workspace.built(builder)
    assert iris.weights == {"blue": 100}
    assert next(iter(chat.keys)).get_secret_value() == "third"


def test_an_endpoint_that_is_gone_has_no_entry():
    builder = Builder()
    workspace = Workspace(endpoint("iris"), endpoint("chat"))
    workspace.built(builder)
    workspace.records = workspace.records[1:]
    assert [one.name for one in workspace.built(builder)] == ["chat"]


def test_a_largest_body_alone_is_no_limit_of_rates_and_an_older_record_has_the_usual_one():
    def built(**limits: object) -> EndpointEntry:
        (one,) = Workspace(lab(), endpoint("iris", request_limits=limits)).built()
        return one

    assert (built(max_body_mib=7).max_body_mib, built(max_body_mib=7).limits) == (7, None)
    assert built(requests_per_minute=9).max_body_mib == 100
