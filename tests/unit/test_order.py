"""plan -> what waits for what."""

from tests.stacks import DECLARED, state

from inference_provider.desired import resolve
from inference_provider.observed import ObservedState
from inference_provider.order import stages
from inference_provider.plan import Action, ActionKind, Plan, plan
from inference_provider.sharing import without_shared
from inference_provider.spec import StackSpec

DEPLOYMENT = {"endpoint": "iris", "model": "iris:1", "environment": "env:1"}


def stack(**fields):
    written = {**DECLARED, "workspaces": [{"name": "lab"}], **fields}
    for listing, items in written.items():
        if listing not in ("name", "workspaces"):
            written[listing] = [{"workspace": "lab"} | item for item in items]
    return StackSpec.model_validate(written)


def holding(spec, owner="demo"):
    """Return a state in which a stack is applied."""
    return state(resolve(spec), owner)


def planned(spec, before=None):
    return plan(resolve(spec), before or ObservedState(), "demo")


def waits(stage):
    """Return what each action waits for, by kind and name."""
    named = [f"{action.id.kind.value} {action.id.name}" for action in stage.actions]
    return {named[i]: {named[other] for other in before} for i, before in enumerate(stage.waits)}


def test_a_new_resource_waits_for_what_it_stands_on():
    made, gone = stages(planned(stack()))
    assert waits(made) == {
        "Workspace lab": set(),
        "Model iris:1": {"Workspace lab"},
        "Environment env:1": {"Workspace lab"},
        "Endpoint iris": {"Workspace lab"},
        "Deployment iris/blue": {
            "Workspace lab", "Model iris:1", "Environment env:1", "Endpoint iris",
        },
        "Traffic iris": {"Workspace lab", "Endpoint iris", "Deployment iris/blue"},
    }  # fmt: skip
    assert gone.actions == ()


def test_a_deletion_waits_for_what_stands_on_it():
    made, gone = stages(plan((), holding(stack()), "demo"))
    assert made.actions == ()
    assert waits(gone) == {
        "Traffic iris": set(),
        "Deployment iris/blue": {"Traffic iris"},
        "Endpoint iris": {"Traffic iris", "Deployment iris/blue"},
        "Environment env:1": {"Deployment iris/blue"},
        "Model iris:1": {"Deployment iris/blue"},
        "Workspace lab": {
            "Traffic iris", "Deployment iris/blue", "Endpoint iris", "Environment env:1",
            "Model iris:1",
        },
    }  # fmt: skip


def test_other_endpoints_other_assets_and_other_workspaces_are_not_waited_for():
    spec = stack(
        endpoints=[{"name": "iris"}, {"name": "rose"}],
        environments=[
            {"name": "env", "content_hash": "b" * 64},
            {"name": "other", "content_hash": "c" * 64},
        ],
        deployments=[
            DEPLOYMENT | {"name": "blue"},
            {"endpoint": "rose", "name": "blue", "environment": "other:1"},
        ],
        traffic=[],
    )
    found = waits(stages(planned(spec))[0])
    assert found["Deployment rose/blue"] == {
        "Workspace lab", "Environment other:1", "Endpoint rose",
    }  # fmt: skip


def test_workspaces_are_made_one_after_another_since_each_takes_the_next_free_port():
    spec = StackSpec.model_validate(
        {"name": "demo", "workspaces": [{"name": "one"}, {"name": "two"}]}
    )
    assert waits(stages(planned(spec))[0]) == {
        "Workspace one": set(),
        "Workspace two": {"Workspace one"},
    }


def test_traffic_moves_before_the_deployment_that_it_leaves_is_deleted():
    after = stack(
        deployments=[DEPLOYMENT | {"name": "green"}],
        traffic=[{"endpoint": "iris", "traffic": {"green": 100}}],
    )
    made, gone = stages(planned(after, holding(stack())))
    assert waits(made) == {
        "Deployment iris/green": set(),
        "Traffic iris": {"Deployment iris/green"},
    }
    assert waits(gone) == {"Deployment iris/blue": set()}


def test_a_workspace_is_handed_over_after_all_else_in_it_is_deleted():
    before = holding(stack())
    others = holding(stack(name="second", endpoints=[{"name": "rose"}], deployments=[], traffic=[]))
    shared = before.resources | {
        "Endpoint/lab/rose": others.resources["Endpoint/lab/rose"].model_copy(
            update={
                "record": others.resources["Endpoint/lab/rose"].record.model_copy(
                    update={"owner": "second"}
                )
            }
        )
    }
    both = ObservedState(resources=shared)
    _, gone = stages(without_shared(plan((), both, "demo"), both))
    assert gone.actions[-1].kind == ActionKind.HAND_OVER
    assert len(waits(gone)["Workspace lab"]) == 5


GRANTED = {
    "connections": [{"name": "hub"}],
    "identities": [{"name": "robot"}, {"name": "other"}],
    "endpoints": [{"name": "iris", "identity": "robot"}, {"name": "rose"}],
    "role_assignments": [
        {"name": "may", "principal": "robot", "role": "r", "scope": "endpoints/rose"},
        {"name": "ana", "principal": "a", "principal_type": "user", "role": "r",
         "scope": "connections/hub"},
    ],
    "autoscale_rules": [{"endpoint": "iris", "deployment": "blue", "max_instances": 3}],
}  # fmt: skip


def test_identities_assignments_and_rules_wait_for_what_they_name():
    found = waits(stages(planned(stack(**GRANTED)))[0])
    assert found["Endpoint iris"] == {"Workspace lab", "Identity robot"}
    assert found["RoleAssignment may"] == {"Workspace lab", "Identity robot", "Endpoint rose"}
    assert found["RoleAssignment ana"] == {"Workspace lab", "Connection hub"}
    assert found["AutoscaleRule iris/blue"] == {
        "Workspace lab", "Endpoint iris", "Deployment iris/blue",
    }  # fmt: skip
    assert found["Deployment iris/blue"] == {
        "Workspace lab", "Model iris:1", "Environment env:1", "Endpoint iris", "Connection hub",
        "Identity robot", "Identity other", "RoleAssignment may", "RoleAssignment ana",
    }  # fmt: skip


def test_an_environment_waits_for_connections_to_the_registry_that_has_its_image():
    found = waits(stages(planned(stack(**GRANTED)))[0])
    assert found["Environment env:1"] == {"Workspace lab", "Connection hub"}
    assert found["Model iris:1"] == {"Workspace lab", "Connection hub"}  # its bucket's, perhaps


def test_a_deletion_waits_for_all_that_may_name_it():
    found = waits(stages(plan((), holding(stack(**GRANTED)), "demo"))[1])
    assert found["Deployment iris/blue"] == {"Traffic iris", "AutoscaleRule iris/blue"}
    assert found["RoleAssignment may"] == {"Deployment iris/blue"}
    assert found["Endpoint rose"] == {"RoleAssignment may", "RoleAssignment ana"}
    assert found["Connection hub"] == {
        "RoleAssignment may", "RoleAssignment ana", "Deployment iris/blue", "Environment env:1",
        "Model iris:1",
    }  # fmt: skip
    assert found["Identity other"] == {
        "Endpoint iris", "Endpoint rose", "RoleAssignment may", "RoleAssignment ana",
        "Deployment iris/blue",
    }  # fmt: skip


def two(blue, green):
    return stack(
        deployments=[DEPLOYMENT | {"name": "blue"} | blue, DEPLOYMENT | {"name": "green"} | green],
        traffic=[],
    )


def deployments_before(name, spec, before):
    found = waits(stages(planned(spec, holding(before)))[0])[f"Deployment iris/{name}"]
    return {other for other in found if other.startswith("Deployment")}


def test_what_grows_waits_for_what_gives_instances_back_before_it():
    before = two({"instance_count": 3}, {"instance_count": 1})
    after = two({"instance_count": 1}, {"instance_count": 3})
    assert deployments_before("green", after, before) == {"Deployment iris/blue"}
    assert deployments_before("blue", after, before) == set()


def test_what_changes_no_count_waits_for_no_other_deployment():
    before, after = two({}, {}), two({"app_insights_enabled": True}, {"description": "new"})
    assert deployments_before("green", after, before) == set()


def test_an_update_with_gpus_has_them_twice_for_a_while_so_it_is_alone():
    gpu = {"resources": {"limits": {"gpu": 1}}}
    before = two(gpu, gpu)
    after = two(gpu | {"environment_variables": {"A": "1"}},
                gpu | {"environment_variables": {"A": "1"}})  # fmt: skip
    assert deployments_before("green", after, before) == {"Deployment iris/blue"}


def test_what_gives_gpus_back_comes_before_what_takes_more():
    a100 = {"resources": {"limits": {"gpu": 1}, "gpu_product": "A100"}}
    before = two(a100 | {"instance_count": 3}, {"instance_count": 1})
    after = two(a100 | {"instance_count": 1}, {"instance_count": 3})
    assert deployments_before("green", after, before) == {"Deployment iris/blue"}


def test_new_deployments_with_gpus_start_side_by_side():
    gpu = {"resources": {"limits": {"gpu": 1}}}
    found = waits(stages(planned(two(gpu, gpu)))[0])
    assert "Deployment iris/blue" not in found["Deployment iris/green"]


def test_what_is_kept_is_no_action():
    kept = Plan(
        actions=tuple(
            Action(kind=ActionKind.KEEP, id=resource.id, desired=resource)
            for resource in resolve(stack())
        )
    )
    assert [stage.actions for stage in stages(kept)] == [(), ()]
