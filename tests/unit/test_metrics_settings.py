"""Where a workspace has its metrics go: what is taken, and what is refused when planning."""

import socket

import pytest
from pydantic import ValidationError
from tests.memory import state_of, with_workspace, write_record
from tests.ports import own_port
from tests.stacks import stack

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.gpus import Ledger
from inference_provider.observed import ResourceId
from inference_provider.refusals import refusals
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.targets.kubernetes.capabilities import kubernetes_capabilities
from inference_provider.targets.local.capabilities import (
    local_capabilities,
    sending_faults,
)
from inference_provider.targets.memory import MemoryTarget
from inference_provider.targets.service_needs import metrics_of, needs_of


def refused(able: TargetCapabilities, **workspace):
    found = refusals(resolve(stack(workspaces=[workspace])), able)
    return [str(one.fault) for one in found]


def space(port: int | None = None, otlp_endpoint: str | None = None) -> WorkspaceSpec:
    return WorkspaceSpec(metrics=MetricsSettings(port=port, otlp_endpoint=otlp_endpoint))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4318", "https://otel.example.org/v1/metrics", "http://[::1]:4318/"]
)
def test_a_collector_is_named_by_its_url(url):
    assert MetricsSettings(otlp_endpoint=url).otlp_endpoint == url


@pytest.mark.parametrize(
    "url", ["127.0.0.1:4318", "grpc://otel:4317", "http://ann:secret@otel:4318", "http://"]
)
def test_what_is_no_url_or_holds_a_password_is_refused_and_not_repeated(url):
    with pytest.raises(ValidationError) as caught:
        MetricsSettings(otlp_endpoint=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("port", [0, 65536, True, "http"])
def test_a_port_is_one_of_tcp(port):
    with pytest.raises(ValidationError):
        MetricsSettings(port=port)


def test_metrics_that_go_nowhere_are_refused():
    with pytest.raises(ValidationError, match="set port or otlp_endpoint, or leave metrics out"):
        MetricsSettings()


@pytest.fixture
def docker():
    return docker_capabilities(lambda _base: Ledger(), lambda _image: "", lambda _one, _space: True)


def test_a_docker_host_serves_metrics_only_where_its_engine_s_socket_is_named(docker):
    asked = {"target": "docker", "metrics": {"port": 9464}}
    assert refused(docker, **asked) == [
        "metrics: a Docker host serves and sends metrics by a container that has the Engine's"
        " socket, which is root of the host, and the workspace allows none; set its engine_socket,"
        " to /var/run/docker.sock on most hosts, or leave it out"
    ]
    assert refused(docker, **asked, engine_socket="/var/run/docker.sock") == []


def test_a_docker_host_refuses_a_port_that_its_container_may_not_have(docker):
    space = {"target": "docker", "engine_socket": "/var/run/docker.sock", "router_port": 9464}
    assert refused(docker, **space, metrics={"port": 1024}) == []
    assert refused(docker, **space, metrics={"port": 1023}) == [
        "metrics.port: 1023 cannot be listened on: its container has no right to; use 1024 or more"
    ]
    assert refused(docker, **space, metrics={"port": 9464}) == [
        "metrics.port: 9464 is the router_port too; use another"
    ]


def test_this_machine_takes_a_port_that_is_free_and_one_that_is_taken():
    able, port = local_capabilities(Ledger), own_port()
    assert refused(able, metrics={"port": port}) == []
    with socket.create_server(("127.0.0.1", port)):  # perhaps by the workspace's own service
        assert refused(able, metrics={"port": port}) == []


@pytest.mark.parametrize(
    ("asked", "faults"),
    [
        ({"port": 9464}, []),
        ({"port": 1024}, []),
        *(
            ({"port": port}, [f"metrics.port: {port} is a port of the router's pods already; use"
                              " another"])
            for port in (8080, 8081, 9090, 3128)
        ),
        ({"port": 80}, ["metrics.port: the router's pods are not root, and open no port below 1024;"
                        " use another, such as 9464"]),
        ({"port": 9464, "otlp_endpoint": "http://otel:4318"},
         ["metrics.otlp_endpoint: nothing sends metrics from a cluster yet; set metrics.port, and"
          " have a collector of the cluster ask the router's pods"]),
    ],
)  # fmt: skip
def test_the_pods_of_a_router_take_a_port_that_they_can_open(asked, faults):
    able = kubernetes_capabilities(lambda: None, lambda: None)
    assert refused(able, target="kubernetes", runtime_image="router:1", metrics=asked) == faults


def test_one_port_for_the_router_and_for_metrics_is_refused():
    able, port = local_capabilities(Ledger), own_port()
    assert refused(able, metrics={"port": port}, router_port=port) == [
        f"metrics.port: {port} is the router_port too; use another"
    ]


def test_a_collector_is_refused_where_the_package_that_sends_to_it_is_missing():
    wanted = space(otlp_endpoint="http://127.0.0.1:4318")
    assert list(sending_faults(wanted)) == []
    (fault,) = sending_faults(wanted, is_installed=lambda _module: False)
    assert str(fault) == (
        "metrics.otlp_endpoint: the package that sends metrics by OTLP is not installed; install"
        " `pulumi-inference[otlp]`, or leave it out"
    )


@pytest.mark.parametrize(
    ("recorded", "read"),
    [
        ({"port": 9464}, MetricsSettings(port=9464)),
        ({"port": 9464, "format": "of a newer release"}, None),
        (None, None),
    ],
)
def test_where_metrics_go_is_read_from_the_record_as_far_as_this_release_knows_it(recorded, read):
    target = with_workspace(MemoryTarget())
    there = target.record(ResourceId.of_workspace("default"))
    properties = {**there.properties, "metrics": recorded}
    write_record(target, there.model_copy(update={"properties": properties}))
    assert metrics_of(state_of(target)) == read
    assert bool(needs_of(state_of(target))) == (read is not None)
