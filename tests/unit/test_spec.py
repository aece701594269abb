"""Names, limits and defaults: Azure ML's, as literals."""

import re

import pytest
from pydantic import ValidationError
from tests.specs import deployment

from inference_provider.spec import (
    EndpointSpec,
    EnvironmentSpec,
    TrafficSpec,
    WorkspaceSpec,
)


@pytest.mark.parametrize("name", ["abc", "a" * 32, "a-b-c", "Abc", "a1b"])
def test_names_azure_takes_are_taken(name):
    assert EndpointSpec(name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 33, "1ab", "-ab", "ab-", "a--b", "a_b", "a.b", "a b", "äbc", "abc\n"]
)
def test_names_azure_refuses_are_refused(name):
    with pytest.raises(ValidationError):
        EndpointSpec(name=name)


@pytest.mark.parametrize("reference", ["iris:1", "azureml:iris:1", "iris@latest", "a.b_c:2-x"])
def test_asset_references_are_taken(reference):
    assert deployment(model=reference).model == reference


@pytest.mark.parametrize("reference", ["iris", "iris:", "iris@newest", "iris:1@sha256:abc", ":1"])
def test_what_is_no_asset_reference_is_refused(reference):
    with pytest.raises(ValidationError):
        deployment(model=reference)


def test_defaults_of_a_deployment_are_azures():
    plain = deployment().model_dump(
        include={"instance_count", "request_settings", "liveness_probe", "readiness_probe"}
    )
    probe = {
        "initial_delay": 10,
        "period": 10,
        "timeout": 2,
        "success_threshold": 1,
        "failure_threshold": 30,
    }
    assert plain == {
        "instance_count": 1,
        "request_settings": {
            "request_timeout_ms": 5000,
            "max_concurrent_requests_per_instance": 1,
            "max_queue_wait_ms": 500,
            "retry_on_503": False,
        },
        "liveness_probe": probe,
        "readiness_probe": probe,
    }
    assert deployment().app_insights_enabled is False
    assert deployment().egress_public_network_access == "enabled"
    assert deployment().data_collector.sampling_rate == 1.0


def test_defaults_of_an_endpoint_are_azures():
    assert EndpointSpec(name="iris").model_dump() == {
        "workspace": "default",
        "name": "iris",
        "kind": "online",
        "auth_mode": "key",
        "keys": {},
        "key_rotations": {},
        "identity": None,
        "public_network_access": "enabled",
        "properties": {"enforce_access_to_default_secret_stores": "disabled"},
        "allowed_source_ranges": (),
        "cors": None,
        "request_limits": {
            "requests_per_minute": None,
            "requests_per_minute_per_caller": None,
            "max_body_mib": 100,
        },
        "alerts": {},
        "alert_webhooks": {},
        "description": "",
        "tags": {},
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Key", "key"),
        ("AMLToken", "aml_token"),
        ("aml_token", "aml_token"),
        ("AADToken", "aad_token"),
    ],
)
def test_auth_mode_is_folded_as_azure_folds_it(written, meant):
    assert EndpointSpec.model_validate({"name": "iris", "auth_mode": written}).auth_mode == meant


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"instance_count": 51}, id="51 instances"),
        pytest.param({"instance_count": -1}, id="minus one instance"),
        pytest.param({"nodes_per_instance": 0}, id="an instance on no node"),
        pytest.param({"nodes_per_instance": 65}, id="an instance on 65 nodes"),
        pytest.param({"request_settings": {"request_timeout_ms": 180_001}}, id="181 s"),
        pytest.param({"request_settings": {"request_timeout_ms": 0}}, id="no time"),
        pytest.param({"readiness_probe": {"period": 0}}, id="probe without a pause"),
        pytest.param({"data_collector": {"sampling_rate": 1.1}}, id="more than all"),
        pytest.param({"resources": {"limits": {"memory": "4 GB"}}}, id="memory in words"),
        pytest.param({"instance_cout": 1}, id="unknown field"),
    ],
)
def test_a_deployment_beyond_the_limits_is_refused(fields):
    with pytest.raises(ValidationError):
        deployment(**fields)


def test_the_limits_themselves_are_taken():
    at_limit = deployment(instance_count=50, request_settings={"request_timeout_ms": 180_000})
    assert at_limit.instance_count == 50


def test_gpus_are_written_by_kubernetes_name_or_ours():
    theirs = deployment(resources={"limits": {"nvidia.com/gpu": 1}})
    assert theirs == deployment(resources={"limits": {"gpu": 1}})


@pytest.mark.parametrize(
    ("written", "kept"), [("2g", "2Gi"), ("512m", "512Mi"), ("64k", "64Ki"), ("99b", "99")]
)
def test_shared_memory_is_written_as_docker_or_as_kubernetes_writes_it(written, kept):
    theirs, ours = (deployment(resources={"shm_size": one}) for one in (written, kept))
    assert theirs.resources.shm_size == ours.resources.shm_size == kept


def test_one_number_of_a_ulimit_is_soft_and_hard():
    one = deployment(resources={"ulimits": {"nofile": 9}})
    assert one == deployment(resources={"ulimits": {"nofile": {"soft": 9, "hard": 9}}})


@pytest.mark.parametrize("weights", [{}, {"blue": 0}, {"blue": 100}, {"blue": 90, "green": 10}])
def test_weights_that_sum_to_100_or_0_are_taken(weights):
    assert TrafficSpec(endpoint="iris", traffic=weights).traffic == weights


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"traffic": {"blue": 90}}, "the shares sum to 90; make them 100, or 0"),
        ({"traffic": {"blue": 90, "green": 20}}, "the shares sum to 110"),
        ({"mirror_traffic": {"green": 51}}, "mirrors more than 50 %"),
        ({"mirror_traffic": {"green": 5, "blue": 5}}, "mirrors to 2 deployments"),
        (
            {"traffic": {"blue": 100}, "mirror_traffic": {"blue": 10}},
            "'blue' has both live and mirrored traffic",
        ),
    ],
)
def test_splits_azure_refuses_are_refused(fields, reason):
    with pytest.raises(ValidationError, match=reason):
        TrafficSpec.model_validate({"endpoint": "iris"} | fields)


def test_mirror_of_50_percent_is_taken():
    assert TrafficSpec(endpoint="iris", mirror_traffic={"green": 50}).mirror_traffic["green"] == 50


def test_a_mirror_of_0_percent_is_none():
    split = {"traffic": {"blue": 90, "green": 10}, "mirror_traffic": {"green": 0, "red": 10}}
    assert TrafficSpec(endpoint="iris", **split).mirror_traffic == {"green": 0, "red": 10}


STEP, ERRORS = {"share": 10, "bake_minutes": 0.5}, {"metric": "ErrorRate", "above": 2}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"steps": []}, "at least 1 item"),
        ({"alarms": []}, "at least 1 item"),
        ({"steps": [STEP, STEP]}, "share 10 comes after 10; let shares rise"),
        ({"steps": [{**STEP, "share": 100}]}, "less than or equal to 99"),
        ({"steps": [{**STEP, "bake_minutes": 0}]}, "greater than 0"),
        ({"alarms": [{**ERRORS, "percentile": 95}]}, "percentile is of RequestLatency"),
        ({"alarms": [{**ERRORS, "above": 100}]}, "ErrorRate is 100 percent; expected less"),
        (
            {"alarms": [{"metric": "RequestLatency", "above": 0}]},
            "RequestLatency is 0 ms; expected more",
        ),
        (
            {"alarms": [{"metric": "RequestLatency", "above": 300_000}]},
            "RequestLatency is 300000 ms; expected less than 300000: what takes longer is not told",
        ),
        (
            {"alarms": [{"metric": "RequestLatency", "above": 100, "window_s": 9}]},
            "window_s is 9; RequestLatency needs 10 at least: durations are counted every 5 s",
        ),
        ({"on_alarm": "ignore"}, "'revert' or 'hold'"),
        ({"wait_minutes": 0.5}, "wait_minutes is 0.5, and the steps bake 0.5 minutes; make it lon"),
    ],
)
def test_a_rollout_refuses_a_plan_that_cannot_be_meant(fields, reason):
    plan = {"steps": [STEP], "alarms": [ERRORS], **fields}
    with pytest.raises(ValidationError, match=re.escape(reason)):
        TrafficSpec.model_validate({"endpoint": "iris", "rollout": plan})


def test_a_command_needs_routes():
    with pytest.raises(ValidationError, match="command needs inference_config"):
        EnvironmentSpec(name="env", command=("serve",))


ROUTES = {
    "liveness_route": {"path": "/live", "port": 8000},
    "readiness_route": {"path": "/ready", "port": 8000},
    "scoring_route": {"path": "/score", "port": 8000},
}


def test_routes_need_a_command_or_an_image():
    with pytest.raises(ValidationError, match="inference_config needs a command or an image"):
        EnvironmentSpec.model_validate({"name": "env", "inference_config": ROUTES})


@pytest.mark.parametrize(
    ("fields", "brings"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"dependencies": ["flask"]}, False, id="packages"),
        pytest.param({"image": "cuda:12"}, True, id="image alone"),
        pytest.param({"image": "cuda:12", "dependencies": ["flask"]}, False, id="image as a base"),
        pytest.param({"image": "cuda:12", "requirements_file": "r.txt"}, False, id="the same"),
        pytest.param({"image": "triton:24", "inference_config": ROUTES}, True, id="image's routes"),
        pytest.param(
            {"image": "triton:24", "dependencies": ["flask"], "inference_config": ROUTES},
            True,
            id="image's routes, and packages beside it",
        ),
        pytest.param({"command": ["serve"], "inference_config": ROUTES}, True, id="command"),
    ],
)
def test_an_image_with_packages_and_without_routes_is_only_a_base(fields, brings):
    environment = EnvironmentSpec.model_validate({"name": "env", **fields})
    assert environment.brings_server is brings


@pytest.mark.parametrize(
    "image", ["python:3.12-slim", "ghcr.io:443/a/b:T@sha256:" + "0" * 64, "a b", "a\nRUN x", ""]
)
def test_a_base_image_has_no_blank(image):
    valid = image not in ("a b", "a\nRUN x", "")
    try:
        assert WorkspaceSpec(base_image=image).base_image == image
    except ValidationError:
        assert not valid
    else:
        assert valid


def test_a_mistyped_secret_is_not_in_the_error():
    with pytest.raises(ValidationError) as caught:
        deployment(environment_variables={"KEY": ["hunter2"]})
    assert "hunter2" not in str(caught.value)


def test_a_secret_does_not_print():
    assert "hunter2" not in repr(deployment(environment_variables={"KEY": "hunter2"}))


def test_floats_that_are_whole_are_taken_as_pulumi_sends_them():
    assert deployment(instance_count=3.0).instance_count == 3


def test_a_workspace_without_public_access_binds_loopback():
    for address in ("127.0.0.1", "127.8.8.8", "::1"):
        WorkspaceSpec(bind_address=address, public_network_access="disabled")
    with pytest.raises(
        ValidationError,
        match=r"bind_address 0\.0\.0\.0 is reachable from outside; bind a loopback address",
    ):
        WorkspaceSpec(bind_address="0.0.0.0", public_network_access="disabled")


@pytest.mark.parametrize("variables", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "hunter2\0"}])
def test_a_variable_that_no_process_can_have_is_refused_and_not_shown(variables):
    with pytest.raises(ValidationError) as caught:
        deployment(environment_variables=variables)
    assert "null byte" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"request_settings": {"max_concurrent_requests_per_instance": 10**30}},
        {"readiness_probe": {"period": 10**30}},
        {"liveness_probe": {"timeout": 10**30}},
        {"readiness_probe": {"initial_delay": 10**30}},
    ],
)
def test_a_number_that_no_router_takes_is_refused(settings):
    with pytest.raises(ValidationError, match="less than or equal to"):
        deployment(**settings)


@pytest.mark.parametrize("address", ["localhost", "xxx", "127.0.0.1:80", ""])
def test_a_bind_address_is_an_ip_address(address):
    with pytest.raises(ValidationError, match=r"expected an IP address; 0\.0\.0\.0"):
        WorkspaceSpec(bind_address=address)


def test_yes_is_not_taken_for_the_number_one():
    with pytest.raises(ValidationError, match="expected a number, got true"):
        WorkspaceSpec(router_port=True)
    with pytest.raises(ValidationError, match="expected a number, got true"):
        WorkspaceSpec(quota={"max_instances": True})


def test_a_variable_of_just_what_linux_takes_is_taken_and_a_longer_one_refused():
    longest = "x" * (131_072 - len("A=") - 1)
    deployment(environment_variables={"A": longest})
    with pytest.raises(ValidationError) as caught:
        deployment(environment_variables={"A": longest + "y"})
    assert "A with its value: 131,073 bytes, the limit is 131,072; move long values" in str(
        caught.value
    )
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("a\0b", "contains a null byte; remove it"),
        ("x" * 131_072, "131,073 bytes, the limit is 131,072"),
    ],
)
def test_a_word_of_a_command_that_no_process_can_be_given_is_refused(word, said):
    route = {"path": "/", "port": 1}
    routes = {f"{name}_route": route for name in ("liveness", "readiness", "scoring")}
    with pytest.raises(ValidationError, match=said):
        EnvironmentSpec(name="own", command=("sh", word), inference_config=routes)


@pytest.mark.parametrize("path", ["docker.sock", "", "/a:/b", "unix:///var/run/docker.sock"])
def test_an_engine_s_socket_is_an_absolute_path(path):
    with pytest.raises(ValidationError, match=r"expected the path of a socket, such as /var/run/d"):
        WorkspaceSpec(engine_socket=path)
