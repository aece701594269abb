"""Which images and containers of a Docker host are ours, from what its Engine says of them."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from inference_provider.gpus import Gpu, Ledger
from inference_provider.targets.docker import names
from inference_provider.targets.docker.gpus import HostGpus
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.docker.kept_images import HostImageStore
from inference_provider.workspace.image_store import KeptImage

ENVIRONMENT = "inference-environment:a1"
PUSHED = "registry.example.org:5000/team/inference-environment:a1-amd64"
NEVER = "0001-01-01T00:00:00Z"


def image(*tags, label="inference.image", named=NEVER, created="2026-11-01T00:00:00Z"):
    return {
        "Id": "sha256:1",
        "RepoTags": [*tags],
        "Labels": {label: "environment"},
        "Size": 3 * 2**20,
        "Metadata": {"LastTagTime": named},
        "Created": created,
    }


def container(labels, network="default", state="running", name="x", image="sha256:1"):
    made_in = {"NetworkMode": network}
    return {"Id": name, "Names": [f"/{name}"], "Labels": labels, "State": state, "Image": image,
            "ImageID": "sha256:1", "HostConfig": made_in}  # fmt: skip


class Engine:
    """A host with some images and containers, as its Engine lists them."""

    def __init__(self, images=(), containers=()):
        self.listed, self.there = list(images), containers
        self.asks = {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}

    @contextmanager
    def asked(self, _operation, _resource):
        yield self

    def images(self, filters):
        return [one for one in self.listed if filters["label"] in one["Labels"]]

    def remove_image(self, name):
        [there] = self.listed
        there["RepoTags"].remove(name)
        if not there["RepoTags"]:
            self.listed.clear()

    def image(self, _name):
        return self.listed[0] if self.listed else None

    def has_image(self, _name):
        return bool(self.listed)

    def containers(self, _filters):
        return self.there

    def container(self, _id):
        return {"HostConfig": self.asks, "Config": {"Env": []}}


def engine(images=(), containers=()) -> Any:
    return Engine(images, containers)


def store(*images, grace_s=60.0):
    host = engine(images)
    return HostImageStore(host, HostImages(host), lambda: (), grace_s), host


@pytest.mark.parametrize("label", ["inference.image", "inference.role"])
def test_an_image_of_this_or_an_older_release_is_listed_and_removed_by_all_its_names(label):
    kept, host = store(image(PUSHED, ENVIRONMENT, label=label))
    [found] = kept.kept()
    assert found == KeptImage("inference-environment:a1", "sha256:1", 3, "")
    assert kept.remove(found)
    assert host.listed == []


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param((), id="none"),
        pytest.param(("<none>:<none>",), id="none, as older Engines say it"),
        pytest.param(("mine:1",), id="a person's"),
        pytest.param((ENVIRONMENT, "registry.example.org/team/router:1"), id="both"),
    ],
)
def test_an_image_that_may_be_a_persons_is_neither_listed_nor_removed(tags):
    kept, host = store(image(*tags))
    assert kept.kept() == ()
    assert not kept.remove(KeptImage(ENVIRONMENT, "sha256:1", 3, ""))
    assert host.listed[0]["RepoTags"] == [*tags]


def test_an_image_with_another_name_too_is_listed_with_who_uses_it():
    host = engine([image(ENVIRONMENT, "mine:1")], [container({}) | {"ImageID": "sha256:1"}])
    kept = HostImageStore(host, HostImages(host), lambda: ())
    assert [one.used_by for one in kept.kept()] == ["container x"]


def ago(hours=0.0, offset=0.0):
    zone = timezone(timedelta(hours=offset))
    return (datetime.now(UTC) - timedelta(hours=hours)).astimezone(zone).isoformat()


@pytest.mark.parametrize(
    ("named", "created", "goes"),
    [
        pytest.param((0, 0), (9, 0), False, id="now"),
        pytest.param((0, -5), (9, 0), False, id="now, west"),
        pytest.param((1, 2), (9, 0), True, id="an hour ago, east"),
        pytest.param(NEVER, (9, 0), True, id="never, old"),
        pytest.param(NEVER, (0, 0), False, id="never, new"),
        pytest.param("2026-01-01T10:00:00.123456789+02:00", (9, 0), True, id="nanoseconds"),
    ],
)
def test_only_an_image_that_was_named_a_minute_ago_may_go(named, created, goes):
    # hours ago and the zone's offset: told only now, since pytest collects minutes before
    at = named if isinstance(named, str) else ago(*named)
    kept, _host = store(image(ENVIRONMENT, named=at, created=ago(*created)))
    assert kept.remove(KeptImage(ENVIRONMENT, "sha256:1", 3, "")) is goes


OURS = {
    "inference.role": "instance",
    "inference.workspace": "lab",
    "inference.gpus": "GPU-a",
    "inference.deployment": "iris/blue",
    "inference.name": "inference.lab.iris.blue.1.0",
}


@pytest.mark.parametrize(
    ("labels", "network", "ours"),
    [
        pytest.param(OURS, "inference.lab", True, id="ours"),
        pytest.param(OURS, "inference.lab.closed", True, id="ours, closed"),
        pytest.param(OURS, "bridge", False, id="of a committed instance"),
        pytest.param(OURS, "inference.other", False, id="in another workspace"),
        pytest.param({"inference.role": "environment"}, "default", False, id="of our image"),
        pytest.param(None, "default", False, id="no labels"),
    ],
)
def test_what_a_person_runs_of_an_image_of_ours_is_no_instance(labels, network, ours):
    assert names.is_instance(container(labels, network)) is ours


MADE_OF_1, MADE_OF_2 = ({**OURS, "inference.made-of": f"sha256:{one}"} for one in (1, 2))


@pytest.mark.parametrize(
    ("labels", "image", "ours"),
    [
        pytest.param(MADE_OF_1, "sha256:1", True, id="ours"),
        pytest.param(MADE_OF_1, "app:1", True, id="whose image has a name"),
        pytest.param(MADE_OF_2, "sha256:1", False, id="of a committed instance"),
        pytest.param(OURS, "sha256:1", True, id="of an older release"),
        pytest.param(OURS, "mine:latest", False, id="of a committed one of an older release"),
    ],
)
def test_what_a_person_makes_of_a_committed_container_is_what_docker_calls_it(labels, image, ours):
    instance = container(labels, "inference.lab", image=image)
    assert names.is_instance(instance) is ours
    assert names.of(instance) == ("inference.lab.iris.blue.1.0" if ours else "x")
    router = container({**labels, "inference.role": "router"}, "host", image=image)
    assert names.is_router(router) is ours


@pytest.mark.parametrize(
    ("role", "network"), [("router", "bridge"), ("router", "inference.lab"), ("instance", "host")]
)
def test_a_router_is_in_the_hosts_network(role, network):
    assert not names.is_router(container({"inference.role": role}, network))


def test_a_new_router_has_a_volume_that_no_other_has():
    assert names.router_volume("lab", []) == "inference.lab.router"
    assert names.router_volume("lab", ["inference.lab.router"]) == "inference.lab.router.1"
    assert names.router_volume("lab", ["inference.lab.router.1"]) == "inference.lab.router"


@pytest.mark.parametrize(
    ("labels", "network", "holders"),
    [
        ({"inference.role": "environment"}, "default", [("x", ""), ("x", "")]),
        (OURS, "default", [("x", ""), ("x", "")]),
        (OURS, "inference.lab", [("inference.lab.iris.blue.1.0", "lab/iris/blue")]),
        ({"inference.role": "probe"}, "none", []),
    ],
)
def test_a_persons_container_of_an_image_of_ours_holds_its_gpus(labels, network, holders):
    host = engine(containers=[container(labels, network)])
    gpus = HostGpus(host, lambda _base: Ledger((Gpu("GPU-a", "0", "T4"), Gpu("GPU-b", "1", "T4"))))
    held = gpus.ledger().holders.values()
    assert [(one.name, one.deployment) for each in held for one in each] == holders
