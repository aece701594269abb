"""An Engine in memory, and the container with a workspace's service on its host."""

import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import requests
from docker.errors import APIError, NotFound

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.spec import AutoscaleRuleSpec, EndpointSpec, WorkspaceSpec
from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker import names
from inference_provider.targets.docker.autoscaler import Autoscaler
from inference_provider.targets.docker.containers import RESTART
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.listens import Listens
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.kept_shift import Shift
from inference_provider.workspace.shifts import put_shift
from inference_provider.workspace.state import State
from tests.memory import ANN, record

CPU = {"metric": "CpuUtilizationPercentage", "target": 70}
RULE = AutoscaleRuleSpec.model_validate(
    {"workspace": "lab", "endpoint": "iris", "deployment": "blue", "max_instances": 3}
    | {"targets": [CPU]}
)


SOCKET, GONE = "/run/docker.sock", "/run/gone.sock"
STARTED = "2026-11-28T10:00:01.123456789Z"
LISTENS = Listens(host="127.0.0.1", port=20000, metrics_port=20001, image="sha256:1")


def refused(status: int) -> APIError:
    answer = requests.Response()
    answer.status_code = status
    kind = NotFound if status == 404 else APIError  # as the library says it
    return kind("refused", answer, f"status {status}")


class Engine:
    """Has one container of a name at most, and starts what is there."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.made = 0
        self.is_name_taken = False
        """Whether somebody has a container of its name."""
        self.before_start: Callable[[], None] = lambda: None
        self.files: dict[str, bytes] = {}
        self.unreadable = False
        """What a container has written down."""
        self.written = "2026-11-28T10:00:02.5Z"
        """When."""

    def containers(self, all, filters):
        asked = dict(one.split("=", 1) for one in filters["label"])
        return [one for one in self.there.values() if asked.items() <= one["Labels"].items()]

    def remove_container(self, id_, force, v):
        if self.there.pop(id_, None) is None:
            raise refused(404)

    def create_volume(self, name, labels):
        pass

    def create_host_config(self, **given):
        return given

    def create_container(self, image, command, name, labels, **given):
        if self.is_name_taken or name in self._named():
            raise refused(409)
        if given["host_config"]["mounts"][0]["Source"] == GONE:
            raise refused(400)
        self.made += 1
        id_ = f"c{self.made}"
        self.there[id_] = {
            "Id": id_, "Image": image, "ImageID": image, "Labels": labels, "State": "created",
            "HostConfig": {"NetworkMode": given["host_config"]["network_mode"]},
        }  # fmt: skip
        return {"Id": id_}

    def _named(self) -> list[str]:
        return [one["Labels"][names.NAME] for one in self.there.values()]

    def inspect_container(self, id_):
        if id_ not in self.there:
            raise refused(404)
        there = self.there[id_]
        state = {"Running": there["State"] == "running", "Paused": False, "StartedAt": STARTED}
        network = there["HostConfig"]["NetworkMode"]
        return {
            "Id": id_, "State": state, "RestartCount": 0, "Config": {"Labels": there["Labels"]},
            "Name": f"/{there['Labels'][names.NAME]}",
            "HostConfig": {**there["HostConfig"], "RestartPolicy": {"Name": RESTART}},
            "NetworkSettings": {"Networks": {network: {}}},
        }  # fmt: skip

    def logs(self, id_, **_given):
        return b""

    def stop(self, id_, timeout):
        self.kill(id_)

    def kill(self, id_):
        self.there[id_]["State"] = "exited"

    def put_archive(self, id_, path, archive):
        with tarfile.open(fileobj=io.BytesIO(archive)) as found:
            for entry in found:
                self.files[entry.name] = found.extractfile(entry).read()
        return True

    def get_archive(self, id_, path):
        if self.unreadable:
            raise refused(500)
        name = path.rpartition("/")[2]
        found = [one for one in self.files if one == name or one.startswith(f"{name}/")]
        if not found:
            raise refused(404)
        archived = io.BytesIO()
        with tarfile.open(fileobj=archived, mode="w") as archive:
            for one in found:
                entry = tarfile.TarInfo(one)
                entry.size = len(self.files[one])
                archive.addfile(entry, io.BytesIO(self.files[one]))
        return [archived.getvalue()], {}

    def start(self, id_):
        self.before_start()
        if id_ not in self.there:
            raise refused(404)
        self.there[id_]["State"] = "running"


class Host(DockerHost):
    """Has a router whose agent does what it is asked."""

    def __init__(self, engine) -> None:
        super().__init__(DockerPlace(kind="docker", host="unix:///none.sock"))
        self._api = self._engine = engine
        self._files = engine.files
        self.asked_router: list[str] = []

    def stat(self, container, path):
        there = path.rpartition("/")[2] in self._files
        return {"mtime": self._engine.written} if there else None

    def ask(self, command, line, limit_s, *, again=False):
        self.asked_router.append(json.loads(line)["ask"])
        return b'{"answer": true}\n'


class Keeper(Autoscaler):
    """Keeps the rule of a workspace, for a test to change its socket and what it is needed for."""

    def __init__(self, host) -> None:
        self.socket: str | TargetError | None = SOCKET
        records: Any = MemoryRecords("lab")
        with records.edit():
            State(records).put_record(record(Kind.AUTOSCALE_RULE, RULE))
        super().__init__(host, records, self._read)
        self.records = records

    def needs_no_rule(self) -> None:
        with self.records.edit():
            State(self.records).drop_record(record(Kind.AUTOSCALE_RULE, RULE).id)

    def needs_metrics(self, **declared) -> None:
        space = WorkspaceSpec(name="lab", target="docker", metrics=declared or None)
        with self.records.edit():
            State(self.records).put_record(record(Kind.WORKSPACE, space))

    def needs_alerts(self, **rule) -> None:
        alerts = {"errors": {"metric": "ErrorRate", "threshold": 5, **rule}} if rule else {}
        webhooks = {"ops": "https://hooks.example.org/T0"} if "webhook" in rule else {}
        iris = EndpointSpec(workspace="lab", name="iris", alerts=alerts, alert_webhooks=webhooks)
        with self.records.edit():
            State(self.records).put_record(record(Kind.ENDPOINT, iris))

    def needs_to_move(self) -> None:
        now = datetime(2026, 11, 27, tzinfo=UTC)
        times, steps = {"since": now, "began": now}, [{"share": 10, "bake_minutes": 10}]
        shift = Shift(origin={"a": 100}, goal={"b": 100}, steps=steps, actor=ANN, **times)
        with self.records.edit():
            put_shift(self.records, "iris", shift)

    def _read(self) -> str | None:
        if isinstance(self.socket, TargetError):
            raise self.socket
        return self.socket


def missing(keeper) -> str:
    return keeper.told().get("missing", "")
