"""Records of a workspace in a cluster: Secrets, a revision that commits, Leases that lock."""

import base64
import threading
import time
from email.utils import formatdate

import httpx
import pytest
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.errors import (
    Busy,
    OutOfCapacity,
    OwnedByAnother,
    TargetError,
    TargetUnreachable,
)
from inference_provider.observed import Actor
from inference_provider.targets.kubernetes import locks, snapshot
from inference_provider.targets.kubernetes import records as under_test
from inference_provider.targets.kubernetes.locks import Held, LeaseLocks
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.workspace.state import State

SECRETS = "/api/v1/namespaces/lab/secrets"
REVISION = f"{SECRETS}/inference.revision"
ANN = Actor(user="ann", command="inferctl up")


@pytest.fixture
def api():
    return ClusterApi()


@pytest.fixture
def records(api):
    made = ClusterRecords(client_of(api), "lab", "demo")
    made.make()
    return made


def another(api) -> ClusterRecords:
    """Return the records as another client has them."""
    return ClusterRecords(client_of(api), "lab", "demo")


def test_another_client_reads_all_of_an_edit(api, records):
    with records.edit():
        records.put("records", "Endpoint.iris", "one")
        records.put("keys", "iris", "two")
    assert another(api).read("records", "Endpoint.iris") == b"one"
    assert another(api).section("keys") == {"iris": b"two"}


def test_who_has_got_a_lock_reads_what_its_last_holder_has_written(api, records):
    other = another(api)
    for number in range(3):
        with other.lock("deployment.blue"):
            other.put("records", "Deployment.blue", str(number))
        assert "Deployment.blue" in other.section("records")
        with records.lock("deployment.blue"):
            assert records.read("records", "Deployment.blue") == str(number).encode()


def test_who_holds_a_workspace_reads_what_its_last_holder_has_written(api, records):
    other = another(api)
    assert records.read("records", "Deployment.blue") is None
    other.put("records", "Deployment.blue", "1")
    with records.hold(ANN):
        assert records.read("records", "Deployment.blue") == b"1"


def test_a_look_reads_under_a_lock_what_is_there_then(api, records):
    other = another(api)
    other.put("unpublished", "router", "{}")
    with records.still():
        assert records.section("unpublished")
        other.drop("unpublished", "router")
        assert records.section("unpublished")
        assert not State(records).is_unpublished()


def test_a_look_of_one_thread_keeps_no_other_from_reading_what_is_new(api, records):
    other, seen = another(api), []

    def change():
        with records.lock("deployment.blue"):
            seen.append(records.read("records", "Deployment.blue"))

    with records.still():
        other.put("records", "Deployment.blue", "1")
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        assert seen == [b"1"]


def test_a_document_is_one_secret_that_says_what_it_is(api, records):
    records.put("records", "Deployment.iris/blue", "text")
    [path] = [path for path in api.objects if "iris" in path]
    assert path.startswith(f"{SECRETS}/inference.records.deployment-iris-blue-")
    secret = api.objects[path]
    assert base64.b64decode(secret["data"]["document"]) == b"text"
    about = secret["metadata"]["annotations"]
    assert about == {"pulumi-inference/document": "records/Deployment.iris/blue"}
    assert secret["type"] == "pulumi-inference/record"


def test_names_that_read_alike_are_two_documents(records):
    with records.edit():
        records.put("keys", "a.b", "one")
        records.put("keys", "a-b", "two")
        records.put("keys", "A-B", "three")
    assert records.section("keys") == {"A-B": b"three", "a-b": b"two", "a.b": b"one"}


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


def test_an_edit_larger_than_a_secret_is_one_edit(api, records):
    with records.edit():
        for number in range(5):
            records.put("blueprints", f"iris/b{number}", "x" * 400_000)
    assert len(another(api).section("blueprints")) == 5


def test_a_document_larger_than_a_secret_is_refused(records):
    with pytest.raises(OutOfCapacity, match="1,000,001 bytes, and a Secret holds 1,000,000"):
        records.put("blueprints", "iris/blue", "x" * 1_000_001)


def longest_secret(api) -> int:
    secrets = [one["data"] for _, _, one in api.events if one["kind"] == "Secret"]
    return max(sum(len(base64.b64decode(v)) for v in data.values()) for data in secrets)


def test_an_edit_whose_characters_take_two_bytes_in_it_fits_into_secrets(api, records):
    with records.edit():
        for number in range(3):
            records.put("blueprints", f"iris/b{number}", '"' * 400_000)
    assert len(another(api).section("blueprints")) == 3
    assert longest_secret(api) < 1_048_576


def test_a_document_that_fits_only_where_it_stands_is_refused(records):
    with pytest.raises(OutOfCapacity, match="1,200,000 bytes, and a Secret holds 1,000,000"):
        records.put("blueprints", "iris/blue", '"' * 600_000)


def test_a_client_that_has_read_everything_asks_only_for_the_revision(api, records):
    records.put("keys", "iris", "one")
    reader = another(api)
    reader.section("keys")
    api.requests.clear()
    reader._read_s = 0.0  # as if a while had passed
    reader.section("keys")
    assert api.requests == [f"GET {REVISION}"]


def test_an_unchanged_document_stays_the_same_object(api, records):
    records.put("keys", "iris", "one")
    reader = another(api)
    before = reader.read("keys", "iris")
    records.put("keys", "wine", "two")
    reader._read_s = 0.0
    assert reader.read("keys", "wine") == b"two"
    assert reader.read("keys", "iris") is before


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


def test_a_namespace_with_another_workspace_is_refused(api, records):
    other = ClusterRecords(client_of(api), "lab", "prod")
    with pytest.raises(OwnedByAnother) as refused:
        other.make()
    assert str(refused.value) == (
        "use namespace 'lab' on cluster 'lab': it has workspace 'demo'; name another namespace"
    )
    assert not other.exists()


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
    with records.lock("edit"):
        api.ahead_s = 100.0
        began_s = time.monotonic()
        with another(api).lock("edit", wait_s=0):
            assert time.monotonic() - began_s < 1


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


def unrenewed(asked: httpx.Request) -> None:
    """Do not answer a renewal."""
    if asked.method == "PATCH":
        raise httpx.ReadTimeout("timed out")


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


def until(question) -> None:
    deadline_s = time.monotonic() + 5
    while not question():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.005)


LEASES = "/apis/coordination.k8s.io/v1/namespaces/lab/leases"


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


def test_the_journal_keeps_its_entries_in_order(api, records, entry):
    for name in ("a", "b", "c"):
        records.note(entry(name))
    assert [one.id.name for one in another(api).journal()] == ["a", "b", "c"]


def test_long_entries_of_the_journal_are_cut_and_fill_no_config_map(api, records, entry):
    fields = tuple(f"environment_variables.NAME_{n:04}" for n in range(5_000))
    records.note(entry("a").model_copy(update={"fields": fields}))
    [kept] = another(api).journal()
    assert kept.fields[19:] == ("environment_variables.NAME_0019", "and 4980 more")


def test_the_journal_goes_on_in_another_config_map_once_one_is_large(
    api, records, entry, monkeypatch
):
    monkeypatch.setattr(under_test, "_JOURNAL_BYTES", 300)
    for name in ("a", "b", "c"):
        records.note(entry(name))
    assert len([path for path in api.objects if "/configmaps/" in path]) > 1
    assert [one.id.name for one in another(api).journal()] == ["a", "b", "c"]


def test_the_journal_of_a_workspace_that_was_made_again_takes_entries(records, entry):
    records.note(entry("a"))
    records.delete()
    records.make()
    records.note(entry("b"))
    assert [one.id.name for one in records.journal()] == ["b"]


def test_records_without_their_revision_are_not_taken_for_a_workspace_that_is_gone(api, records):
    records.put("records", "Workspace.demo", "one")
    api.drop(REVISION)
    with pytest.raises(TargetError, match="it is gone or has lost its labels, and records of"):
        another(api).exists()


def test_a_deleted_workspace_leaves_nothing(api, records, entry):
    records.put("keys", "iris", "one")
    records.note(entry("iris"))
    LeaseLocks(client_of(api), "lab", "demo")._made(Held("inference.edit", "killed"), "")
    records.delete()
    assert not records.exists()
    assert api.objects == {}


@pytest.fixture
def entry():
    from datetime import UTC, datetime, timedelta

    from inference_provider.observed import JournalEntry, Kind, ResourceId

    times = (datetime(2026, 11, 26, tzinfo=UTC) + timedelta(seconds=n) for n in range(100))

    def make(name: str) -> JournalEntry:
        id_ = ResourceId(kind=Kind.ENDPOINT, workspace="demo", name=name)
        return JournalEntry(time=next(times), actor=ANN, action="create", id=id_)

    return make
