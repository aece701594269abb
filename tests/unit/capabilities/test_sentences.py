"""What a target refuses of a declaration, in sentences: the target's own, or plain ones."""

import pytest
from tests.stacks import deployment, stack
from tests.unit.capabilities.offers import DOCKER, GPU_STEP, LOCAL, ROLLOUT, RULE, on_docker

from inference_provider.capabilities import Answer, TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.refusals import refusals

CPU_TARGET = {"metric": "CpuUtilizationPercentage", "target": 70}
HOURS_STEP = {**GPU_STEP, "metric": "RequestsPerMinute", "window_s": 7200}


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
                    {"name": "iris", "path": "m", "type": "triton_model", "content_hash": "a" * 64}
                ]
            ),
            "Model 'default/iris:1' on target 'local': type: there is no server for"
            " 'triton_model' yet; use custom_model with a scoring script",
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
