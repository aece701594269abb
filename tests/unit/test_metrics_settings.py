"""Where a workspace has its metrics go: what is taken, and what is refused when planning."""

import socket

import pytest
from pydantic import ValidationError
from tests.ports import own_port
from tests.stacks import stack

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.gpus import Ledger
from inference_provider.refusals import refusals
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.targets.kubernetes.capabilities import kubernetes_capabilities
from inference_provider.targets.local.capabilities import local_capabilities, metrics_faults

NOT_YET = "metrics: not supported yet; leave it out"


def refused(able: TargetCapabilities, **workspace):
    found = refusals(resolve(stack(workspaces=[workspace])), able)
    return [str(one.fault) for one in found]


def space(port: int | None = None, otlp_endpoint: str | None = None) -> WorkspaceSpec:
    settings = MetricsSettings(port=port, otlp_endpoint=otlp_endpoint)
    return WorkspaceSpec(metrics=settings, router_port=18080)


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


@pytest.mark.parametrize(
    "able",
    [
        docker_capabilities(lambda _base: Ledger(), lambda _image: "", lambda _one, _space: True),
        kubernetes_capabilities(lambda: None, lambda: None),
    ],
    ids=["docker", "kubernetes"],
)
def test_targets_that_do_not_serve_metrics_yet_refuse_them_by_name(able):
    assert NOT_YET in refused(able, target=able.name, metrics={"port": 9464})
    assert NOT_YET not in refused(able, target=able.name)


def test_this_machine_takes_a_port_that_is_free_and_one_that_is_taken():
    able, port = local_capabilities(Ledger), own_port()
    assert refused(able, metrics={"port": port}) == []
    with socket.create_server(("127.0.0.1", port)):  # perhaps by the workspace's own service
        assert refused(able, metrics={"port": port}) == []


def test_one_port_for_the_router_and_for_metrics_is_refused():
    (fault,) = metrics_faults(space(port=18080))
    assert str(fault) == "metrics.port: 18080 is the router_port too; use another"


def test_a_collector_is_refused_where_the_package_that_sends_to_it_is_missing():
    wanted = space(otlp_endpoint="http://127.0.0.1:4318")
    assert list(metrics_faults(wanted)) == []
    (fault,) = metrics_faults(wanted, is_installed=lambda _module: False)
    assert str(fault) == (
        "metrics.otlp_endpoint: the package that sends metrics by OTLP is not installed; install"
        " `pulumi-inference[otlp]`, or leave it out"
    )
