"""desired + observed -> ordered actions, and what a quota stops."""

from typing import Any

import pytest
from tests.stacks import deployment, stack, state

from inference_provider.desired import resolve
from inference_provider.observed import (
    Kind,
    ObservedState,
    Presence,
    ResourceId,
)
from inference_provider.plan import (
    ActionKind,
    kept_by_rollouts,
    over_quota,
    plan,
    replaced_under_others,
)

BLUE = ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name="iris/blue")


def steps(found):
    return [f"{action.kind.value} {action.id}" for action in found.pending]


def test_a_new_stack_is_made_in_the_order_of_dependence():
    assert steps(plan(reversed(resolve(stack())), ObservedState(), "demo")) == [
        "create Workspace 'default'",
        "create Model 'default/iris:1'",
        "create Environment 'default/env:1'",
        "create Endpoint 'default/iris'",
        "create Deployment 'default/iris/blue'",
        "create Traffic 'default/iris'",
    ]


def test_what_is_as_declared_is_kept():
    found = plan(resolve(stack()), state(resolve(stack())), "demo")
    assert found.pending == ()
    assert {action.kind for action in found.actions} == {ActionKind.KEEP}


def test_what_is_declared_no_more_goes_in_reverse_order_and_last():
    everything = state(resolve(stack()))
    left = stack(
        endpoints=[{"name": "other"}], deployments=[], traffic=[], models=[], environments=[]
    )
    assert steps(plan(resolve(left), everything, "demo")) == [
        "create Endpoint 'default/other'",
        "delete Traffic 'default/iris'",
        "delete Deployment 'default/iris/blue'",
        "delete Endpoint 'default/iris'",
        "delete Environment 'default/env:1'",
        "delete Model 'default/iris:1'",
    ]


def test_what_another_stack_made_is_never_deleted():
    theirs = state(resolve(stack())[1:], owner="theirs")
    left = stack(endpoints=[], deployments=[], traffic=[], models=[], environments=[])
    assert steps(plan(resolve(left), theirs, "demo")) == ["create Workspace 'default'"]


def test_a_live_field_is_updated():
    [action] = plan(resolve(deployment(instance_count=2)), state(resolve(stack())), "demo").pending
    assert action.kind == ActionKind.UPDATE
    assert [str(change) for change in action.changes] == ["instance_count: 1 -> 2 (live)"]


def test_an_identity_field_is_replaced():
    changed = stack(workspaces=[{"router_port": 8080}])
    assert steps(plan(resolve(changed), state(resolve(stack())), "demo")) == [
        "replace Workspace 'default'"
    ]


def test_what_cannot_be_seen_is_applied_again_not_created():
    unseen = state(resolve(stack()), presence=Presence.UNKNOWN)
    kinds = {action.kind for action in plan(resolve(stack()), unseen, "demo").pending}
    assert kinds == {ActionKind.UPDATE}


def test_what_is_not_ready_yet_is_applied_again_which_waits_for_it():
    resources = resolve(stack())
    observed = state(resources)
    blue = observed.resources["Deployment/default/iris/blue"]
    loading = blue.model_copy(update={"unready": "0 of 1 instances ready"})
    after_a_restart = ObservedState(resources={**observed.resources, loading.id.address: loading})
    [action] = plan(resources, after_a_restart, "demo").pending
    assert (action.kind, str(action.id)) == (ActionKind.UPDATE, "Deployment 'default/iris/blue'")
    assert (action.changes, action.repairs) == ((), "0 of 1 instances ready")


def test_what_is_live_wins_over_the_record():
    resources = resolve(stack())
    observed = state(resources)
    traffic = observed.resources["Traffic/default/iris"]
    by_hand = traffic.model_copy(update={"live": {"traffic": {"blue": 50, "green": 50}}})
    drifted = ObservedState(resources={**observed.resources, by_hand.id.address: by_hand})
    [action] = plan(resources, drifted, "demo").pending
    assert [str(change) for change in action.changes] == [
        "traffic.blue: 50 -> 100 (live)",
        "traffic.green: 50 -> 0 (live)",
    ]


def two(blue, green, **more):
    """Return a stack with these two deployments."""
    base = {"endpoint": "iris", "model": "iris:1", "environment": "env:1"}
    return stack(
        deployments=[{**base, "name": "blue", **blue}, {**base, "name": "green", **green}], **more
    )


def quota_lines(asked, observed):
    return over_quota(plan(resolve(asked), observed, "demo"), observed)


def quota(count):
    return {"workspaces": [{"quota": {"max_instances": count}}]}


def others(count):
    """Return a state in which another stack has a deployment of `count` instances."""
    theirs = stack(
        name="theirs",
        endpoints=[{"name": "own"}],
        deployments=[
            {"endpoint": "own", "name": "blue", "environment": "env:1", "instance_count": count}
        ],
        traffic=[],
    )
    found = [r for r in resolve(theirs) if r.id.kind == Kind.DEPLOYMENT]
    return state(found, owner="theirs")


def test_what_other_stacks_have_in_the_workspace_counts_for_its_quota():
    assert quota_lines(deployment(instance_count=2, **{}), others(3)) == ()
    asked = stack(
        deployments=[
            {"endpoint": "iris", "name": "blue", "environment": "env:1", "instance_count": 2}
        ],
        **quota(4),
    )
    assert quota_lines(asked, others(3)) == (
        "Deployment 'default/iris/blue': would bring the workspace to 5 instances; its quota is 4;"
        " raise quota.max_instances, or scale another deployment in",
    )
    assert quota_lines(asked, others(2)) == ()


@pytest.mark.parametrize(
    "limits",
    [
        {"max_instances": 5},
        {
            "max_instances": 2,
            "schedules": [
                {"cron": "0 9 * * *", "duration_s": 60, "min_instances": 1, "max_instances": 5}
            ],
        },
    ],
    ids=["always", "at times"],
)
def test_a_rule_counts_with_as_many_instances_as_it_ever_allows(limits):
    rule = {"endpoint": "iris", "deployment": "blue", **limits}
    before, on = stack(**quota(4)), stack(autoscale_rules=[rule], **quota(4))
    off = stack(autoscale_rules=[{**rule, "enabled": False}], **quota(4))
    assert quota_lines(off, state(resolve(before))) == ()
    assert quota_lines(on, state(resolve(before))) == (
        "Deployment 'default/iris/blue': would bring the workspace to 5 instances; its quota is 4;"
        " raise quota.max_instances, or scale another deployment in",
    )
    assert quota_lines(before, state(resolve(on))) == ()


def test_a_quota_of_a_workspace_that_stays_as_it_is_counts_too():
    there = stack(**quota(1))
    found = plan(resolve(two({}, {}, **quota(1))), state(resolve(there)), "demo")
    assert [line.partition(":")[0] for line in over_quota(found, state(resolve(there)))] == [
        "Deployment 'default/iris/green'"
    ]


def test_what_is_deleted_counts_until_then():
    before = two({}, {}, **quota(2))
    after = two({}, {"name": "purple"}, **quota(2))
    found = plan(resolve(after), state(resolve(before)), "demo")
    assert [line.partition(":")[0] for line in over_quota(found, state(resolve(before)))] == [
        "Deployment 'default/iris/purple'"
    ]


def test_scaling_in_under_a_lowered_quota_is_not_stopped():
    before = two({"instance_count": 3}, {})
    after = two({"instance_count": 1}, {}, **quota(2))
    found = plan(resolve(after), state(resolve(before)), "demo")
    assert over_quota(found, state(resolve(before))) == ()


def test_ids_read_back():
    resource = ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name="iris/blue")
    assert resource.address == "Deployment/default/iris/blue"
    assert ResourceId.parse(resource.address) == resource


def test_a_workspace_that_holds_other_things_is_not_made_anew():
    changed = stack(workspaces=[{"router_port": 8080}])
    found = plan(resolve(changed), state(resolve(stack())), "demo")
    assert replaced_under_others(found) == (
        "Workspace 'default': a change of router_port replaces it, and it is not empty;"
        " delete the stack, then apply it again",
    )


def test_an_empty_workspace_is_made_anew():
    alone: dict[str, Any] = {
        "endpoints": [],
        "deployments": [],
        "traffic": [],
        "models": [],
        "environments": [],
    }
    changed = stack(workspaces=[{"router_port": 8080}], **alone)
    assert replaced_under_others(plan(resolve(changed), state(resolve(stack(**alone))), "a")) == ()


def test_what_a_rollout_that_begins_would_still_send_requests_is_not_to_be_deleted():
    blue = stack().deployments[0].model_dump()
    green = {**blue, "name": "green"}
    steps = [{"share": 10, "bake_minutes": 1}]
    rollout = {"steps": steps, "alarms": [{"metric": "ErrorRate", "above": 2}]}
    traffic = {"endpoint": "iris", "traffic": {"green": 100}, "rollout": rollout}
    there = state(resolve(stack()))
    left = resolve(stack(deployments=[green], traffic=[traffic]))
    assert kept_by_rollouts(plan(left, there, "demo"), there) == (BLUE,)
    both = resolve(stack(deployments=[blue, green], traffic=[traffic]))
    assert kept_by_rollouts(plan(both, there, "demo"), there) == ()
    at_once = resolve(stack(deployments=[green], traffic=[{**traffic, "rollout": None}]))
    assert kept_by_rollouts(plan(at_once, there, "demo"), there) == ()
