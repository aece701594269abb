"""What a target refuses of a declaration, in sentences: the target's own, or plain ones."""

import pytest
from tests.stacks import deployment, stack

from inference_provider.capabilities import Answer, TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.gpus import Gpu, Ledger
from inference_provider.refusals import refusals
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.targets.local.capabilities import local_capabilities
from inference_provider.targets.local.machine import Fit
from inference_provider.targets.samples import rule_faults

RULE = {"endpoint": "iris", "deployment": "blue", "max_instances": 2}
ROLLOUT = {
    "steps": [{"share": 10, "bake_minutes": 10}],
    "alarms": [{"metric": "ErrorRate", "above": 2}],
}
NIGHT = {"cron": "0 22 * * *", "duration_s": 3600, "max_instances": 2}
CPU_TARGET = {"metric": "CpuUtilizationPercentage", "target": 70}
GPU_STEP = {
    "metric": "GpuUtilizationPercentage",
    "operator": "greater_than",
    "threshold": 80,
    "change": 1,
}
HOURS_STEP = {**GPU_STEP, "metric": "RequestsPerMinute", "window_s": 7200}
LOCAL = local_capabilities(Ledger, lambda: Fit("user 'ann' may not have one here", ("ask root",)))
T4, A100 = Gpu("GPU-a", "0", "Tesla T4"), Gpu("GPU-b", "1", "NVIDIA A100-SXM4-80GB")


DOCKER = {"workspaces": [{"target": "docker"}]}


def on_docker(**fields):
    return deployment(**fields).model_copy(update={"workspaces": stack(**DOCKER).workspaces})


def test_a_plain_stack_is_refused_nowhere():
    assert refusals(resolve(stack()), LOCAL) == ()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        pytest.param(
            stack(endpoints=[{"name": "iris", "kind": "batch"}]),
            "Endpoint 'default/iris' on target 'local':"
            " kind: batch endpoints are not supported yet; use online",
            id="batch",
        ),
        pytest.param(
            stack(endpoints=[{"name": "iris", "kind": "serverless", "model_id": "phi"}]),
            "Endpoint 'default/iris' on target 'local':"
            " kind: serverless endpoints are not supported yet; use online",
            id="serverless",
        ),
        pytest.param(
            deployment(kind="batch"),
            "Deployment 'default/iris/blue' on target 'local':"
            " kind: batch deployments are not supported yet; use online",
            id="batch deployment",
        ),
        pytest.param(
            stack(identities=[{"name": "robot", "annotations": {"example.org/role": "x"}}]),
            "Identity 'default/robot' on target 'local': annotations: has no meaning here: only a"
            " cluster has it; leave it out",
            id="identity of a cloud",
        ),
        pytest.param(
            stack(workspaces=[{"name": "default", "engine_socket": "/var/run/docker.sock"}]),
            "Workspace 'default' on target 'local': engine_socket: has no meaning here: only a"
            " Docker host has it; leave it out",
            id="socket of an engine",
        ),
        pytest.param(
            stack(autoscale_rules=[{**RULE, "metrics": [GPU_STEP]}]),
            "AutoscaleRule 'default/iris/blue' on target 'local': metrics.0.metric: 'iris/blue'"
            " asks for no GPU; set its resources.limits.gpu",
            id="autoscale by GPUs that it does not ask for",
        ),
        pytest.param(
            stack(autoscale_rules=[{**RULE, "metrics": [HOURS_STEP]}]),
            "AutoscaleRule 'default/iris/blue' on target 'local': metrics.0.window_s: 7200 s is"
            " more than is remembered here; use 3600 or less",
            id="autoscale by more than is remembered",
        ),
        pytest.param(
            stack(autoscale_rules=[{**RULE, "targets": [CPU_TARGET]}]),
            "AutoscaleRule 'default/iris/blue' on target 'local': targets.0.metric:"
            " CpuUtilizationPercentage is a share of what an instance asks for, and 'iris/blue'"
            " asks for no cpu; set its resources.requests.cpu",
            id="autoscale by a share of nothing",
        ),
        pytest.param(
            stack(workspaces=[{"runtime_image": "router:1"}]),
            "Workspace 'default' on target 'local': runtime_image: no image is built here:"
            " instances are processes; leave it out",
            id="runtime image",
        ),
        pytest.param(
            stack(workspaces=[{"registry": "example.org/team"}]),
            "Workspace 'default' on target 'local': registry: no image is built here: instances"
            " are processes; leave it out",
            id="registry",
        ),
        pytest.param(
            stack(workspaces=[{"name": "default", "base_image": "python:3.12-slim"}]),
            "Workspace 'default' on target 'local': base_image: no image is built here: instances"
            " are processes; leave it out",
            id="base image",
        ),
        pytest.param(
            stack(environments=[{"name": "env", "image": "scorer:2", "content_hash": "b" * 64}]),
            "Environment 'default/env:1' on target 'local': image: there are no containers to"
            " run it in; name dependencies or a command instead",
            id="image",
        ),
        pytest.param(
            deployment(resources={"limits": {"cpu": "2"}}),
            "Deployment 'default/iris/blue' on target 'local': resources.limits.cpu: cpu"
            " cannot be limited; leave it out (gpu works)",
            id="cpu",
        ),
        pytest.param(
            deployment(resources={"shm_size": "4g"}),
            "Deployment 'default/iris/blue' on target 'local': resources.shm_size: shared memory"
            " cannot be limited; leave it out (gpu works)",
            id="shared memory",
        ),
        pytest.param(
            deployment(resources={"ulimits": {"nofile": 65536}}),
            "Deployment 'default/iris/blue' on target 'local': resources.ulimits.nofile: nofile"
            " cannot be limited; leave it out (gpu works)",
            id="ulimits",
        ),
        pytest.param(
            deployment(app_insights_enabled=True),
            "Deployment 'default/iris/blue' on target 'local': app_insights_enabled: there is no"
            " Application Insights; leave it false",
            id="Application Insights",
        ),
        pytest.param(
            deployment(liveness_probe={"success_threshold": 2}),
            "Deployment 'default/iris/blue' on target 'local': liveness_probe.success_threshold: 2;"
            " one answer shows that an instance lives; leave it at 1",
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
            "Deployment 'default/iris/blue' on target 'local': instance_type: there is no"
            " 'Standard_DS3_v2': instances are processes of this machine; leave it out",
            id="instance type",
        ),
        pytest.param(
            deployment(data_collector={"collections": {"model_inputs": {"enabled": True}}}),
            "Deployment 'default/iris/blue' on target 'local': data_collector: not supported"
            " yet; leave it out",
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
            "Workspace 'default' on target 'local': egress: 'disabled' needs a network"
            " of its own for each instance, and user 'ann' may not have one here; do one of these:"
            " (1) ask root, (2) leave egress enabled, (3) set the workspace's"
            " allow_unenforced_egress: true, where something else closes egress",
            id="egress",
        ),
        pytest.param(
            deployment(egress_public_network_access="disabled"),
            "Deployment 'default/iris/blue' on target 'local': egress_public_network_access:"
            " 'disabled' needs a network of its own for each instance, and user 'ann' may not have"
            " one here; do one of these: (1) ask root, (2) leave egress enabled, (3) set the"
            " workspace's allow_unenforced_egress: true, where something else closes egress",
            id="egress of a deployment",
        ),
        pytest.param(
            deployment(resources={"limits": {"memory": "1Gi", "gpu": 0}}),
            "Deployment 'default/iris/blue' on target 'local': resources.limits.memory:"
            " memory cannot be limited; leave it out (gpu works)",
            id="memory",
        ),
        pytest.param(
            stack(
                models=[
                    {"name": "iris", "path": "m", "type": "mlflow_model", "content_hash": "a" * 64}
                ]
            ),
            "Model 'default/iris:1' on target 'local': type: there is no server for"
            " 'mlflow_model' yet; use custom_model with a scoring script",
            id="model type",
        ),
    ],
)
def test_what_a_target_cannot_do_is_refused_in_a_sentence(asked, sentence):
    assert [str(refusal) for refusal in refusals(resolve(asked), LOCAL)] == [sentence]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        pytest.param(
            stack(**DOCKER, endpoints=[{"name": "iris", "auth_mode": "aad_token"}]),
            "Endpoint 'default/iris' on target 'docker':"
            " auth_mode: 'aad_token' is not supported yet; use aml_token or key",
            id="a value, with those that are supported",
        ),
        pytest.param(
            stack(
                **DOCKER,
                traffic=[{"endpoint": "iris", "traffic": {"blue": 100}, "rollout": ROLLOUT}],
            ),
            "Traffic 'default/iris' on target 'docker': rollout: nothing here goes on with a"
            " rollout yet; leave it out",
            id="rollout",
        ),
        pytest.param(
            stack(
                **DOCKER,
                endpoints=[
                    {"name": "iris", "alerts": {"slow": {"metric": "ErrorRate", "threshold": 5}}}
                ],
            ),
            "Endpoint 'default/iris' on target 'docker': alerts: nothing here watches alerts yet;"
            " leave it out",
            id="alerts",
        ),
        pytest.param(
            on_docker(liveness_probe={"period": 5}),
            "Deployment 'default/iris/blue' on target 'docker': liveness_probe: not supported yet;"
            " leave it out",
            id="a field",
        ),
        pytest.param(
            on_docker(instance_type="large"),
            "Deployment 'default/iris/blue' on target 'docker': instance_type: a host knows no"
            " 'large'; name amounts",
            id="in words of its own",
        ),
        pytest.param(
            stack(workspaces=[{"target": "kubernetes"}]),
            "Workspace 'default' on target 'docker': target: 'kubernetes' is not supported yet;"
            " use 'docker'",
            id="another target",
        ),
    ],
)
def test_a_target_refuses_in_plain_words_unless_it_has_its_own(asked, sentence):
    docker = TargetCapabilities(
        name="docker",
        auth_modes=frozenset({"key", "aml_token"}),
        reasons={"instance_types": Answer("a host knows no '{asked}'", "name amounts")},
    )
    assert [str(refusal) for refusal in refusals(resolve(asked), docker)] == [sentence]


def test_closed_egress_is_refused_once_where_all_of_a_workspace_is_closed():
    closed = {"workspaces": stack(workspaces=[{"egress": "disabled"}]).workspaces}
    asked = deployment(egress_public_network_access="disabled").model_copy(update=closed)
    assert len(refusals(resolve(asked), LOCAL)) == 1
    assert refusals(resolve(asked), local_capabilities(Ledger, lambda: Fit(""))) == ()


def test_what_this_machine_cannot_close_is_left_to_others_where_that_is_allowed_and_told():
    space = {"egress": "disabled", "allow_unenforced_egress": True}
    asked = resolve(stack(workspaces=[space]))
    assert refusals(asked, LOCAL) == ()
    assert [*LOCAL.notes(asked[0], None)] == [
        "nothing here closes the way out of instances whose egress is disabled: user 'ann'"
        " may not have one here"
    ]
    assert [*local_capabilities(Ledger, lambda: Fit("")).notes(asked[0], None)] == []
    rule = {"name": "index", "destination": "pypi.org"}
    asked = resolve(stack(workspaces=[{**space, "outbound_rules": [rule]}]))
    assert [str(one) for one in refusals(asked, LOCAL)] == [
        "Workspace 'default' on target 'local': outbound_rules: they let out what has a network of"
        " its own, and user 'ann' may not have one here; do one of these: (1) ask root, (2) leave"
        " outbound_rules out"
    ]


def test_what_a_target_can_do_is_not_refused():
    able = TargetCapabilities(
        name="local",
        images=True,
        egress_control=True,
        resource_limits=True,
        liveness_probes=True,
        success_thresholds=True,
        queue_wait=True,
        data_collector=True,
        app_insights=True,
        instance_types=True,
    )
    asked = deployment(
        resources={
            "limits": {"cpu": "2", "memory": "1Gi"},
            "shm_size": "4g",
            "ulimits": {"nofile": 9},
        },
        liveness_probe={"period": 5},
        readiness_probe={"success_threshold": 2},
        request_settings={"max_queue_wait_ms": 3000},
        data_collector={"collections": {"model_inputs": {"enabled": True}}},
        app_insights_enabled=True,
        egress_public_network_access="disabled",
        instance_type="small",
    )
    assert refusals(resolve(asked), able) == ()


def docker():
    return docker_capabilities(lambda _base: Ledger(), lambda _image: "", lambda *_asked: True)


def test_an_amount_that_a_docker_engine_cannot_enforce_is_refused():
    able = docker()
    asked = on_docker(resources={"limits": {"cpu": "5m"}})
    assert [str(refusal) for refusal in refusals(resolve(asked), able)] == [
        "Deployment 'default/iris/blue' on target 'docker': resources.limits.cpu: 5m, and a Docker"
        " Engine limits to 10m or more; ask for at least 10m"
    ]
    assert refusals(resolve(on_docker(resources={"limits": {"cpu": "10m"}})), able) == ()


def test_a_request_for_gpus_that_differs_from_the_limit_is_refused():
    able = local_capabilities(lambda: Ledger((T4, A100)))
    asked = deployment(resources={"requests": {"gpu": 1}, "limits": {"gpu": 2}})
    assert [str(refusal) for refusal in refusals(resolve(asked), able)] == [
        "Deployment 'default/iris/blue' on target 'local': resources.requests.gpu: 1, and the limit"
        " is 2; an instance gets whole GPUs of its own; leave it out"
    ]
    same = deployment(resources={"requests": {"gpu": 2}, "limits": {"gpu": 2}})
    assert refusals(resolve(same), able) == ()


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


def test_all_refusals_come_at_once():
    endpoints = [{"name": "iris", "kind": "batch"}]
    asked = stack(workspaces=[{"registry": "example.org/team"}], endpoints=endpoints)
    assert len(refusals(resolve(asked), LOCAL)) == 2


def test_an_address_the_target_cannot_listen_on_is_refused():
    able = TargetCapabilities(name="local", address_fault=lambda host, port: f"not {host}:{port}")
    fields = {"bind_address": "192.0.2.1", "router_port": 8080, "allow_plain_http": True}
    wanted = resolve(stack(workspaces=[fields]))
    [refusal] = refusals(wanted, able)
    assert str(refusal) == "Workspace 'default' on target 'local': not 192.0.2.1:8080"


def test_an_image_the_target_cannot_use_is_refused():
    able = TargetCapabilities(
        name="docker", images=True, image_fault=lambda image: f"{image} is for mips"
    )
    found = refusals(resolve(stack(environments=[{"name": "env", "image": "a:1"}], **DOCKER)), able)
    assert [str(one) for one in found] == [
        "Environment 'default/env:1' on target 'docker': image: 'a:1': a:1 is for mips; use"
        " another image, or load it on the host"
    ]


MISSING = "the host does not have it"
REMEDY = "use another image, or load it on the host"


@pytest.mark.parametrize(
    ("workspace", "environment", "refused"),
    [
        ({"base_image": "b:1"}, {}, ["Workspace 'default'", "Environment 'default/env:1'"]),
        ({"base_image": "b:1"}, {"image": "a:1"}, ["Workspace 'default'"]),
        ({"runtime_image": "b:1"}, {}, ["Workspace 'default'"]),
        ({"base_image": "b:1", "runtime_image": "r:1"}, {}, ["Environment 'default/env:1'"]),
        ({}, {"image": "b:1"}, ["Environment 'default/env:1'"]),
        ({}, {}, []),
    ],
)
def test_an_image_that_something_is_made_of_is_refused_unless_that_is_there(
    workspace, environment, refused
):
    made = {"name": "env", "dependencies": ["six"], **environment}
    wanted = resolve(stack(workspaces=[{"target": "docker", **workspace}], environments=[made]))
    able = TargetCapabilities(
        name="docker",
        images=True,
        base_images=True,
        image_fault=lambda image: MISSING if image == "b:1" else "",
        has_image_of=lambda _resource, _workspace: False,
    )
    found = refusals(wanted, able)
    assert [one.place.partition(" on target")[0] for one in found] == refused
    assert all(str(one).endswith(f"'b:1': {MISSING}; {REMEDY}") for one in found)
    there = able.model_copy(update={"has_image_of": lambda _resource, _workspace: True})
    assert refusals(wanted, there) == ()


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
