"""What a person does to containers with Docker's own commands is named once, and mended."""

import re
import time
from collections.abc import Callable
from functools import partial

import pytest

from inference_provider.drift import drift
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.targets.docker import names
from tests.conformance.labs import DockerLab, wait_until
from tests.docker_host import BASE_IMAGE, run_in

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One workspace for all of the module: every test leaves it as it found it."""
    folder = tmp_path_factory.mktemp("hand")
    made = DockerLab(DockerLab.open(folder), folder, f"hand{time.time_ns() % 10**9}")
    made.up()
    yield made
    made.close()


class Hand:
    """A person with Docker's commands, and the names that they use."""

    def __init__(self, lab) -> None:
        self.api = lab.platform.host.api
        [self.instance] = lab.instances()
        self.router = names.router(lab.workspace)
        self.network = names.network(lab.workspace, closed=False)
        self.host = lab.platform.host


def reasons(lab) -> dict[Kind, str]:
    found = drift(lab.desired, lab.target.observe([lab.workspace]), "demo")
    drifted = [one for one in found.resources if one.reason or one.fields]
    return {one.id.kind: one.reason for one in drifted}


def mend(lab) -> None:
    """Do what `inferctl up` would."""
    planned = plan(lab.desired, lab.target.observe([lab.workspace]), "demo")
    lab.apply(*[action.desired for action in planned.pending if action.desired])


def crash(hand: Hand) -> None:
    """End what runs in the instance three times, as a fault in it would."""
    for count in (1, 2, 3):
        run_in(hand.host, hand.instance, "sh", "-c", "kill -9 -1")
        wait_until(partial(running_after, hand, count))


def running_after(hand: Hand, count: int) -> bool:
    seen = hand.host.container(hand.instance)
    return seen["RestartCount"] == count and seen["State"]["Status"] == "running"


def remove_network(hand: Hand) -> None:
    hand.api.stop(hand.instance, timeout=1)
    hand.api.remove_network(hand.network)


def connect_again(hand: Hand) -> None:
    hand.api.disconnect_container_from_network(hand.instance, hand.network)
    hand.api.connect_container_to_network(hand.instance, hand.network)


NOT_RUNNING = "1 instance not running"
TO_INSTANCE: dict[str, tuple[Callable[[Hand], object], str]] = {
    "stop": (lambda hand: hand.api.stop(hand.instance, timeout=1), NOT_RUNNING),
    "kill": (lambda hand: hand.api.kill(hand.instance), NOT_RUNNING),
    "pause": (lambda hand: hand.api.pause(hand.instance), NOT_RUNNING),
    "rm": (lambda hand: hand.host.remove(hand.instance), ""),
    "network rm": (remove_network, NOT_RUNNING),
    "rename": (
        lambda hand: hand.api.rename(hand.instance, f"my.{hand.instance}"),
        "{instance}: renamed to 'my.{instance}'",
    ),
    "update memory": (
        lambda hand: hand.api.update_container(
            hand.instance, mem_limit="256m", memswap_limit="256m"
        ),
        "{instance}: memory limit 256 MiB, made with none",
    ),
    "update cpus": (
        lambda hand: hand.api.update_container(hand.instance, cpu_shares=128),
        "{instance}: cpu shares 128, made with none",
    ),
    "update restart": (
        lambda hand: hand.api.update_container(hand.instance, restart_policy={"Name": "no"}),
        "{instance}: restart policy 'no', made with 'unless-stopped'",
    ),
    "connect": (
        lambda hand: hand.api.connect_container_to_network(hand.instance, "bridge"),
        "{instance}: in 'bridge', '{network}', not in network '{network}'",
    ),
    "disconnect": (
        lambda hand: hand.api.disconnect_container_from_network(hand.instance, hand.network),
        "{instance}: in no network, not in network '{network}'",
    ),
    "connect again": (connect_again, "{instance}: no longer at its address {address}"),
    "crash loop": (crash, "{instance} ended 3 times in the last 10 minutes"),
}


@pytest.mark.parametrize("done", TO_INSTANCE)
def test_what_is_done_to_an_instance_is_named_once_and_mended(lab, done):
    hand = Hand(lab)
    act, told = TO_INSTANCE[done]
    labels = hand.host.container(hand.instance)["Config"]["Labels"]
    act(hand)
    expected = told.format(
        instance=hand.instance, network=hand.network, address=labels[names.ADDRESS]
    )
    assert reasons(lab) == {Kind.DEPLOYMENT: expected}
    mend(lab)
    assert lab.ask() == 200
    assert reasons(lab) == {}
    assert len(lab.instances()) == 1
    assert hand.host.container(labels[names.NAME]) is None or done == "rm"


GONE = "the router does not run"
TO_ROUTER: dict[str, tuple[Callable[[Hand], object], dict[Kind, str]]] = {
    "stop": (
        lambda hand: hand.api.stop(hand.router, timeout=5),
        {Kind.WORKSPACE: GONE, Kind.TRAFFIC: GONE},
    ),
    "pause": (
        lambda hand: hand.api.pause(hand.router),
        {Kind.WORKSPACE: "the router is paused", Kind.TRAFFIC: GONE},
    ),
    "rm": (
        lambda hand: hand.host.remove(hand.router),
        {Kind.WORKSPACE: GONE, Kind.TRAFFIC: GONE},
    ),
    "rename": (
        lambda hand: hand.api.rename(hand.router, f"my.{hand.router}"),
        {Kind.WORKSPACE: "the router's container: renamed to 'my.{router}'"},
    ),
    "update restart": (
        lambda hand: hand.api.update_container(hand.router, restart_policy={"Name": "no"}),
        {Kind.WORKSPACE: "the router's container: restart policy 'no', made with 'unless-stopped'"},
    ),
    "update memory": (
        lambda hand: hand.api.update_container(hand.router, mem_limit="512m", memswap_limit="1g"),
        {Kind.WORKSPACE: "the router's container: memory limit 512 MiB, made with none"},
    ),
}


@pytest.mark.parametrize("done", TO_ROUTER)
def test_what_is_done_to_the_router_is_named_once_and_mended(lab, done):
    hand = Hand(lab)
    act, told = TO_ROUTER[done]
    before = hand.host.container(hand.router)["Id"]
    act(hand)
    assert reasons(lab) == {kind: text.format(router=hand.router) for kind, text in told.items()}
    mend(lab)
    assert lab.ask() == 200
    assert reasons(lab) == {}
    after = hand.host.container(hand.router)["Id"]
    assert (after == before) is (done in ("rename", "update restart"))


def test_a_record_that_cannot_be_read_hides_no_other(lab):
    documents = lab.ports.records
    for kind in (Kind.WORKSPACE, Kind.DEPLOYMENT):
        id_ = lab.of(kind).id
        name = f"{kind.value}.{id_.name}"
        text = documents.read("records", name).decode()
        documents.put("records", name, "torn")
        found = lab.target.observe([lab.workspace])
        documents.put("records", name, text)
        assert [one.id for one in found.unreadable] == [id_]
    assert reasons(lab) == {}


EDITS = {
    "written": ("code", "echo >>/v/content/serve.py", r"'content/serve\.py' at 20\d\d-.* UTC"),
    "removed": ("code", "rm /v/content/serve.py", r"'content/serve\.py' is gone"),
    "added": ("code", "touch /v/content/more.py", r"'content' at 20\d\d-.* UTC"),
    "same time": (
        "code",
        "echo >>/v/content/serve.py; touch -d @0 /v/content/serve.py",
        r"'content/serve\.py' has \d+ bytes instead of \d+",
    ),
    "weights": ("model", "echo >/v/content/model.bin", r"'content/model\.bin' at 20\d\d-.* UTC"),
}


@pytest.mark.parametrize("done", EDITS)
def test_an_edited_volume_is_named_with_its_file_and_replaced(lab, done):
    hand = Hand(lab)
    kind, script, told = EDITS[done]
    [volume] = volumes(lab, kind)
    edit(hand, volume, script)
    found = reasons(lab)
    own = found.pop(Kind.DEPLOYMENT)
    assert re.fullmatch(rf"its {kind} was changed by hand: {told} in volume {volume}", own)
    assert [*found] == ([] if kind == "code" else [Kind.MODEL])
    mend(lab)
    assert lab.ask() == 200
    assert reasons(lab) == {}
    assert volume not in volumes(lab, kind)
    assert len(volumes(lab, kind)) == 1


def volumes(lab, kind) -> list[str]:
    found = lab.platform.host.volumes(names.selecting(lab.workspace, names.CONTENT))
    return [volume for volume in found if volume.split(".")[2] == kind]


def edit(hand: Hand, volume: str, script: str) -> None:
    """Run a script as root in a container that has a volume at `/v`."""
    bound = hand.api.create_host_config(binds=[f"{volume}:/v"])
    made = hand.api.create_container(BASE_IMAGE, ["sh", "-c", script], host_config=bound)["Id"]
    hand.api.start(made)
    assert hand.api.wait(made)["StatusCode"] == 0
    hand.host.remove(made)


@pytest.mark.parametrize("network", ["bridge", ""])
def test_what_a_person_runs_of_a_committed_instance_is_no_instance(lab, network):
    hand = Hand(lab)
    image = hand.api.commit(hand.instance, pause=False)["Id"]  # else it is called unhealthy
    config = hand.api.create_host_config(network_mode=network or hand.network)
    mine = hand.api.create_container(image, ["sleep", "600"], host_config=config)["Id"]
    hand.api.start(mine)
    try:
        assert [*lab.instances()] == [hand.instance]
        assert len(lab.ports.compute.instances()["iris/blue"]) == 1
        assert reasons(lab) == {}
        lab.apply(lab.deployment(environment_variables={"MORE": "1"}))  # retires the instance
        lab.apply(lab.of(Kind.DEPLOYMENT))
        assert hand.host.container(mine)["State"]["Running"]
    finally:
        hand.host.remove(mine)
        hand.api.remove_image(image)
