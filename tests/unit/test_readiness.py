"""What a router finds of readiness routes -> events."""

import json
from pathlib import Path
from typing import Any

import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.envoy.router_admin import Answer
from inference_provider.targets.local.prober import Documents
from inference_provider.targets.local.readiness import Readiness

FAILS = {"failed_active_health_check": True}
SAID = "Readiness probe failed: no connection, or a status other than 200 to 399"


class Router:
    """A router's admin page as a test sets it."""

    def __init__(self, folder: Path) -> None:
        self.health: dict[str, dict] = {"iris.blue.ab.0": {}, "iris.blue.ab.1": {}}
        self.pages = 0
        self.told: list[tuple[str, str, str]] = []
        self.stopping: set[str] = set()
        self.unwritten = 0
        self.answers = True
        (folder / "instances").mkdir()
        there = [{"name": name, "port": port} for port, name in enumerate(self.health, 20000)]
        (folder / "instances" / "iris%2Fblue.json").write_text(json.dumps(there))
        documents, admin = Documents(folder), self.as_admin()
        self.readiness = Readiness(admin, documents, self.tell, self.stopping.__contains__)

    def as_admin(self) -> Any:
        return self

    def tell(self, *event: Any) -> None:
        if self.unwritten:
            self.unwritten -= 1
            raise OSError("no room")
        self.told.append(event)

    def stats(self, _pattern: str, _kind: str) -> dict[str, int]:
        if not self.answers:
            raise TargetUnreachable("ask", "the router", "it does not answer")
        well = sum(not one for one in self.health.values())
        cluster = "cluster.iris/blue.membership"
        return {f"{cluster}_healthy": well, f"{cluster}_total": len(self.health)}

    def get(self, path: str) -> Answer:
        assert path == "/clusters?format=json"
        self.pages += 1
        first, second = self.health.values()
        hosts = [
            {"address": {"pipe": {"path": "/s/sockets/20000"}}, "health_status": first},
            {
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 20001}},
                "health_status": second,
            },
        ]
        names = "iris/blue", "iris/blue/mirror", "egress:pypi.org"
        found = [{"name": name, "host_statuses": hosts} for name in names]
        return Answer(200, json.dumps({"cluster_statuses": found}))

    def look(self) -> list[tuple[str, str, str]]:
        self.readiness.look()
        told, self.told = self.told, []
        return told


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return Router(tmp_path)


def test_one_that_fails_while_another_recovers_is_told_though_as_many_are_well(router: Router):
    router.health["iris.blue.ab.0"] = FAILS
    assert [name for name, *_ in router.look()] == ["iris.blue.ab.0"]
    router.health = {"iris.blue.ab.0": {}, "iris.blue.ab.1": FAILS}
    assert [name for name, *_ in router.look()] == ["iris.blue.ab.1"]


def test_each_that_fails_is_told_once_until_it_is_well_again(router: Router):
    assert router.look() == []
    router.health["iris.blue.ab.0"] = FAILS
    said = f"{SAID}; it gets no requests until it answers"
    assert router.look() == [("iris.blue.ab.0", "ReadinessProbeFailed", said)]
    assert router.look() == []
    late = {**FAILS, "active_hc_timeout": True}
    router.health["iris.blue.ab.1"] = late
    said = "Readiness probe failed: no answer in time; it gets no requests until it answers"
    assert router.look() == [("iris.blue.ab.1", "ReadinessProbeFailed", said)]
    router.health["iris.blue.ab.1"] = {}
    assert router.look() == []
    router.health["iris.blue.ab.1"] = late
    assert len(router.look()) == 1


def test_a_router_is_asked_for_all_only_when_something_has_changed(router: Router):
    for _ in range(5):
        router.look()
    assert router.pages == 1


def test_one_that_has_not_been_asked_yet_is_not_failing_and_is_looked_at_again(router: Router):
    router.health["iris.blue.ab.0"] = {**FAILS, "pending_active_hc": True}
    assert router.look() == []
    router.health["iris.blue.ab.0"] = FAILS
    assert len(router.look()) == 1


def test_who_was_told_to_stop_is_not_failing(router: Router):
    router.stopping.add("iris.blue.ab.0")
    router.health["iris.blue.ab.0"] = FAILS
    assert router.look() == []


def test_what_could_not_be_written_is_told_at_the_next_look(router: Router):
    router.health["iris.blue.ab.0"] = FAILS
    router.unwritten = 1
    with pytest.raises(OSError, match="no room"):
        router.look()
    assert len(router.look()) == 1


def test_a_router_that_does_not_answer_says_nothing(router: Router):
    router.answers = False
    with pytest.raises(TargetUnreachable):
        router.look()
    assert router.told == []
