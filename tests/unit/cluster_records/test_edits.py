"""Edits of a workspace in a cluster: a revision commits them, whole or not at all."""

import threading
import time

import httpx
import pytest
from tests.cluster_api import failure
from tests.unit.cluster_records.clients import ANN, LEASES, REVISION, another, unrenewed, until

from inference_provider.errors import (
    Busy,
    TargetUnreachable,
)
from inference_provider.targets.kubernetes import locks, snapshot
from inference_provider.targets.kubernetes.records import ClusterRecords


def test_nothing_of_an_edit_that_fails_is_stored(api, records):
    records.put("keys", "iris", "before")
    with pytest.raises(ValueError), records.edit():
        records.put("keys", "iris", "after")
        raise ValueError
    assert records.read("keys", "iris") == b"before"
    assert another(api).read("keys", "iris") == b"before"


def test_what_an_edit_has_committed_is_taken_back_when_it_fails(api, records):
    records.put("keys", "iris", "before")
    with pytest.raises(ValueError), records.edit():
        records.put("keys", "iris", "after")
        records.put("keys", "wine", "new")
        number = records.commit()
        assert another(api).section("keys") == {"iris": b"after", "wine": b"new"}
        raise ValueError
    assert another(api).section("keys") == {"iris": b"before"}
    assert snapshot.number_of(api.objects[REVISION]) == number + 1


def test_a_write_that_the_api_server_refuses_changes_nothing(api, records):
    records.put("keys", "iris", "before")

    def refuse(asked: httpx.Request):
        return httpx.Response(500, text="no") if asked.url.path == REVISION else None

    with pytest.raises(TargetUnreachable), records.edit():
        records.put("keys", "iris", "after")
        records.put("keys", "wine", "new")
        api.refuse = lambda asked: refuse(asked) if asked.method == "PUT" else None
    api.refuse = lambda _asked: None
    assert records.section("keys") == {"iris": b"before"}
    assert another(api).section("keys") == {"iris": b"before"}


def died_after_its_commit(api, records) -> None:
    """Edit as a client does that is killed before its documents are in their places."""

    def no_document(asked: httpx.Request):
        is_document = b"pulumi-inference/document" in asked.content
        return httpx.Response(422, text="killed") if is_document else None

    api.refuse = no_document
    with records.edit():
        records.put("keys", "iris", "after")
        records.put("keys", "wine", "new")
        records.drop("keys", "old")
    api.refuse = lambda _asked: None


def test_an_edit_is_done_once_its_revision_is_written(api, records):
    with records.edit():
        records.put("keys", "iris", "before")
        records.put("keys", "old", "gone")
    died_after_its_commit(api, records)
    assert another(api).section("keys") == {"iris": b"after", "wine": b"new"}


def test_the_next_edit_finishes_what_a_killed_client_left(api, records):
    with records.edit():
        records.put("keys", "iris", "before")
        records.put("keys", "old", "gone")
    died_after_its_commit(api, records)
    left = [path for path in api.objects if "intent" in path]
    next_ = another(api)
    with next_.edit():
        next_.put("keys", "lily", "more")
    assert len(left) == 1
    assert not any("intent" in path for path in api.objects)
    assert another(api).section("keys") == {"iris": b"after", "lily": b"more", "wine": b"new"}


def test_an_intent_that_no_revision_names_is_no_edit(api, records):
    records.put("keys", "iris", "before")

    def killed(asked: httpx.Request):
        if asked.method == "PUT" and asked.url.path == REVISION:
            raise KeyboardInterrupt

    api.refuse = killed
    with pytest.raises(KeyboardInterrupt), records.edit():
        records.put("keys", "iris", "after")
        records.put("keys", "wine", "new")
    api.refuse = lambda _asked: None
    assert any("intent" in path for path in api.objects)
    assert another(api).section("keys") == {"iris": b"before"}
    records.put("keys", "lily", "more")
    assert not any("intent" in path for path in api.objects)
    assert another(api).section("keys") == {"iris": b"before", "lily": b"more"}


def fails_in_place(asked: httpx.Request) -> httpx.Response | None:
    """Refuse to put a document in its place, once its edit is done."""
    document = asked.method == "POST" and b"inference.keys" in asked.content
    return failure(503, "busy") if document else None


def test_an_edit_goes_on_after_what_follows_a_commit_has_failed(api, records):
    with records.edit():
        records.put("keys", "iris", "one")
        api.refuse = fails_in_place
        records.commit()
        api.refuse = lambda _asked: None
        records.put("keys", "wine", "two")
    assert another(api).section("keys") == {"iris": b"one", "wine": b"two"}
    assert not any("intent" in path for path in api.objects)


def test_an_edit_that_another_client_took_over_does_not_go_on(api, records):
    slow = another(api)
    with pytest.raises(Busy, match="another one edits it by now"), slow.edit():
        slow.put("keys", "iris", "one")
        api.refuse = fails_in_place
        slow.commit()
        api.refuse = lambda _asked: None
        api.drop("/apis/coordination.k8s.io/v1/namespaces/lab/leases/inference.edit")
        records.put("keys", "wine", "first")
        slow.put("keys", "wine", "late")
    assert another(api).read("keys", "wine") == b"first"


def test_a_client_that_lost_its_lock_writes_nothing(api, records):
    slow, quick = another(api), another(api)
    with pytest.raises(Busy, match="another one edits it by now"), slow.edit():
        slow.put("keys", "iris", "late")
        api.drop("/apis/coordination.k8s.io/v1/namespaces/lab/leases/inference.edit")
        quick.put("keys", "iris", "first")
    assert another(api).section("keys") == {"iris": b"first"}


def test_who_takes_an_edit_over_deletes_nothing_of_it_before_it_is_too_late_for_the_other(
    api, records
):
    slow, quick = another(api), another(api)
    with records.edit():
        records.put("keys", "iris", "before")
        records.put("keys", "wine", "before")
    at_commit = {"slow": threading.Event(), "quick": threading.Event()}
    go_on = threading.Event()

    def stalled(asked: httpx.Request) -> None:
        """Let the slow client commit after the quick one has begun to, and end it then."""
        if asked.method == "PUT" and asked.url.path == REVISION:
            if not at_commit["slow"].is_set():
                at_commit["slow"].set()
                assert at_commit["quick"].wait(5)
            else:
                at_commit["quick"].set()
                assert go_on.wait(5)
        elif asked.method == "PUT" and not go_on.is_set() and at_commit["quick"].is_set():
            raise KeyboardInterrupt

    def take_over() -> None:
        assert at_commit["slow"].wait(5)
        api.drop(f"{LEASES}/inference.edit")
        with pytest.raises(Busy), quick.edit():
            quick.put("keys", "lily", "new")

    api.refuse = stalled
    other = threading.Thread(target=take_over)
    other.start()
    with pytest.raises(KeyboardInterrupt), slow.edit():
        slow.put("keys", "iris", "after")
        slow.put("keys", "wine", "after")
        slow._take_back = lambda: None  # type: ignore[method-assign]  # it was killed
    seen = another(api).section("keys")
    go_on.set()
    other.join()
    assert seen == another(api).section("keys") == {"iris": b"after", "wine": b"after"}


def test_two_clients_edit_one_after_the_other(api, records):
    def add(client: ClusterRecords) -> None:
        for _ in range(10):
            with client.edit():
                count = int(client.read("keys", "count") or b"0")
                client.put("keys", "count", str(count + 1))

    threads = [threading.Thread(target=add, args=(another(api),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert another(api).read("keys", "count") == b"20"


@pytest.mark.parametrize("lock", ["up", "deployment.iris.blue"])
def test_who_has_lost_the_lock_of_a_longer_change_edits_nothing(api, records, monkeypatch, lock):
    monkeypatch.setattr(locks, "_RENEW_S", 0.05)
    held = records.hold(ANN) if lock == "up" else records.lock(lock)
    with held:
        [path] = [path for path in api.objects if path.startswith(LEASES)]
        api.drop(path)
        until(lambda: any(one.lost for one in records._locks._renewal.all()))
        with pytest.raises(Busy, match="another one edits it by now; run this again"):
            records.put("keys", "iris", "late")
        with pytest.raises(Busy):
            records.refuse_lost()
    assert another(api).read("keys", "iris") is None


def test_who_loses_the_lock_after_a_commit_brings_nothing_back(api, records, monkeypatch):
    monkeypatch.setattr(locks, "_RENEW_S", 1000.0)
    monkeypatch.setattr(locks, "LEASE_S", 0.5)

    def slow(asked: httpx.Request) -> None:
        if asked.method == "PUT" and asked.url.path == REVISION:
            time.sleep(0.6)

    api.refuse = lambda asked: slow(asked) or unrenewed(asked)
    with records.edit():
        records.put("keys", "iris", "one")
    assert not any("inference.keys" in path for path in api.objects)
    assert another(api).read("keys", "iris") == b"one"  # of the edit that is done all the same


def test_who_takes_changes_over_forgets_what_it_read_before_others_edit(api, records):
    known: list[int] = []

    def released(asked: httpx.Request) -> None:
        if asked.method == "DELETE" and asked.url.path.endswith("/leases/inference.edit"):
            known.append(records._store.revision)

    records.put("keys", "iris", "one")
    api.refuse = released
    records.take_over()
    assert known == [0]
