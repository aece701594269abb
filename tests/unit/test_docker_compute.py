"""What is expected of containers, and when one is made, by fakes of the Engine's answers."""

from collections.abc import Mapping
from contextlib import contextmanager
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import pytest
from tests.memory import record
from tests.unit.test_docker_containers import inspected

from inference_provider.desired import identify
from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, WorkspaceSpec
from inference_provider.targets.docker import names
from inference_provider.targets.docker.compute import DockerCompute, _Awaited
from inference_provider.targets.docker.content import DockerContent
from inference_provider.targets.docker.instance import labels_of
from inference_provider.targets.kept_content import SECTION, document_of
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import RECORDS, State

CORRUPT_HASH, OTHER_HASH = "a" * 64, "b" * 64


class Host:
    """A host with an instance of each of two deployments: one open, one in the closed network."""

    cores = 4
    health: dict[str, Any] | None = None
    labels: Mapping[str, str] = MappingProxyType({})

    @contextmanager
    def asked(self, _operation, _resource):
        yield SimpleNamespace(networks=lambda filters: [{"Name": "inference.lab", **filters}])

    def containers(self, filters):
        del filters
        return [self._listed("iris/blue"), self._listed("iris/green")]

    def _listed(self, deployment):
        labels = {
            names.WORKSPACE: "lab",
            names.ROLE: names.INSTANCE,
            names.NAME: f"inference.lab.{deployment}",
            names.DEPLOYMENT: deployment,
            names.GENERATION: "5efd",
            names.ADDRESS: "172.18.0.2",
            names.PORT: "5001",
            **self.labels,
        }
        seen: dict[str, Any] = {
            "Labels": labels,
            "Mounts": [],
            "State": "running",
            "Image": "sha256:1",
            "ImageID": "sha256:1",
        }
        network = names.network("lab", closed=deployment == "iris/green")
        seen["HostConfig"] = {"NetworkMode": network}
        return seen | {"Id": deployment, "Names": [f"/inference.lab.{deployment}"]}

    def container(self, id_):
        network = names.network("lab", closed=id_ == "iris/green")
        state = {"State": {"Health": self.health} if self.health else {}}
        found = inspected(NetworkMode=network) | {"RestartCount": 0} | state
        found["NetworkSettings"] = {
            "Networks": {network: {"IPAMConfig": {"IPv4Address": "172.18.0.2"}}}
        }
        return found


def deployed(name, content_hash, **fields):
    pinned = f"env:1@sha256:{content_hash}"
    spec = DeploymentSpec(workspace="lab", endpoint="iris", name=name, environment=pinned, **fields)
    return record(Kind.DEPLOYMENT, spec)


@pytest.fixture
def records():
    records = MemoryRecords("lab")
    state = State(records)
    state.put_record(record(Kind.WORKSPACE, WorkspaceSpec(name="lab", target="docker")))
    state.put_record(deployed("blue", CORRUPT_HASH))
    state.put_record(deployed("green", OTHER_HASH, egress_public_network_access="disabled"))
    return records


def unit_of(**fields) -> Unit:
    spec = DeploymentSpec(
        workspace="lab", endpoint="iris", name="blue", environment="env:1", **fields
    )
    return Unit(identify(Kind.DEPLOYMENT, spec), "5efd", spec, EnvironmentSpec(name="env"))


def faults(records, **labels):
    host, nothing = cast("Any", Host()), cast("Any", None)
    host.labels = labels
    content = DockerContent(host, records, nothing)
    listening = SimpleNamespace(listens=lambda: SimpleNamespace(egress_port=20080))
    compute = DockerCompute(host, records, content, cast("Any", listening), nothing)
    return {one: found[0].fault for one, found in compute.status().instances.items()}


@pytest.mark.parametrize(
    ("section", "name"),
    [
        (SECTION, document_of("environment", CORRUPT_HASH)),
        (RECORDS, "Deployment.iris/blue"),
        (RECORDS, "Deployment.iris/green"),
        (RECORDS, "Workspace.lab"),
    ],
)
def test_a_document_that_cannot_be_read_rolls_no_deployment(records, section, name):
    records.put(section, name, "{")
    assert faults(records) == {"iris/blue": "", "iris/green": ""}


def test_an_instance_is_in_the_network_that_its_deployment_asks_for(records):
    State(records).put_record(deployed("green", OTHER_HASH))
    assert faults(records) == {
        "iris/blue": "",
        "iris/green": "in 'inference.lab.closed', not in network 'inference.lab'",
    }


@pytest.mark.parametrize(
    ("health", "told"),
    [
        (None, ""),
        ({"Status": "starting", "FailingStreak": 2}, ""),
        ({"Status": "healthy", "FailingStreak": 2}, ""),
        (
            {"Status": "unhealthy", "FailingStreak": 10},
            "its HEALTHCHECK fails, so Docker calls it unhealthy",
        ),
        pytest.param({"Status": "unhealthy", "FailingStreak": 0}, "", id="paused for a moment"),
    ],
)
def test_an_unhealthy_instance_is_named_and_one_that_answers_is_not_replaced_for_it(
    records, health, told
):
    host, nothing = cast("Any", Host()), cast("Any", None)
    host.health = health
    compute = DockerCompute(host, records, DockerContent(host, records, nothing), nothing, nothing)
    [seen] = compute.status().instances["iris/blue"]
    assert seen.fault == told
    assert seen.runs
    assert [one.fault for one in compute.found(unit_of())][:1] == [""]


def test_an_instance_made_with_another_liveness_probe_is_replaced_once_that_is_applied(records):
    host, nothing = cast("Any", Host()), cast("Any", None)
    compute = DockerCompute(host, records, DockerContent(host, records, nothing), nothing, nothing)
    changed = unit_of(liveness_probe={"period": 5})
    told = "was made with another liveness_probe"
    assert compute.found(changed)[0].fault == told
    assert compute.status().instances["iris/blue"][0].fault == ""  # of an older release, even
    host.labels = labels_of(changed, (), None)
    assert compute.found(changed)[0].fault == ""
    assert compute.status().instances["iris/blue"][0].fault == told


@pytest.mark.parametrize(
    ("one", "asked"),
    [("", ["iris/blue", "iris/green"]), ("iris/green", ["iris/green"])],
)
def test_a_look_at_one_deployment_asks_for_no_image_of_others(records, one, asked, monkeypatch):
    host, nothing, told = cast("Any", Host()), cast("Any", None), []
    content = DockerContent(host, records, nothing)

    def image_of(deployment):
        told.append(deployment.id.name)
        return ""

    monkeypatch.setattr(content, "newest_image_of", image_of)
    DockerCompute(host, records, content, nothing, nothing).status(one)
    assert told == asked


class Removed:
    """Content of which a volume is removed while others hold the lock of addresses."""

    def __init__(self):
        self.gone = False

    def image(self, _environment):
        return "sha256:1"

    def mounts(self, _unit):
        if self.gone:
            raise TargetError("read", "model", "it is gone", "")
        return []

    @contextmanager
    def handing_out(self, _unit, count, _leaving):
        self.gone = True
        yield [()] * count


def test_nothing_is_made_of_a_volume_that_was_removed_while_others_were_waited_for():
    host, records = cast("Any", Host()), cast("Any", MemoryRecords("lab"))
    content, begun = cast("Any", Removed()), list[str]()
    compute = DockerCompute(host, records, content, cast("Any", None), content)
    with pytest.raises(TargetError, match="it is gone"):
        compute.begin(unit_of(), 1, (), lambda _id, _text: None, begun)
    assert begun == []


class Restarted:
    """A host with one container, of which it says one thing after another."""

    def __init__(self, *said):
        self._said = [{"State": {"Status": s}, "RestartCount": count} for s, count in said]

    def container(self, _name):
        return self._said.pop(0) if self._said else None


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        ([("running", 2), ("running", 2)], False),
        ([("running", 0), ("running", 1)], True),
        ([("restarting", 7), ("restarting", 7)], True),
        ([("running", 0), ("exited", 0)], True),
        ([("running", 0)], True),
    ],
    ids=["runs", "again", "waits for its next start", "ended", "gone"],
)
def test_a_container_that_keeps_dying_is_not_waited_for_between_two_starts(said, ends):
    unit: Any = SimpleNamespace(
        readiness_path="/", spec=SimpleNamespace(readiness_probe=SimpleNamespace(timeout=1))
    )
    router: Any = SimpleNamespace(answers=lambda *_asked: False)
    listed = Restarted(*said)
    awaited = _Awaited(unit, "blue.0", cast("Any", listed), router)
    for one in listed._said:
        one["Config"] = {"Labels": {names.ADDRESS: "172.18.0.2", names.PORT: "5001"}}
    assert not awaited.answers(0)
    assert awaited.ended() == ("its container ended before it was ready" if ends else "")


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({}, "was started before outbound_rules were supported; the next `up` replaces it"),
        (
            {names.PROXY: "172.18.0.1:20081"},
            "was started before the forward proxy's port changed; the next `up` replaces it",
        ),
        ({names.PROXY: "172.18.0.1:20080"}, ""),
    ],
)
def test_an_instance_that_does_not_know_the_forward_proxy_is_named(records, told, fault):
    rules = [{"name": "index", "destination": "pypi.org"}]
    fields = {"name": "lab", "target": "docker", "egress": "disabled", "outbound_rules": rules}
    State(records).put_record(record(Kind.WORKSPACE, WorkspaceSpec.model_validate(fields)))
    assert faults(records, **told)["iris/green"] == fault
