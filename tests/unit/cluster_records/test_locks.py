"""Locks of a workspace in a cluster: Leases, renewed, left and taken over."""

import threading
import time
from email.utils import formatdate

import httpx
import pytest
from tests.cluster_api import client_of, failure
from tests.unit.cluster_records.clients import ANN, LEASES, another, unrenewed, until

from inference_provider.errors import (
    Busy,
)
from inference_provider.targets.kubernetes import locks
from inference_provider.targets.kubernetes.records import ClusterRecords


def test_who_comes_while_the_namespace_is_being_deleted_holds_the_next_one(api, records):
    ends = "unable to create new content in namespace lab because it is being terminated"
    api.refuse = lambda _asked: failure(403, f'leases "inference.up" is forbidden: {ends}')
    with records.hold(ANN):
        api.refuse = lambda _asked: None
        records.hold_made()
        with pytest.raises(Busy, match="ann"), another(api).hold(ANN):
            pass


def test_who_is_kept_out_learns_who_holds_the_workspace(api, records):
    with (
        records.hold(ANN),
        pytest.raises(Busy, match=r"ann \(inferctl up\) has been changing it since 20") as busy,
        another(api).hold(ANN),
    ):
        pass
    assert busy.value.remedy == (
        "wait for that to end and run this again; the lock of a process that was killed ends"
        " after about 21 s"
    )
    with another(api).hold(ANN):
        pass


def test_a_lock_that_nobody_renews_is_taken_over(api, records, monkeypatch):
    monkeypatch.setattr(locks, "_RENEW_S", 1000.0)
    with records.lock("edit"):
        with pytest.raises(Busy), another(api).lock("edit", wait_s=0):
            pass
        api.ahead_s = 20.0  # more than the 15 seconds of a lease
        monkeypatch.setattr(locks, "SURE_S", 0.1)
        with another(api).lock("edit", wait_s=0):
            pass


def test_a_lock_that_was_left_long_ago_is_taken_over_at_once(api, records, monkeypatch):
    monkeypatch.setattr(locks, "_RENEW_S", 1000.0)
    monkeypatch.setattr(locks, "SURE_S", 30.0)
    with records.lock("edit"):
        api.ahead_s = 100.0
        began_s = time.monotonic()
        with another(api).lock("edit", wait_s=0):
            assert time.monotonic() - began_s < 15


def test_who_holds_the_workspace_removes_locks_that_were_left_long_ago(api, records, monkeypatch):
    monkeypatch.setattr(locks, "_RENEW_S", 1000.0)
    with records.lock("first"), records.lock("edit"):
        api.ahead_s = 50.0  # ended, but not for a minute
        with another(api).hold(ANN):
            pass
        assert f"{LEASES}/inference.first" in api.objects
        api.ahead_s = 100.0
        with another(api).hold(ANN):
            assert [path for path in api.objects if path.startswith(LEASES)] == [
                f"{LEASES}/inference.up"
            ]


def test_a_lock_that_is_renewed_is_held_whatever_the_clocks_of_api_servers_say(
    api, records, monkeypatch
):
    monkeypatch.setattr(locks, "_RENEW_S", 0.05)
    monkeypatch.setattr(locks, "SURE_S", 0.5)
    answer = api.answer

    def fast(asked: httpx.Request) -> httpx.Response:
        """Answer as an API server whose clock is 40 s ahead of that which notes renewals."""
        found = answer(asked)
        found.headers["date"] = formatdate(time.time() + 40, usegmt=True)
        return found

    client = client_of(api)
    client._http._transport = httpx.MockTransport(fast)
    with records.lock("edit"):
        with pytest.raises(Busy), ClusterRecords(client, "lab", "demo").lock("edit", wait_s=0):
            pass
        assert any(path.startswith(LEASES) for path in api.objects)


def test_a_renewed_lock_is_not_taken_over(api, records, monkeypatch):
    monkeypatch.setattr(locks, "_RENEW_S", 0.05)
    with records.lock("edit"):
        api.ahead_s = 20.0
        renewed = threading.Event()
        api.refuse = lambda asked: renewed.set() if asked.method == "PATCH" else None
        assert renewed.wait(5)
        api.refuse = lambda _asked: None
        with pytest.raises(Busy), another(api).lock("edit", wait_s=0):
            pass


def test_a_lock_whose_renewal_hangs_counts_as_lost(api, records, monkeypatch):
    monkeypatch.setattr(locks, "_RENEW_S", 1000.0)
    monkeypatch.setattr(locks, "LEASE_S", 0.05)
    api.refuse = unrenewed
    with pytest.raises(Busy, match="another one edits it by now"), records.edit():
        records.put("keys", "iris", "late")
        time.sleep(0.1)
    assert another(api).read("keys", "iris") is None


def test_a_late_renewal_that_works_shows_that_the_lock_is_still_held(api, records, monkeypatch):
    monkeypatch.setattr(locks, "_RENEW_S", 1000.0)
    monkeypatch.setattr(locks, "LEASE_S", 0.05)
    with records.edit():
        records.put("keys", "iris", "late")
        time.sleep(0.1)
        monkeypatch.setattr(locks, "LEASE_S", 15)
    assert another(api).read("keys", "iris") == b"late"


def test_a_renewal_waits_a_few_seconds_and_is_sent_twice_at_most(api, records, monkeypatch):
    monkeypatch.setattr(locks, "_RENEW_S", 0.05)
    asked: list[httpx.Request] = []

    def silent(one: httpx.Request) -> None:
        if one.method == "PATCH":
            asked.append(one)
        unrenewed(one)

    api.refuse = silent
    with records.lock("edit"):
        until(lambda: len(asked) >= 2)
        sent = len(asked)
    assert asked[0].extensions["timeout"]["read"] == 5.0
    assert sent == 2


def test_a_lock_that_another_thread_gives_back_meanwhile_is_not_lost(api, records, monkeypatch):
    monkeypatch.setattr(locks, "_RENEW_S", 1000.0)
    monkeypatch.setattr(locks, "LEASE_S", 0.01)
    taken, done = threading.Event(), threading.Event()

    def other() -> None:
        with records.lock("deployment.iris.blue"):
            taken.set()
            done.wait(5)

    def given_back(asked: httpx.Request) -> None:
        if asked.method == "PATCH" and "deployment" in asked.url.path:
            done.set()
            thread.join()

    thread = threading.Thread(target=other)
    thread.start()
    assert taken.wait(5)
    time.sleep(0.05)  # longer than a lock lasts without a renewal
    api.refuse = given_back
    records.refuse_lost()
    assert not thread.is_alive()
