"""desired + observed -> ordered actions, and refusals in sentences."""

from datetime import UTC, datetime

import pytest

from inference_provider.desired import resolve
from inference_provider.observed import (
    Actor,
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    Record,
    ResourceId,
)
from inference_provider.plan import (
    ActionKind,
    TargetCapabilities,
    over_quota,
    plan,
    refusals,
    replaced_under_others,
)
from inference_provider.spec import StackSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = TargetCapabilities(name="local")


def stack(**fields):
    base = {
        "name": "demo",
        "models": [{"name": "iris", "path": "m", "content_hash": "a" * 64}],
        "environments": [{"name": "env", "content_hash": "b" * 64}],
        "endpoints": [{"name": "iris"}],
        "deployments": [
            {"endpoint": "iris", "name": "blue", "model": "iris:1", "environment": "env:1"}
        ],
        "traffic": [{"endpoint": "iris", "traffic": {"blue": 100}}],
    }
    return StackSpec.model_validate(base | fields)


def deployment(**fields):
    base = {"endpoint": "iris", "name": "blue", "model": "iris:1", "environment": "env:1"}
    return stack(deployments=[base | fields])


def there(resource, owner="demo", presence=Presence.PRESENT):
    record = Record(
        id=resource.id,
        owner=owner,
        properties=resource.properties,
        actor=Actor(user="ann"),
        time=NOW,
    )
    return ObservedResource(id=resource.id, presence=presence, record=record)


def state(resources, **how):
    return ObservedState(resources={r.id.address: there(r, **how) for r in resources})


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


def test_a_plain_stack_is_refused_nowhere():
    assert refusals(resolve(stack()), LOCAL) == ()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        pytest.param(
            stack(endpoints=[{"name": "iris", "auth_mode": "aml_token"}]),
            "Endpoint 'default/iris' on target 'local':"
            " auth_mode: 'aml_token' cannot be checked yet; use key",
            id="aml_token",
        ),
        pytest.param(
            stack(endpoints=[{"name": "iris", "public_network_access": "disabled"}]),
            "Endpoint 'default/iris' on target 'local':"
            " public_network_access: one endpoint cannot be closed alone;"
            " bind the workspace to 127.0.0.1",
            id="private endpoint",
        ),
        pytest.param(
            stack(endpoints=[{"name": "iris", "kind": "batch"}]),
            "Endpoint 'default/iris' on target 'local':"
            " kind: batch endpoints cannot be served yet; use online",
            id="batch",
        ),
        pytest.param(
            stack(endpoints=[{"name": "iris", "kind": "serverless"}]),
            "Endpoint 'default/iris' on target 'local':"
            " kind: serverless endpoints cannot be served yet; use online",
            id="serverless",
        ),
        pytest.param(
            stack(identities=[{"name": "robot"}]),
            "Identity 'default/robot' on target 'local':"
            " Identity cannot be enforced there yet; leave it out",
            id="identity",
        ),
        pytest.param(
            stack(
                role_assignments=[
                    {"name": "may", "principal": "ann", "principal_type": "user", "role": "Reader"}
                ]
            ),
            "RoleAssignment 'default/may' on target 'local':"
            " RoleAssignment cannot be enforced there yet; leave it out",
            id="role assignment",
        ),
        pytest.param(
            stack(autoscale_rules=[{"endpoint": "iris", "deployment": "blue", "max_instances": 2}]),
            "AutoscaleRule 'default/iris/blue' on target 'local':"
            " AutoscaleRule cannot be enforced there yet; leave it out",
            id="autoscale",
        ),
        pytest.param(
            stack(connections=[{"name": "openai"}]),
            "Connection 'default/openai' on target 'local':"
            " Connection cannot be enforced there yet; leave it out",
            id="connection",
        ),
        pytest.param(
            stack(environments=[{"name": "env", "image": "scorer:2", "content_hash": "b" * 64}]),
            "Environment 'default/env:1' on target 'local': image: there are no containers to"
            " run it in; name dependencies or a command",
            id="image",
        ),
        pytest.param(
            deployment(resources={"limits": {"cpu": "2"}}),
            "Deployment 'default/iris/blue' on target 'local': resources.limits.cpu: the amount"
            " cannot be enforced; leave it out (gpu is handed out)",
            id="cpu",
        ),
        pytest.param(
            deployment(resources={"limits": {"gpu": 2}}, instance_count=3),
            "Deployment 'default/iris/blue' on target 'local': resources.limits.gpu: 6 for all"
            " instances, and the machine has 0; ask for fewer",
            id="GPUs",
        ),
        pytest.param(
            deployment(liveness_probe={"period": 5}),
            "Deployment 'default/iris/blue' on target 'local': liveness_probe: a hung instance is"
            " not restarted; leave it out (readiness_probe is kept)",
            id="liveness",
        ),
        pytest.param(
            deployment(readiness_probe={"success_threshold": 2}),
            "Deployment 'default/iris/blue' on target 'local': readiness_probe.success_threshold:"
            " one answer makes an instance ready; leave it at 1",
            id="success threshold",
        ),
        pytest.param(
            deployment(request_settings={"max_queue_wait_ms": 3000}),
            "Deployment 'default/iris/blue' on target 'local': request_settings.max_queue_wait_ms:"
            " the wait in the queue is part of request_timeout_ms; set that alone",
            id="queue wait",
        ),
        pytest.param(
            deployment(instance_type="Standard_DS3_v2"),
            "Deployment 'default/iris/blue' on target 'local': instance_type: no 'Standard_DS3_v2'"
            " in the target's catalogue; leave it out",
            id="instance type",
        ),
        pytest.param(
            deployment(data_collector={"collections": {"model_inputs": {"enabled": True}}}),
            "Deployment 'default/iris/blue' on target 'local': data_collector: data cannot be"
            " collected yet; leave it out",
            id="data collector",
        ),
        pytest.param(
            stack(workspaces=[{"target": "docker"}]),
            "Workspace 'default' on target 'local': target: 'docker' is not supported yet;"
            " use 'local'",
            id="target",
        ),
        pytest.param(
            stack(workspaces=[{"egress": "disabled"}]),
            "Workspace 'default' on target 'local': egress: the instances' way out cannot be"
            " closed; leave it enabled",
            id="egress",
        ),
        pytest.param(
            deployment(egress_public_network_access="disabled"),
            "Deployment 'default/iris/blue' on target 'local': egress_public_network_access: an"
            " instance's way out cannot be closed; leave it enabled",
            id="egress of a deployment",
        ),
        pytest.param(
            deployment(resources={"requests": {"memory": "1Gi", "gpu": 0}}),
            "Deployment 'default/iris/blue' on target 'local': resources.requests.memory: the"
            " amount cannot be enforced; leave it out (gpu is handed out)",
            id="memory",
        ),
        pytest.param(
            stack(
                models=[
                    {"name": "iris", "path": "m", "type": "mlflow_model", "content_hash": "a" * 64}
                ]
            ),
            "Model 'default/iris:1' on target 'local': type: no server for type 'mlflow_model'"
            " yet; use custom_model with a scoring script",
            id="model type",
        ),
    ],
)
def test_what_a_target_cannot_do_is_refused_in_a_sentence(asked, sentence):
    assert [str(refusal) for refusal in refusals(resolve(asked), LOCAL)] == [sentence]


def test_variables_that_together_are_more_than_a_process_takes_are_refused():
    large = {f"V{i}": "x" * 100_000 for i in range(10)}
    able = TargetCapabilities(name="local", process_bytes=2**20)
    [refusal] = refusals(resolve(deployment(environment_variables=large)), able)
    assert str(refusal) == (
        "Deployment 'default/iris/blue' on target 'local': environment_variables: 1,000,120 bytes"
        " together, the limit is 983,040; put large values into files of the code"
    )
    able = TargetCapabilities(name="local", process_bytes=2 * 2**20)
    assert refusals(resolve(deployment(environment_variables=large)), able) == ()


def two(blue, green, **more):
    """Return a stack with these two deployments."""
    base = {"endpoint": "iris", "model": "iris:1", "environment": "env:1"}
    return stack(
        deployments=[{**base, "name": "blue", **blue}, {**base, "name": "green", **green}], **more
    )


def test_more_gpus_over_all_deployments_than_there_are_are_refused():
    each = {"resources": {"limits": {"gpu": 1}}}
    able = TargetCapabilities(name="local", gpu_count=1)
    assert [str(refusal) for refusal in refusals(resolve(two(each, each)), able)] == [
        "all deployments on target 'local': resources.limits.gpu: 2 together, and the machine has"
        " 1; ask for fewer"
    ]
    assert refusals(resolve(two(each, {})), able) == ()


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


def test_all_refusals_come_at_once():
    asked = stack(identities=[{"name": "robot"}], endpoints=[{"name": "iris", "kind": "batch"}])
    assert len(refusals(resolve(asked), LOCAL)) == 2


def test_gpus_there_are_may_be_asked_for():
    able = TargetCapabilities(name="local", gpu_count=2)
    assert refusals(resolve(deployment(resources={"limits": {"gpu": 2}})), able) == ()


def test_ids_read_back():
    resource = ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name="iris/blue")
    assert resource.address == "Deployment/default/iris/blue"
    assert ResourceId.parse(resource.address) == resource


def test_a_workspace_that_holds_other_things_is_not_made_anew():
    changed = stack(workspaces=[{"router_port": 8080}])
    found = plan(resolve(changed), state(resolve(stack())), "demo")
    assert replaced_under_others(found) == (
        "Workspace 'default': a change of router_port replaces it, and it is not empty;"
        " run `inferctl down`, then `inferctl up`",
    )


def test_an_empty_workspace_is_made_anew():
    alone = {"endpoints": [], "deployments": [], "traffic": [], "models": [], "environments": []}
    changed = stack(workspaces=[{"router_port": 8080}], **alone)
    assert replaced_under_others(plan(resolve(changed), state(resolve(stack(**alone))), "a")) == ()


def test_an_address_the_target_cannot_listen_on_is_refused():
    able = TargetCapabilities(name="local", address_fault=lambda host, port: f"not {host}:{port}")
    wanted = resolve(stack(workspaces=[{"bind_address": "192.0.2.1", "router_port": 8080}]))
    [refusal] = refusals(wanted, able)
    assert str(refusal) == "Workspace 'default' on target 'local': not 192.0.2.1:8080"
