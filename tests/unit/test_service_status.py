"""What a router's status says of the workspace service."""

import json
import os
import signal
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.ports import own_port

from inference_provider.alerts import Standing
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.targets.heartbeat import Beat, Heart, Look, beat_file, last_beat
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.records import FileRecords
from inference_provider.targets.local.service_process import SERVICE
from inference_provider.targets.local.service_status import alert_states, said_of_service
from inference_provider.targets.local.service_ward import ServiceWard
from inference_provider.targets.local.supervisor import ProcessState
from inference_provider.targets.local.web_process import said_of_web
from inference_provider.targets.private_file import write_private
from inference_provider.targets.service_needs import needs_of
from inference_provider.workspace.alert_states import AlertState, notes_of, written
from inference_provider.workspace.state import State


def said(folder: Path = Path("/nowhere"), **metrics: Any) -> Any:
    """Return it of a service whose process is this one."""
    runs = ProcessState(name=SERVICE, state="RUNNING", pid=os.getpid())
    supervisor: Any = SimpleNamespace(processes=lambda: {SERVICE: runs})
    folders: Any = SimpleNamespace(log_path=lambda program, _name: program, folder=folder)
    declared = {"metrics": metrics}
    state: Any = SimpleNamespace(
        rules=dict,
        of_workspace=declared.get,
        section=lambda *_: {},
        recorded=lambda _: set(),
    )
    found = said_of_service(supervisor, folders, state)
    return found.get("beside") or found["missing"]


def test_a_service_that_does_not_serve_its_page_yet_is_told_too():
    port = own_port()
    assert said(port=port) == f"metrics start on 127.0.0.1:{port}"
    with socket.create_server(("127.0.0.1", port)):
        assert said(port=port) == f"metrics on 127.0.0.1:{port}"


def of_web(**service: Any) -> str:
    """Return what is said of a workspace service that has ended."""
    supervisor: Any = SimpleNamespace(process=lambda _name: None)
    folders: Any = SimpleNamespace(log_path=lambda program, _name: program)
    state: Any = SimpleNamespace(of_workspace={"service": service}.get)
    found: str = said_of_web(supervisor, folders, state, {})["missing"]
    return found


def test_why_the_workspace_service_cannot_listen_is_told():
    port = own_port()
    place = f"the service on 127.0.0.1:{port} does not run"
    assert of_web(port=port) == f"{place}: its log is web"
    with socket.create_server(("127.0.0.1", port)):
        assert of_web(port=port) == (
            f"{place}: the port is taken by another process; end that, or use another service.port"
        )
    assert of_web(port=port, bind_address="192.0.2.1") == (
        f"the service on 192.0.2.1:{port} does not run: it cannot be listened on: Cannot assign"
        " requested address; use another service.port, or an address of this machine in"
        " service.bind_address"
    )


def test_a_service_that_serves_no_page_is_told():
    assert said(otlp_endpoint="http://127.0.0.1:4318") == "workspace service runs"


def test_a_service_that_hangs_is_told_with_when_it_last_looked(tmp_path):
    url = "http://127.0.0.1:4318"
    wrote(tmp_path, os.getpid(), time.monotonic() - 31)
    assert said(tmp_path, otlp_endpoint=url) == (
        "the workspace service hangs: it has not looked since 2026-11-27T12:00:00Z; its log is"
        " service"
    )
    for pid, at_s in (
        (os.getpid(), time.monotonic() - 20),
        (os.getpid() + 1, 0),  # one that was there before
        (os.getpid(), time.monotonic() + 10_000),  # before the machine was started
    ):
        wrote(tmp_path, pid, at_s)
        assert said(tmp_path, otlp_endpoint=url) == "workspace service runs"


def test_a_loop_that_hangs_is_named_and_what_a_look_fails_by_is_told(tmp_path):
    url, now_s = "http://127.0.0.1:4318", time.monotonic()
    noon = "2026-11-27T12:00:00Z"
    wrote(tmp_path, os.getpid(), now_s, metrics=Look(now_s - 31, noon), alerts=Look(now_s, noon))
    assert said(tmp_path, otlp_endpoint=url) == (
        "the workspace service hangs: it has not looked at metrics since 2026-11-27T12:00:00Z;"
        " its log is service"
    )
    wrote(tmp_path, os.getpid(), now_s, rollouts=Look(now_s, noon, "RuntimeError: boom"))
    assert said(tmp_path, otlp_endpoint=url) == (
        "workspace service runs; its look at rollouts fails: RuntimeError: boom"
    )


def wrote(folder: Path, pid: int, at_s: float, **loops: Look) -> None:
    beat_file(folder).parent.mkdir(exist_ok=True)
    beat = Beat(pid, at_s, "2026-11-27T12:00:00Z", loops)
    beat_file(folder).write_text(json.dumps(beat._asdict()))


class Warded:
    """A service that hangs since a while, and who looks after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: list[tuple[str, int, int]] = []
        self.told: list[tuple[str, str, str]] = []
        self.is_ours = True
        self.ward = ServiceWard(folder, lambda *event: self.told.append(event), self.end)

    def end(self, *process: Any) -> bool:
        self.ended.append(process)
        return self.is_ours

    def look(self, times: int) -> int:
        for _ in range(times):
            self.ward.look()
        return len(self.ended)


def test_a_service_that_hangs_for_long_is_ended_once_it_was_seen_three_times(tmp_path):
    warded = Warded(tmp_path)
    wrote(tmp_path, 77, time.monotonic() - 121)
    assert warded.look(2) == 0
    assert warded.look(1) == 1
    assert warded.ended == [("service", 77, signal.SIGKILL)]
    assert warded.told == [
        (
            "service",
            "Killing",
            "The workspace service has not looked since 2026-11-27T12:00:00Z, will be restarted",
        )
    ]


def test_a_service_that_looks_meanwhile_is_not_ended(tmp_path):
    warded = Warded(tmp_path)
    assert warded.look(9) == 0  # nothing is known of one
    wrote(tmp_path, 77, time.monotonic() - 121)
    warded.look(2)
    wrote(tmp_path, 77, time.monotonic() - 119)
    assert warded.look(5) == 0
    wrote(tmp_path, 77, time.monotonic() - 130)
    assert warded.look(2) == 0


def test_a_pid_that_is_anothers_is_not_told_as_ended(tmp_path):
    warded = Warded(tmp_path)
    warded.is_ours = False
    wrote(tmp_path, 77, time.monotonic() - 121)
    assert warded.look(3) == 1
    assert warded.told == []


def test_a_heart_writes_each_five_seconds_who_it_is(tmp_path):
    file = tmp_path / "service" / "heartbeat.json"
    heart = Heart(file)
    heart.beat()
    found = last_beat(file)
    assert found and found.pid == os.getpid() and found.hanging(60) is None
    file.write_text("{")
    heart.beat()  # at once after the other
    assert last_beat(file) is None
    full = Heart(tmp_path / "service" / "heartbeat.json" / "no" / "folder")
    full.beat()


def test_a_heart_on_a_full_disk_writes_over_what_it_has_written(tmp_path):
    file = tmp_path / "service" / "heartbeat.json"
    Heart(file).beat()
    wrote_before = last_beat(file)
    (tmp_path / "service" / ".heartbeat.json").mkdir()  # no other file can take its place
    Heart(file).beat()
    found = last_beat(file)
    assert found and wrote_before and found.at_s > wrote_before.at_s
    file.write_text('{"pid": 7, "at_s": 1.5, "time": ""}')  # an older release left no blanks in it
    Heart(file).beat()
    found = last_beat(file)
    assert found and found.pid == os.getpid()


def test_alerts_that_nobody_watches_are_told(tmp_path):
    folders = Folders(tmp_path, "lab")
    state = State(FileRecords(folders))
    iris = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris")
    fields = {"name": "iris", "alerts": {"errors": {"metric": "ErrorRate", "threshold": 5}}}
    now = datetime(2026, 11, 27, tzinfo=UTC)
    actor = Actor(user="ann")
    state.put_record(Record(id=iris, owner="demo", properties=fields, actor=actor, time=now))
    supervisor: Any = SimpleNamespace(processes=dict)
    assert needs_of(state)
    assert said_of_service(supervisor, folders, state) == {
        "missing": "the workspace service does not run: nobody watches alerts; its log is "
        f"{folders.log_path(SERVICE, SERVICE)}"
    }


def test_alerts_that_have_fired_are_told_by_endpoint(tmp_path):
    folders = Folders(tmp_path, "lab")
    standing = Standing(condition="Fired", since=datetime(2026, 11, 27, tzinfo=UTC), why="so")
    states = {"iris": {"errors": AlertState(standing=standing)}, "rose": {"errors": AlertState()}}
    write_private(folders.alerts, written(states))
    said = ("alert 'errors' fired at 2026-11-27T00:00:00Z: so",)
    assert notes_of(alert_states(folders), datetime.now(UTC)) == {"iris": said}
    folders.alerts.write_text("{")
    assert alert_states(folders) == {}
