"""Locks on a Docker host that falls silent while they are taken or released."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import requests
from docker.errors import APIError

from inference_provider.errors import Busy, TargetUnreachable
from inference_provider.targets.docker.locks import HostLocks

LOCK = "inference.lab.lock.up"


class Host:
    """Answers as an Engine that has containers of unique names."""

    def __init__(self) -> None:
        self.there: dict[str, dict] = {}
        self.silent_after = ""
        self.numbers = iter("123456")

    @contextmanager
    def asked(self, operation, resource):
        yield SimpleNamespace(create_container=self.create)

    def create(self, image, command, name, labels):
        if name in self.there:
            answer = requests.Response()
            answer.status_code = 409
            raise APIError("taken", answer)
        self.there[name] = {"Id": next(self.numbers), "Config": {"Labels": labels}}
        self._answer("create")
        return self.there[name]

    def container(self, name):
        return self.there.get(name)

    def containers(self, filters):
        return [{"Id": one["Id"], **one["Config"]} for one in self.there.values()]

    def remove(self, container):
        if self.silent_after == "remove":
            self._answer("remove")
        self.there = {name: one for name, one in self.there.items() if one["Id"] != container}

    def _answer(self, to):
        if self.silent_after == to:
            self.silent_after = ""
            raise TargetUnreachable("ask", "the host", "timed out", "")


def locks(host):
    return HostLocks(host, "lab")


def left_by(call):
    """Return a host that fell silent in the middle of a call."""
    host = Host()
    host.silent_after = call
    with pytest.raises(TargetUnreachable), locks(host).lock("up", 0):
        pass
    assert [*host.there] == [LOCK]
    return host


@pytest.mark.parametrize("call", ["create", "remove"])
def test_a_lock_that_a_silent_host_kept_is_free_for_the_same_process(call):
    host = left_by(call)
    with locks(host).lock("up", 0):
        assert [*host.there] == [LOCK]
    assert host.there == {}


def test_a_lock_that_a_silent_host_kept_is_swept():
    host = left_by("remove")
    locks(host).sweep()
    assert host.there == {}


def test_a_lock_that_this_process_holds_is_not_free():
    host = Host()
    with locks(host).lock("up", 0):
        with pytest.raises(Busy), locks(host).lock("up", 0):
            pass
        locks(host).sweep()
        assert [*host.there] == [LOCK]
