"""Objects kept in memory as an API server tells of them, also when it is away for a while."""

import json
import threading
import time

import httpx
import pytest
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import SECRET, name_of
from inference_provider.targets.kubernetes.watched import Watched

PATH = "/api/v1/namespaces/lab/secrets"


def secret(name, text="", role="record"):
    about = {"name": name, "namespace": "lab", "labels": {"pulumi-inference/role": role}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": about, "data": {"text": text}}


def until(question, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while not question():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


class Lab:
    """An API server, and what follows its Secrets."""

    def __init__(self):
        self.api = ClusterApi()
        self.api.watch_s = 3600
        self.told = threading.Event()
        self.faults = []
        client = client_of(self.api)
        self.client = Client(client.access, httpx.MockTransport(self.api.answer), attempts=1)
        chosen = "pulumi-inference/role=record"
        self.watched = Watched(
            self.client, SECRET, "lab", chosen, changed=self.told.set, failed=self.faults.append
        )

    def put(self, name, text="", **given):
        return self.api.put(f"{PATH}/{name}", secret(name, text, **given))

    def follow(self):
        threading.Thread(target=self.watched.run, daemon=True).start()
        until(lambda: self.watched.known)

    def there(self):
        return {name_of(one): one["data"]["text"] for one in self.watched.objects()}

    def lists(self):
        return sum(one == f"GET {PATH}" for one in self.api.requests)


@pytest.fixture
def lab():
    return Lab()


def test_what_is_there_and_what_changes_is_known(lab):
    lab.put("a", "1")
    lab.put("other", role="lock")
    lab.follow()
    assert lab.there() == {"a": "1"}
    lab.put("a", "2")
    lab.put("b", "3")
    until(lambda: lab.there() == {"a": "2", "b": "3"})
    lab.api.drop(f"{PATH}/a")
    until(lambda: lab.there() == {"b": "3"})
    assert lab.lists() == 2  # one list, one watch


def test_whoever_waits_is_told_of_a_change_and_of_no_list_that_says_the_same(lab):
    lab.put("a")
    lab.follow()
    lab.told.clear()
    lab.watched.refresh()
    assert not lab.told.is_set()
    lab.put("b")
    assert lab.told.wait(5)


def gone(asked: httpx.Request) -> httpx.Response | None:
    if not asked.url.params.get("watch"):
        return None
    error = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
    return httpx.Response(200, text=json.dumps(error))


def forbidden(_asked: httpx.Request) -> httpx.Response:
    said = 'User "ann" cannot list resource "secrets" in API group "" in the namespace "lab"'
    return failure(403, f"secrets is forbidden: {said}")


def away(_asked: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize("refused", [gone, forbidden, away])
def test_after_any_refusal_everything_is_listed_again(lab, refused):
    lab.put("a")
    lab.api.watch_s = 0.05
    lab.follow()
    lab.api.refuse = refused
    time.sleep(0.2)
    lab.api.drop(f"{PATH}/a")
    lab.put("b")
    until(lambda: refused is gone or lab.faults)
    lab.api.refuse = lambda _asked: None
    until(lambda: list(lab.there()) == ["b"])


def test_a_refusal_is_reported_in_plain_words(lab):
    lab.api.refuse = forbidden
    threading.Thread(target=lab.watched.run, daemon=True).start()
    until(lambda: lab.faults)
    assert str(lab.faults[0]) == (
        "list secrets in namespace 'lab' on cluster 'lab': 'ann' may not list secrets; "
        "ask for a Role with verb list on secrets in namespace 'lab'"
    )


def test_a_connection_that_breaks_loses_no_event(lab):
    lab.follow()

    def broken():
        lab.api.break_watch = lambda: None
        raise httpx.RemoteProtocolError("peer closed the connection")

    lab.api.break_watch = broken
    lab.put("a")
    until(lambda: list(lab.there()) == ["a"])


def test_nothing_is_followed_once_the_client_is_closed(lab):
    lab.api.watch_s = 0.05
    thread = threading.Thread(target=lab.watched.run)
    thread.start()
    until(lambda: lab.watched.known)
    lab.client.close()
    thread.join(5)
    assert not thread.is_alive()


def test_what_an_older_store_no_longer_has_goes_when_it_is_listed(lab):
    lab.put("a", "1")
    for number in range(5):
        lab.put("b", str(number))
    lab.follow()
    lab.api.objects = {f"{PATH}/a": {**secret("a", "0"), "metadata": secret("a")["metadata"]}}
    lab.api.objects[f"{PATH}/a"]["metadata"]["resourceVersion"] = "1"
    lab.api._version = 1
    lab.watched.refresh()
    assert lab.there() == {"a": "0"}


def test_an_event_that_overtakes_a_list_is_kept(lab):
    lab.put("a")
    lab.follow()
    answer = lab.api.answer

    def slow(asked):
        found = answer(asked)
        if not asked.url.params.get("watch"):
            lab.put("b")
            until(lambda: "b" in lab.there())
        return found

    slowly = Client(lab.client.access, httpx.MockTransport(slow), attempts=1)
    lab.watched._client = slowly
    lab.watched.refresh()
    assert sorted(lab.there()) == ["a", "b"]
