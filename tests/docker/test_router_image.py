"""A router is replaced by one of another image, and by a new one, while it serves."""

import io
import json
import random
import socket
import threading
import time

import pytest

from inference_provider.drift import drift
from inference_provider.errors import NotReady
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.docker import names
from tests.conformance.labs import DockerLab
from tests.docker.load import Load
from tests.docker.test_changes import MANY
from tests.docker.test_killed_clients import inferctl, left, said, stack  # noqa: F401 - a fixture
from tests.docker_host import BASE_IMAGE, run_in

pytestmark = pytest.mark.docker
REQUESTS = 3_000
ROUNDS = 12
SEED = 20261126
OLDER = "the router runs an older image; it is replaced without a failed request"


class Tag:
    """A name of a router's image that is moved from one image to another."""

    def __init__(self, host, runtime) -> None:
        self.name = f"test/router{time.time_ns() % 10**9}:1"
        self._host, self._runtime = host, runtime
        self._made: set[str] = set()

    def move(self, base: str = "") -> str:
        """Give the name to a new image, of the router's or of another one."""
        text = f"FROM {base or self._runtime}\nLABEL number={time.time_ns()}\n"
        given = io.BytesIO(text.encode())
        said = self._host.api.build(fileobj=given, tag=self.name, rm=True, decode=True)
        assert not [part["error"] for part in said if "error" in part]
        found = self._host.image(self.name)["Id"]
        self._made.add(found)
        return found

    def close(self) -> None:
        for image in self._made:
            self._host.api.remove_image(image, force=True)


@pytest.fixture
def tag(host, images):
    made = Tag(host, images.runtime(WorkspaceSpec(base_image=BASE_IMAGE)))
    made.move()
    yield made
    made.close()


@pytest.fixture
def lab(tmp_path, tag):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"rti{time.time_ns() % 10**9}")
    space, blue = made.space(runtime_image=tag.name), made.deployment(**MANY)
    others = [one for one in made.desired if one.id not in (space.id, blue.id)]
    made.desired = (space, *others[:-1], blue, others[-1])
    made.up()
    yield made
    made.close()


def router(lab) -> dict:
    return lab.platform.host.container(names.router(lab.workspace))


def of_router(lab) -> tuple[list[str], int]:
    """Return the names of the router's containers, and the number of their volumes."""
    host, selecting = lab.platform.host, names.selecting(lab.workspace, names.ROUTER)
    found = [one["Names"][0].removeprefix("/") for one in host.containers(selecting)]
    return sorted(found), len(host.volumes(selecting))


def told(lab) -> dict[Kind, str]:
    found = drift(lab.desired, lab.target.observe([lab.workspace]), "demo")
    return {one.id.kind: one.reason for one in found.resources if one.reason or one.fields}


def up(lab) -> list[Kind]:
    """Do what `inferctl up` would; return what it changed."""
    pending = plan(lab.desired, lab.target.observe([lab.workspace]), "demo").pending
    lab.apply(*[action.desired for action in pending])
    return [action.id.kind for action in pending]


def test_a_router_of_an_older_image_is_drift_and_is_replaced_without_a_failed_request(lab, tag):
    for _ in range(3):
        image = tag.move()
        assert told(lab) == {Kind.WORKSPACE: OLDER}
        with Load(lab, REQUESTS) as load:
            assert up(lab) == [Kind.WORKSPACE]
        assert load.failed == {}
        assert router(lab)["Image"] == image
        assert of_router(lab) == ([names.router(lab.workspace)], 1)
        assert (told(lab), up(lab)) == ({}, [])
    lab.apply(lab.traffic(blue=0))
    assert lab.ask() == 404


def test_a_request_in_flight_ends_in_the_replaced_router(lab, tag):
    tag.move()
    with lab.in_flight() as flight:
        landing = threading.Timer(4.0, flight.land)
        landing.start()
        up(lab)
        assert not landing.is_alive()
    assert flight.status == 200


def test_a_router_limited_by_hand_is_replaced_without_a_failed_request(lab):
    before = router(lab)["Id"]
    with Load(lab, REQUESTS) as load:
        lab.platform.host.api.update_container(before, mem_limit="512m", memswap_limit="1g")
        assert up(lab) == [Kind.WORKSPACE]
    assert load.failed == {}
    assert router(lab)["Id"] != before
    assert told(lab) == {}


def removed(host, instance: str) -> None:
    host.remove(instance)


def disconnected(host, instance: str) -> None:
    (network,) = host.container(instance)["NetworkSettings"]["Networks"]
    host.api.disconnect_container_from_network(instance, network)


@pytest.mark.parametrize("done", [removed, disconnected])
def test_a_router_is_replaced_while_it_still_counts_an_instance_that_is_gone(lab, done):
    host, before = lab.platform.host, router(lab)["Id"]
    instances = host.containers(names.selecting(lab.workspace, names.INSTANCE))
    done(host, instances[0]["Id"])
    host.api.update_container(before, mem_limit="512m", memswap_limit="1g")
    assert up(lab) == [Kind.WORKSPACE, Kind.DEPLOYMENT]
    assert router(lab)["Id"] != before
    assert (told(lab), lab.ask()) == ({}, 200)


def test_an_instance_that_hangs_keeps_no_router_from_being_replaced(lab):
    patient = {"initial_delay": 0, "period": 1, "timeout": 1, "failure_threshold": 600}
    two = lab.deployment(**MANY, instance_count=2, readiness_probe=patient)
    lab.apply(two)
    lab.desired = tuple(two if one.id == two.id else one for one in lab.desired)
    host, before = lab.platform.host, router(lab)["Id"]
    hanging = min(lab.instances())
    run_in(host, hanging, "sh", "-c", "kill -STOP -1")
    host.api.update_container(before, mem_limit="512m", memswap_limit="1g")
    began_s = time.monotonic()
    assert up(lab) == [Kind.WORKSPACE]
    assert time.monotonic() - began_s < 45  # 60 s are its limit
    assert router(lab)["Id"] != before
    assert lab.ask() == 200
    assert up(lab) == [Kind.DEPLOYMENT]
    assert hanging not in lab.instances()


def is_reached(lab, address: str) -> bool:
    """Whether the router's port answers at another address of the host."""
    port = int(lab.router.address().url.rpartition(":")[2])
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_another_bind_address_fails_no_request_of_this_host(lab):
    before = router(lab)["Id"]
    with Load(lab, REQUESTS) as load:
        for address in ("0.0.0.0", "127.0.0.1"):
            lab.apply(lab.space(bind_address=address, allow_plain_http=True))
            assert is_reached(lab, "127.0.0.2") is (address == "0.0.0.0")
    assert load.failed == {}
    assert router(lab)["Id"] == before


def test_a_new_image_that_does_not_start_leaves_the_router_that_serves(lab, tag):
    before = router(lab)
    tag.move(BASE_IMAGE)
    with pytest.raises(NotReady, match="its agent does not answer"):
        up(lab)
    assert router(lab)["Id"] == before["Id"]
    assert of_router(lab) == ([names.router(lab.workspace)], 1)
    assert lab.ask() == 200
    lab.apply(lab.traffic(blue=100))
    assert told(lab) == {Kind.WORKSPACE: OLDER}


def test_a_second_router_that_a_killed_client_left_is_drift_and_ends_after_its_requests(lab):
    left = lab.router._create(router(lab)["Image"], names.router(lab.workspace, "next"))
    lab.router._wait_for_agent(left)
    lab.router._start(left, lab.router.tables[-1])
    assert told(lab) == {
        Kind.WORKSPACE: "another router runs, left by a client that was killed;"
        " it ends after its last request"
    }
    with Load(lab, REQUESTS) as load:
        assert up(lab) == [Kind.WORKSPACE]
    assert load.failed == {}
    assert of_router(lab) == ([names.router(lab.workspace)], 1)
    assert told(lab) == {}


def test_a_persons_copy_of_the_router_is_none(lab):
    host, before = lab.platform.host, router(lab)["Id"]
    copied = host.api.commit(before)["Id"]
    config = host.api.create_host_config(network_mode="host")
    mine = host.api.create_container(copied, ["-"], host_config=config)["Id"]
    try:
        assert told(lab) == {}
        lab.apply(lab.traffic(blue=100))
        assert router(lab)["Id"] == before
    finally:
        host.remove(mine)
        host.api.remove_image(copied)


def test_after_a_kill_in_the_middle_no_request_has_failed_and_the_next_up_ends_it(
    host,
    tag,
    stack,  # noqa: F811 - the fixture
):
    folder, document = stack
    workspace, rng = document["workspaces"][0], random.Random(SEED)
    workspace["runtime_image"] = tag.name
    document["deployments"][0] |= MANY
    (folder / "stack.yaml").write_text(json.dumps(document))
    try:
        assert said(folder, "up", "-y")[0] == 0
        with Load(Opened(folder), REQUESTS) as load:
            for _ in range(ROUNDS):
                tag.move()
                with inferctl(folder, "up", "-y") as process:
                    time.sleep(rng.uniform(0.5, 3.0))
                    process.kill()
            image = tag.move()
            code, text = said(folder, "up", "-y")
            assert code == 0, text
        assert load.failed == {}
        assert host.container(names.router(workspace["name"]))["Image"] == image
        assert said(folder, "drift")[0] == 0
        containers, _networks, volumes = left(host, workspace["name"])
        assert [name for name in containers if ".router" in name] == [
            f"inference.{workspace['name']}.router"
        ]
        assert len([name for name in volumes if ".router" in name]) == 1
    finally:
        document["deployments"], document["traffic"] = [], []
        assert said(folder, "down", "-y")[0] == 0


class Opened:
    """What a load needs to know of a stack that `inferctl` made."""

    def __init__(self, folder) -> None:
        _code, text = said(folder, "outputs", "--json", "--show-secrets")
        found = {name: value for one in json.loads(text).values() for name, value in one.items()}
        self.keys = lambda: (found["primary_key"], found["secondary_key"])
        self.router_url = found["router_url"]
