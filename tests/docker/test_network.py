"""Who gets where from inside an instance, with its egress open and closed, on a real Engine."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import psutil
import pytest

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.targets.docker import names
from inference_provider.targets.docker.network import remove_networks
from tests.conformance.labs import DockerLab
from tests.docker.load import Load
from tests.docker_host import BASE_IMAGE, run_in

pytestmark = pytest.mark.docker
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
RESOLVE = "import socket, sys; socket.getaddrinfo(sys.argv[1], 80)"
OUTSIDE = "pypi.org"


@pytest.fixture
def lab(tmp_path):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"net{time.time_ns() % 10**9}")
    made.up()
    yield made
    made.close()


def own_address() -> str:
    """Return an address of this machine beside loopback's, where it has one."""
    found = psutil.net_if_addrs()
    addresses = found.get("eth0") or found["lo"]
    return next(one.address for one in addresses if one.family == socket.AF_INET)


@pytest.fixture
def published(host):
    """Address and port of a container that another network's containers may ask."""
    server = ["python3", "-m", "http.server", "8000"]
    bound = host.api.create_host_config(port_bindings={8000: None})
    made = host.api.create_container(BASE_IMAGE, server, ports=[8000], host_config=bound)["Id"]
    try:
        host.api.start(made)
        yield own_address(), int(host.api.port(made, 8000)[0]["HostPort"])
    finally:
        host.remove(made)


@contextmanager
def another_machine(name: str):
    """A machine beside this one that answers; yields address and port."""
    commands = [
        f"ip netns add {name}",
        f"ip link add {name} type veth peer name eth0 netns {name}",
        f"ip addr add 198.51.100.1/30 dev {name}",
        f"ip link set {name} up",
        f"ip -n {name} addr add 198.51.100.2/30 dev eth0",
        f"ip -n {name} link set eth0 up",
    ]
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        serve = f"ip netns exec {name} {sys.executable} -m http.server 8000"
        with subprocess.Popen(serve.split(), stderr=subprocess.DEVNULL) as server:
            yield "198.51.100.2", 8000
            server.kill()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.fixture
def outside(published):
    """Addresses and ports beyond the host: of another container and of another machine."""
    if "INFERENCE_TEST_ENGINE" not in os.environ:  # the host is somebody's
        yield [published]
        return
    with another_machine(f"inf{os.getpid()}") as machine:
        yield [published, machine]


def runs(lab, instance, code, *given) -> bool:
    return run_in(lab.platform.host, instance, "python3", "-c", code, *map(str, given))[0] == 0


def reached(lab, instance, places) -> list[bool]:
    return [runs(lab, instance, CONNECT, *place) for place in places]


def address_of(lab, instance) -> str:
    return lab.platform.host.container(instance)["Config"]["Labels"][names.ADDRESS]


def networks(lab) -> list[str]:
    filters = names.selecting(lab.workspace, names.NETWORK)
    return sorted(one["Name"] for one in lab.platform.host.api.networks(filters=filters))


def pinned(lab, deployment) -> int:
    url = f"{lab.router.address().url}/endpoints/iris/score"
    headers = {"azureml-model-deployment": deployment, "authorization": f"Bearer {lab.keys()[0]}"}
    return httpx.post(url, headers=headers, timeout=20, trust_env=False).status_code


def test_a_closed_deployment_gets_nowhere_and_answers_beside_an_open_one(lab, outside):
    closed = lab.deployment("green", egress_public_network_access="disabled", instance_count=2)
    lab.apply(closed, lab.traffic(blue=50, green=50))
    [blue], [green, second] = lab.instances(), lab.instances("iris/green")
    assert reached(lab, blue, outside) == [True] * len(outside)
    assert reached(lab, green, outside) == [False] * len(outside)
    assert (pinned(lab, "blue"), pinned(lab, "green")) == (200, 200)
    assert networks(lab) == [f"inference.{lab.workspace}", f"inference.{lab.workspace}.closed"]
    instances = [(address_of(lab, one), port_of(lab, one)) for one in (blue, green, second)]
    assert reached(lab, blue, instances) == [True, False, False]  # its own alone
    assert reached(lab, green, instances) == [False, True, False]


def port_of(lab, instance) -> str:
    return lab.platform.host.container(instance)["Config"]["Labels"][names.PORT]


def test_a_closed_deployment_resolves_no_name_and_an_open_one_does(lab):
    try:
        socket.getaddrinfo(OUTSIDE, 80)
    except OSError:
        pytest.skip(f"this machine cannot resolve {OUTSIDE}")
    lab.apply(lab.deployment("green", egress_public_network_access="disabled"))
    [blue], [green] = lab.instances(), lab.instances("iris/green")
    assert runs(lab, blue, RESOLVE, OUTSIDE)
    started_s = time.monotonic()
    assert not runs(lab, green, RESOLVE, OUTSIDE)
    assert time.monotonic() - started_s < 4  # it gives up soon


def test_closing_and_opening_a_workspace_moves_what_runs_and_fails_no_request(lab, outside):
    lab.apply(lab.deployment(request_settings={"max_concurrent_requests_per_instance": 50}))
    [before] = lab.instances()
    with Load(lab, requests=1500) as load:
        lab.apply(lab.space(egress="disabled"))
    [during] = lab.instances()
    assert (during != before, reached(lab, during, outside)) == (True, [False] * len(outside))
    assert load.answers.keys() == {200}
    lab.apply(lab.space())
    [after] = lab.instances()
    assert reached(lab, after, outside) == [True] * len(outside)
    assert lab.ask() == 200


def test_what_a_killed_client_left_on_the_open_network_is_named_and_moved(lab, outside):
    workspace = lab.target.record(lab.of(Kind.WORKSPACE).id)
    closed = {**workspace.properties, "egress": "disabled"}
    with lab.ports.records.edit():
        lab.state.put_record(workspace.model_copy(update={"properties": closed}))
    [instance] = lab.instances()
    there = lab.target.observe_one(lab.of(Kind.DEPLOYMENT).id)
    network = f"inference.{lab.workspace}"
    assert there.degraded == f"{instance}: in '{network}', not in network '{network}.closed'"
    lab.apply(lab.deployment())
    [moved] = lab.instances()
    assert reached(lab, moved, outside) == [False] * len(outside)
    assert lab.target.observe_one(lab.of(Kind.DEPLOYMENT).id).degraded == ""


@contextmanager
def firewall_rule():
    """What docs/docker.md gives a person to close the host itself."""
    rule = ["INPUT", "-i", "inf-shut+", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"]
    subprocess.run(["iptables", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-D", *rule], check=True)


@pytest.mark.skipif("INFERENCE_TEST_ENGINE" not in os.environ, reason="the host is not the test's")
def test_the_host_itself_is_open_by_the_gateway_until_the_firewall_closes_it(lab):
    lab.apply(lab.deployment(egress_public_network_access="disabled"))
    [instance] = lab.instances()
    filters = names.selecting(lab.workspace, names.NETWORK)
    found = {one["Name"]: one for one in lab.platform.host.api.networks(filters=filters)}
    [pool] = found[f"inference.{lab.workspace}.closed"]["IPAM"]["Config"]
    with socket.create_server(("0.0.0.0", 0), backlog=64) as listening:
        port = listening.getsockname()[1]
        assert reached(lab, instance, [(pool["Gateway"], port)]) == [True]
        with firewall_rule():
            places = [(pool["Gateway"], port), (own_address(), port)]
            assert reached(lab, instance, places) == [False, False]
            assert lab.ask() == 200


def test_a_network_stays_while_a_persons_container_is_in_it_and_the_error_names_that(host):
    workspace = f"net{time.time_ns() % 10**9}"
    network = names.network(workspace, closed=False)
    host.api.create_network(network, labels=names.labels(workspace, names.NETWORK))
    inside = host.api.create_host_config(network_mode=network)
    theirs = host.api.create_container(
        BASE_IMAGE, ["sleep", "60"], name=f"own-{workspace}", host_config=inside
    )["Id"]
    host.api.start(theirs)
    try:
        with pytest.raises(TargetError) as refused:
            remove_networks(host, workspace)
        assert f": in it: own-{workspace}; remove or disconnect what" in str(refused.value)
    finally:
        host.remove(theirs)
    remove_networks(host, workspace)
    assert host.api.networks(names=[network]) == []
