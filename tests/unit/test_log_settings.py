"""Where a workspace has its logs go: what is taken, and what is refused when planning."""

import pytest
from pydantic import ValidationError
from tests.memory import state_of, with_workspace, write_record
from tests.stacks import stack

from inference_provider.desired import resolve
from inference_provider.gpus import Ledger
from inference_provider.observed import ResourceId
from inference_provider.refusals import refusals
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.targets.kubernetes.capabilities import kubernetes_capabilities
from inference_provider.targets.local.capabilities import local_capabilities, sending_faults
from inference_provider.targets.memory import MemoryTarget
from inference_provider.targets.service_needs import logs_of, needs_of

URL = "http://127.0.0.1:4318"


def refused(able, **workspace):
    found = refusals(resolve(stack(workspaces=[workspace])), able)
    return [str(one.fault) for one in found]


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "grpc://otel", "http://ann:secret@otel:4318"])
def test_what_is_no_url_or_holds_a_password_is_refused_and_not_repeated(url):
    with pytest.raises(ValidationError) as caught:
        LogSettings(otlp_endpoint=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("days", [0, -1, 3651, 1.5, "week"])
def test_days_are_whole_and_bounded(days):
    with pytest.raises(ValidationError):
        LogSettings(retention_days=days)


def test_settings_that_say_nothing_are_refused():
    with pytest.raises(ValidationError, match="set otlp_endpoint or retention_days, or leave"):
        LogSettings()


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        ({"otlp_endpoint": "http://otel.observability:4318"}, []),
        ({"otlp_endpoint": URL},
         ["logs.otlp_endpoint: 127.0.0.1 is the pod that sends logs itself, where no collector"
          " listens; name a Service of the cluster, such as"
          " http://collector.observability.svc:4318, or an address that pods reach"]),
        ({"retention_days": 7},
         ["logs.retention_of: the kubelet bounds what a container prints by size alone, not by"
          " age; set retention_of: [traffic, events], or leave retention_days out"]),
        ({"retention_days": 7, "retention_of": ["events", "console"]},
         ["logs.retention_of: the kubelet bounds what a container prints by size alone, not by"
          " age; set retention_of: [traffic, events], or leave retention_days out"]),
        ({"retention_days": 7, "retention_of": ["traffic", "events"]}, []),
    ],
)  # fmt: skip
def test_a_cluster_sends_them_to_a_collector_that_pods_reach_and_bounds_calls_and_events_by_age(
    logs, said
):
    able = kubernetes_capabilities(lambda: None, lambda: None)
    found = refused(able, target=able.name, logs=logs)
    assert [one for one in found if one.startswith("logs")] == said


@pytest.fixture
def docker():
    return docker_capabilities(lambda _base: Ledger(), lambda _image: "", lambda *_: True)


def test_a_docker_host_sends_them_only_where_its_engine_s_socket_is_named(docker):
    asked = {"target": "docker", "logs": {"otlp_endpoint": URL}}
    assert refused(docker, **asked) == [
        "logs.otlp_endpoint: a Docker host sends logs by a container that has the Engine's socket,"
        " which is root of the host, and the workspace allows none; set its engine_socket, to"
        " /var/run/docker.sock on most hosts, or leave it out"
    ]
    assert refused(docker, **asked, engine_socket="/var/run/docker.sock") == []


def test_a_docker_host_bounds_calls_and_events_by_age_and_nothing_that_a_container_prints(docker):
    socket = {"target": "docker", "engine_socket": "/var/run/docker.sock"}
    assert refused(docker, **socket, logs={"retention_days": 7}) == [
        "logs.retention_of: a Docker Engine bounds what a container prints by size alone, not by"
        " age; set retention_of: [traffic, events], or leave retention_days out"
    ]
    some = {"retention_days": 7, "retention_of": ["traffic", "events"]}
    assert refused(docker, **socket, logs=some) == []
    assert refused(docker, target="docker", logs=some | {"retention_of": ["traffic"]}) == []
    assert refused(docker, target="docker", logs=some) == [
        "logs.retention_of: a Docker host ends old events by a container that has the Engine's"
        " socket, which is root of the host, and the workspace allows none; set its engine_socket,"
        " to /var/run/docker.sock on most hosts, or leave events out of it"
    ]


def test_tables_without_days_are_refused():
    with pytest.raises(
        ValidationError, match="retention_of says of which lines; set retention_days"
    ):
        LogSettings(otlp_endpoint=URL, retention_of=["traffic"])


def test_this_machine_takes_them():
    assert refused(local_capabilities(Ledger), logs={"otlp_endpoint": URL}) == []


def test_a_collector_is_refused_where_the_package_that_sends_to_it_is_missing():
    wanted = WorkspaceSpec(logs=LogSettings(otlp_endpoint=URL))
    assert list(sending_faults(wanted)) == []
    (fault,) = sending_faults(wanted, is_installed=lambda _module: False)
    assert str(fault) == (
        "logs.otlp_endpoint: the package that sends logs by OTLP is not installed; install"
        " `pulumi-inference[otlp]`, or leave it out"
    )


@pytest.mark.parametrize(
    ("recorded", "read"),
    [
        ({"otlp_endpoint": URL}, LogSettings(otlp_endpoint=URL)),
        ({"retention_days": 7}, LogSettings(retention_days=7)),
        ({"otlp_endpoint": URL, "format": "of a newer release"}, None),
        (None, None),
    ],
)
def test_where_logs_go_is_read_from_the_record_as_far_as_this_release_knows_it(recorded, read):
    target = with_workspace(MemoryTarget())
    there = target.record(ResourceId.of_workspace("default"))
    properties = {**there.properties, "logs": recorded}
    write_record(target, there.model_copy(update={"properties": properties}))
    assert logs_of(state_of(target)) == read
    assert bool(needs_of(state_of(target))) == (read is not None and read.otlp_endpoint is not None)
