"""Locks that the container with the autoscaler of a workspace on a Docker host holds."""

import socket
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import requests
from docker.errors import APIError

from inference_provider.errors import Busy, TargetError
from inference_provider.targets.docker import names
from inference_provider.targets.docker.locks import HostLocks

BEFORE, AFTER = "2026-11-27T12:00:05.123456789Z", "2026-11-27T11:00:00Z"
"""The host's clock was ahead when the first of both runs was started."""
LOCK = "inference.lab.lock.service"


class Host:
    """Answers as an Engine with locks and containers."""

    def __init__(self) -> None:
        self.locks: dict[str, dict] = {}
        self.own: dict[str, dict] = {}

    @contextmanager
    def asked(self, operation, resource):
        yield SimpleNamespace(create_container=self.create)

    def create(self, image, command, name, labels):
        if name in self.locks:
            answer = requests.Response()
            answer.status_code = 409
            raise APIError("taken", answer)
        self.locks[name] = {"Id": "l1", "Config": {"Labels": labels}}
        return self.locks[name]

    def run(self, id_, started, **state):
        """Have a container there, as one that runs unless `state` says otherwise."""
        labels = names.labels("lab", names.AUTOSCALER, **{names.MADE_OF: "sha256:1"})
        self.own[id_] = {
            "Id": id_,
            "Image": "sha256:1",
            "ImageID": "sha256:1",
            "Labels": labels,
            "State": {"Running": True, "Restarting": False, "StartedAt": started, **state},
        }

    def container(self, name):
        return self.locks.get(name) or self.own.get(name)

    def containers(self, filters):
        if filters["label"] == f"{names.ROLE}={names.LOCK}":
            return [{"Id": one["Id"], **one["Config"]} for one in self.locks.values()]
        return [*self.own.values()]

    def remove(self, container):
        self.locks = {name: one for name, one in self.locks.items() if one["Id"] != container}


def locks(host):
    return HostLocks(host, "lab")


@pytest.fixture
def host(monkeypatch):
    """Return a host on which the autoscaler, container 'c1', holds a lock."""
    made = Host()
    made.run("c1", BEFORE)
    monkeypatch.setenv(names.ROLE_VARIABLE, names.AUTOSCALER)
    assert locks(made)._made(LOCK, {})
    monkeypatch.delenv(names.ROLE_VARIABLE)
    return made


def is_free(host):
    locks(host).sweep()
    return host.locks == {}


def test_a_lock_of_an_autoscaler_that_runs_is_not_free_whatever_the_clock_says(host):
    host.locks[LOCK]["Config"]["Labels"][names.SINCE] = "2001-01-01T00:00:00+00:00"
    assert not is_free(host)
    with pytest.raises(Busy), locks(host).lock("service", 0):
        pass


@pytest.mark.parametrize(
    "now",
    [
        pytest.param({"started": AFTER}, id="it was started again, by a clock that was set back"),
        pytest.param({"started": BEFORE, "Running": False}, id="it was stopped"),
        pytest.param({"started": BEFORE, "Restarting": True}, id="it waits to be started again"),
    ],
)
def test_a_lock_of_a_run_that_has_ended_is_free(host, now):
    host.run("c1", **now)
    assert is_free(host)


def test_a_lock_of_an_autoscaler_that_was_removed_is_free(host):
    host.own.clear()
    assert is_free(host)


def test_what_a_person_made_of_an_autoscaler_is_none(monkeypatch):
    host = Host()
    host.run("c1", BEFORE)
    host.run("c2", AFTER)
    host.own["c2"]["ImageID"] = "sha256:2"  # an image of the first, with its labels
    monkeypatch.setenv(names.ROLE_VARIABLE, names.AUTOSCALER)
    assert locks(host)._made(LOCK, {})
    assert host.locks[LOCK]["Config"]["Labels"][names.RUN] == f"c1 {BEFORE}"


@pytest.mark.parametrize("name", ["c3", "5efdeb203621"])
def test_an_autoscaler_among_two_knows_its_own_run_by_its_machines_name(monkeypatch, name):
    host = Host()
    host.run("c1", BEFORE)
    host.run("c3", AFTER)
    host.own["c3"]["Config"] = {"Hostname": "5efdeb203621"}
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    monkeypatch.setenv(names.ROLE_VARIABLE, names.AUTOSCALER)
    assert locks(host)._made(LOCK, {})
    assert host.locks[LOCK]["Config"]["Labels"][names.RUN] == f"c3 {AFTER}"


def test_an_autoscaler_that_is_not_listed_takes_no_lock(monkeypatch):
    monkeypatch.setenv(names.ROLE_VARIABLE, names.AUTOSCALER)
    with pytest.raises(TargetError, match="0 containers run as the autoscaler"):
        locks(Host())._made(LOCK, {})


def test_a_shell_with_another_role_takes_locks_as_anybody_does(monkeypatch):
    host = Host()
    monkeypatch.setenv(names.ROLE_VARIABLE, "worker")
    assert locks(host)._made(LOCK, {})
    assert names.RUN not in host.locks[LOCK]["Config"]["Labels"]
    assert not is_free(host)
