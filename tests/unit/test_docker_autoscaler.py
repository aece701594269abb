"""The container that keeps rules on a Docker host, while others settle it too."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from docker.errors import APIError
from tests.memory import record

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker.autoscaler import Autoscaler
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.state import State

CPU = {"metric": "CpuUtilizationPercentage", "target": 70}
RULE = AutoscaleRuleSpec.model_validate(
    {"workspace": "lab", "endpoint": "iris", "deployment": "blue", "max_instances": 3}
    | {"targets": [CPU]}
)


def refused(status: int) -> APIError:
    answer = requests.Response()
    answer.status_code = status
    return APIError("refused", answer, f"status {status}")


class Engine:
    """Has one container of a name at most, and starts what is there."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.made = 0
        self.before_start: Callable[[], None] = lambda: None

    def containers(self, all, filters):
        return [*self.there.values()]

    def remove_container(self, id_, force, v):
        if self.there.pop(id_, None) is None:
            raise refused(404)

    def create_volume(self, name, labels):
        pass

    def create_host_config(self, **given):
        return given

    def create_container(self, image, command, name, labels, **given):
        if self.there:
            raise refused(409)
        self.made += 1
        id_ = f"c{self.made}"
        self.there[id_] = {
            "Id": id_, "Image": image, "ImageID": image, "Labels": labels, "State": "created",
        }  # fmt: skip
        return {"Id": id_}

    def start(self, id_):
        self.before_start()
        if id_ not in self.there:
            raise refused(404)
        self.there[id_]["State"] = "running"


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def keeper(engine) -> Autoscaler:
    host: Any = DockerHost(DockerPlace(kind="docker", host="unix:///none.sock"))
    host._api = engine
    records: Any = MemoryRecords("lab")
    with records.edit():
        State(records).put_record(record(Kind.AUTOSCALE_RULE, RULE))
    return Autoscaler(host, records, lambda: "/run/docker.sock")


def test_threads_of_one_up_make_one_container_between_them(engine, keeper):
    first_starts = threading.Event()

    def before_start():
        first_starts.set()
        time.sleep(0.3)  # nothing tells that a thread waits for a lock

    engine.before_start = before_start
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(keeper.settle, "sha256:1")
        first_starts.wait(5)
        second = pool.submit(keeper.settle, "sha256:1")
        assert (first.result(), second.result()) == (None, None)
    assert [one["State"] for one in engine.there.values()] == ["running"]
    assert engine.made == 1


def test_what_a_client_without_a_lock_removes_meanwhile_is_made_again(engine, keeper):
    def removed_once():
        engine.there.clear()
        engine.before_start = lambda: None

    engine.before_start = removed_once
    keeper.settle("sha256:1")
    assert (engine.made, [*engine.there]) == (2, ["c2"])


def test_a_container_that_is_gone_each_time_is_told(engine, keeper):
    engine.before_start = engine.there.clear
    with pytest.raises(TargetError, match="status 404"):
        keeper.settle("sha256:1")
    assert engine.made == 3


def test_one_that_was_made_and_never_started_is_made_again(engine, keeper):
    keeper.settle("sha256:1")
    engine.there["c1"]["State"] = "created"
    keeper.settle("sha256:1")
    assert [one["State"] for one in engine.there.values()] == ["running"]
