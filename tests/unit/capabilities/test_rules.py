"""Which autoscale rules and rollouts a target keeps."""

import pytest
from tests.stacks import deployment, stack
from tests.unit.capabilities.offers import GPU_STEP, LOCAL, ROLLOUT, RULE, docker

from inference_provider.desired import resolve
from inference_provider.refusals import refusals
from inference_provider.targets.samples import rule_faults

NIGHT = {"cron": "0 22 * * *", "duration_s": 3600, "max_instances": 2}


def test_a_rule_by_gpus_needs_whole_ones_of_which_a_driver_tells_how_busy_they_are():
    [rule] = stack(autoscale_rules=[{**RULE, "metrics": [GPU_STEP]}]).autoscale_rules
    [sliced] = deployment(resources={"mig": {"1g.5gb": 1}}).deployments
    [fault] = rule_faults(rule, sliced)
    assert (fault.path, fault.reason, fault.remedy) == (
        "metrics.0.metric",
        "no driver says how busy a slice is, and 'iris/blue' asks for MIG 1g.5gb",
        "use RequestLatency or RequestsPerMinute",
    )
    for asked in ({"limits": {"gpu": 1}}, {"gpu_devices": ["0"]}, {"gpu_share": "small"}):
        [whole] = deployment(resources=asked).deployments
        assert [*rule_faults(rule, whole)] == []
    assert [*rule_faults(rule, None)] == []


def with_rule(**space):
    return stack(
        workspaces=[{"name": "default", "target": "docker", **space}],
        autoscale_rules=[{**RULE, "targets": [{"metric": "RequestsInFlight", "target": 2}]}],
    )


def test_a_docker_host_keeps_rules_only_where_its_engine_s_socket_is_named():
    refused = [str(one) for one in refusals(resolve(with_rule()), docker())]
    assert refused == [
        "AutoscaleRule 'default/iris/blue' on target 'docker': a Docker host keeps rules by a"
        " container that has the Engine's socket, which is root of the host, and the workspace"
        " allows none; set its engine_socket, to /var/run/docker.sock on most hosts, or scale by"
        " instance_count"
    ]
    named = with_rule(engine_socket="/var/run/docker.sock")
    assert refusals(resolve(named), docker()) == ()
    assert [*docker().rule_faults(with_rule().autoscale_rules[0], None, None)] == []


def with_rollout(**space):
    split = {"endpoint": "iris", "traffic": {"blue": 100}, "rollout": ROLLOUT}
    return stack(workspaces=[{"name": "default", "target": "docker", **space}], traffic=[split])


def test_a_docker_host_moves_splits_only_where_its_engine_s_socket_is_named():
    refused = [str(one) for one in refusals(resolve(with_rollout()), docker())]
    assert refused == [
        "Traffic 'default/iris' on target 'docker': rollout: a Docker host moves splits by a"
        " container that has the Engine's socket, which is root of the host, and the workspace"
        " allows none; set its engine_socket, to /var/run/docker.sock on most hosts, or leave it"
        " out"
    ]
    named = with_rollout(engine_socket="/var/run/docker.sock")
    assert refusals(resolve(named), docker()) == ()
    assert [*docker().traffic_faults(with_rollout().traffic[0], None)] == []


@pytest.mark.parametrize(
    "more", [{"min_instances": 0}, {"schedules": [{**NIGHT, "min_instances": 0}]}]
)
def test_a_rule_may_leave_no_instance_where_requests_can_wait(more):
    asked = stack(autoscale_rules=[{**RULE, **more}])
    assert refusals(resolve(asked), LOCAL) == ()
    assert [*docker().rule_faults(asked.autoscale_rules[0], None, None)] == []
