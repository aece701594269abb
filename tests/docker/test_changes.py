"""A workspace on a real Docker Engine under load, after its containers are lost, and gone."""

import socket
import time
from typing import Any

import httpx
import pytest

from inference_provider.errors import NotReady, TargetError
from inference_provider.observed import Kind
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.listens import Listens
from inference_provider.targets.docker.router import ADDRESS
from tests.conformance.labs import ANN, DockerLab, wait_until
from tests.docker.load import Load
from tests.docker_host import run_in

pytestmark = pytest.mark.docker
REQUESTS = 10_000
MANY: dict[str, Any] = {
    "request_settings": {
        "request_timeout_ms": 10_000,
        "max_concurrent_requests_per_instance": 50,
    }
}


@pytest.fixture
def lab(tmp_path, request):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"chg{time.time_ns() % 10**9}")
    made.up()
    made.apply(made.deployment(**MANY))
    yield made
    made.close()


def containers(lab) -> dict[str, dict]:
    found = lab.platform.host.containers({"label": f"{names.WORKSPACE}={lab.workspace}"})
    return {container["Names"][0].removeprefix("/"): container for container in found}


def test_no_request_fails_from_blue_to_green_and_back_and_through_a_new_generation(lab):
    with Load(lab, REQUESTS) as load:
        lab.apply(lab.deployment("green", **MANY), lab.traffic(blue=50, green=50))
        lab.apply(lab.traffic(green=100))
        lab.apply(lab.deployment(environment_variables={"A": "1"}, instance_count=2, **MANY))
        lab.apply(lab.traffic(blue=100))
        lab.apply(lab.deployment(environment_variables={"A": "1"}, **MANY))
        lab.target.rotate_key(lab.of(Kind.ENDPOINT).id, "secondary", ANN)
        lab.delete(lab.deployment("green").id)
    assert load.answers[200] >= REQUESTS
    assert load.answers.keys() == {200}


def test_what_a_killed_first_up_left_is_cleared_away_and_another_port_is_chosen(tmp_path):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"chg{time.time_ns() % 10**9}")
    records = made.platform.ports(made.workspace).records
    records.make()
    with socket.create_server(("127.0.0.1", 0)) as other:  # which took the port meanwhile
        port = other.getsockname()[1]
        left = Listens(host="127.0.0.1", port=port, metrics_port=19079, image="none")
        records.put(ADDRESS, names.ROUTER, left.model_dump_json())
        made.up()
        assert made.ask() == 200
        assert not made.router.address().url.endswith(f":{port}")
    made.close()
    assert containers(made) == {}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (
            {"bind_address": "192.0.2.1", "allow_plain_http": True},
            "bind_address '192.0.2.1' is not an address of the host;",
        ),
        ({"router_port": 1}, "router_port 1 needs a privileged user; choose 1024 or higher"),
    ],
)
def test_an_address_that_no_router_can_have_is_named(tmp_path, fields, fault):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"chg{time.time_ns() % 10**9}")
    with pytest.raises(TargetError, match=fault):
        made.apply(made.space(**fields))
    assert containers(made) == {}


def test_an_instance_that_does_not_start_is_quoted_though_its_container_is_gone(lab):
    failing = lab.deployment("green", environment_variables={"FAIL": "1"})
    with pytest.raises(NotReady) as caught:
        lab.apply(failing)
    assert "its container ended before it was ready" in str(caught.value)
    assert "its last lines:\n    told to fail" in str(caught.value)
    assert lab.instances("iris/green") == {}
    assert lab.ask() == 200


def test_a_router_that_is_killed_serves_again_by_itself(lab):
    before = lab.platform.host.container(names.router(lab.workspace))["State"]["StartedAt"]
    run_in(lab.platform.host, names.router(lab.workspace), "sh", "-c", "kill -9 -1")
    wait_until(
        lambda: (
            lab.platform.host.container(names.router(lab.workspace))["State"]["StartedAt"] != before
        )
    )
    wait_until(lambda: answers(lab) == 200)


def answers(lab) -> int:
    try:
        return lab.ask()
    except httpx.TransportError:
        return 0


def test_another_client_sees_the_same_workspace_and_no_secret_is_in_a_label(lab):
    other = DockerLab.open(lab.folder)
    assert lab.workspace in other.workspaces()
    key = lab.keys()[0]
    for container in containers(lab).values():
        assert key not in str(container)
    assert DockerHost("docker").container(names.router(lab.workspace)) is not None


def test_nothing_of_a_deleted_workspace_stays(tmp_path):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"del{time.time_ns() % 10**9}")
    made.up()
    for kind in (Kind.TRAFFIC, Kind.DEPLOYMENT, Kind.ENDPOINT, Kind.MODEL, Kind.ENVIRONMENT):
        made.delete(made.of(kind).id)
    made.delete(made.of(Kind.WORKSPACE).id)
    host = made.platform.host
    label = {"label": [f"{names.WORKSPACE}={made.workspace}"]}
    assert (containers(made), host.volumes(label)) == ({}, [])
    assert host.api.networks(filters=label) == []
