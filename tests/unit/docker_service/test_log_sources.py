"""Which logs a workspace on a Docker host has, and what their lines are."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.docker.log_sources import LogSources
from inference_provider.targets.event_tail import Events
from inference_provider.targets.log_tail import Position, Tail, new_lines, read, written
from inference_provider.workspace.statuses import Event

NAME, ID = "inference.lab.iris.blue.5efdeb203621.0", "c0ffee" * 10
LOG = f"logs/iris/blue/{NAME}/c0ffeec0ffee"
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def instance(id_: str = ID) -> dict[str, Any]:
    labels = {"inference.workspace": "lab", "inference.role": "instance"}
    labels |= {"inference.deployment": "iris/blue", "inference.name": NAME}
    labels |= {"inference.made-of": "sha256:1"}
    network = {"NetworkMode": "inference.lab"}
    return {
        "Id": id_,
        "Labels": labels,
        "Image": "sha256:1",
        "ImageID": "sha256:1",
        "HostConfig": network,
    }


class Lab:
    """Containers of a workspace, and the files that their Engine writes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.there = folder, [instance()]
        host: Any = SimpleNamespace(containers=lambda _filters: self.there)
        self.routers: dict[str, str] = {}
        router: Any = SimpleNamespace(access_logs=self.routers.items, new_calls=self.calls)
        self.sources = LogSources(host, "lab", router, tuple, folder)
        self.log = folder / ID / f"{ID}-json.log"
        self.log.parent.mkdir()
        self.known: Position | None = None

    def calls(self, container: str, known: Position | None, most: int, lines: int) -> Tail:
        told = new_lines((self.folder / container,), known, most, lines)
        return read(json.loads(json.dumps(written(told))))  # as an agent answers

    def prints(self, *lines: str) -> None:
        with self.log.open("a") as file:
            for line in lines:
                said = {"log": f"{line}\n", "stream": "stdout", "time": "2026-11-28T12:00:00.5Z"}
                file.write(json.dumps(said) + "\n")

    def rotates(self) -> None:
        older = self.log.with_name(f"{self.log.name}.1")
        if older.exists():
            older.rename(self.log.with_name(f"{self.log.name}.2"))
        self.log.rename(older)

    def rows(self, *, is_taken: bool = True) -> list[dict[str, Any]]:
        """Return what is new of the instance, of which the next time nothing comes again."""
        found = [one for one in self.sources() if one.name == LOG]
        tails = [(one, one.tail(self.known, 500_000, 100)) for one in found]
        if is_taken and tails:
            self.known = tails[0][1].position
        return [one.row(line) for one, tail in tails for line in tail.lines]

    def said(self, *, is_taken: bool = True) -> list[str]:
        return [one["Message"] for one in self.rows(is_taken=is_taken)]


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_a_line_is_told_with_its_time_and_who_has_printed_it(lab):
    lab.prints("ready")
    assert lab.rows() == [
        {
            "Type": "AmlOnlineEndpointConsoleLog",
            "TimeGenerated": "2026-11-28T12:00:00.500+00:00",
            "AzureMLWorkspaceName": "lab",
            "EndpointName": "iris",
            "DeploymentName": "blue",
            "InstanceId": NAME,
            "ContainerName": "inference-server",
            "Message": "ready",
        }
    ]
    assert lab.rows() == []


def test_a_line_that_an_engine_has_cut_short_comes_as_it_is(lab):
    lab.log.write_text('{"log": "rea\n')
    assert lab.rows() == [{"Type": "console", "TimeGenerated": None, "Message": '{"log": "rea'}]


def test_a_container_whose_log_is_not_there_yet_has_no_lines(lab):
    assert lab.said() == []
    lab.prints("a")
    assert lab.said() == ["a"]


def test_no_line_is_missed_or_doubled_when_an_engine_begins_another_file(lab):
    lab.prints("a", "b")
    assert lab.said() == ["a", "b"]
    lab.prints("c")
    lab.rotates()
    lab.prints("d")
    lab.rotates()
    lab.prints("e")
    assert lab.said() == ["c", "d", "e"]
    assert lab.said() == []


def test_the_last_lines_of_a_container_that_is_gone_come_and_wait_for_who_takes_them(lab):
    lab.prints("a")
    assert lab.said() == ["a"]
    lab.prints("b")
    lab.there.clear()
    lab.log.unlink()
    assert lab.said(is_taken=False) == ["b"]
    assert lab.said() == ["b"]
    assert lab.said() == []
    assert [one.name for one in lab.sources()] == ["events"]


def test_calls_are_asked_of_each_router_that_is_there(lab, tmp_path):
    lab.there.clear()
    (tmp_path / "r1").write_bytes(b'{"endpoint": "iris", "path": "/\xff"}\n')
    lab.routers |= {"inference.lab.router": "r1"}
    [calls, _events] = lab.sources()
    tail = calls.tail(None, 500_000, 10)
    assert (calls.name, tail.lines[0].text[-4:]) == ("router/inference.lab.router", b'/\xff"}')
    again = calls.tail(tail.position, 500_000, 10)
    assert (again.lines, again.left, again.start) == ([], 0, tail.position)


def happened(second: float, name: str = "Started", instance: str = "a") -> Event:
    time = NOON + timedelta(seconds=second)
    return Event(time=time, deployment="iris/blue", instance=instance, name=name, message=name)


class Watch:
    """Events of now, by a clock that a test sets."""

    def __init__(self, *events: Event) -> None:
        self.events, self.now_s = [*events], 60.0
        self.known: Position | None = None
        self.begin()

    def begin(self) -> None:
        self.log = Events(
            lambda: self.events, lambda: NOON.timestamp() + self.now_s, lambda: self.now_s
        )

    def said(self, most: int = 100) -> list[str]:
        self.now_s += 10
        tail = self.log.tail(self.known, 1000, most)
        self.known = tail.position
        return [json.loads(line.text)["instance"] for line in tail.lines]


def test_events_come_once_in_their_order_also_those_of_one_moment():
    watch = Watch(happened(2, instance="c"), happened(1, instance="b"), happened(1, instance="a"))
    assert watch.said(most=1) == ["a"]
    watch.begin()  # as a service that is started again does
    assert watch.said(most=1) == ["b"]
    assert watch.said() == ["c"]
    assert watch.said() == []
    watch.events = [happened(2, instance="c"), happened(3, instance="d")]
    assert watch.said() == ["d"]
    assert watch.said() == []


def test_an_event_waits_until_none_before_it_can_come_any_more():
    watch = Watch(happened(66))
    assert watch.said() == []
    assert watch.said() == ["a"]


def test_an_engine_that_does_not_answer_is_an_error_and_no_log_without_lines():
    def silent():
        raise TargetUnreachable("list", "containers", "it is silent", "start it")

    with pytest.raises(TargetUnreachable):
        Events(silent).tail(None, 1000, 10)
