"""Records of a workspace in a cluster: each document is a Secret, and all of them one snapshot."""

import base64
import threading

import pytest
from tests.cluster_api import client_of
from tests.unit.cluster_records.clients import ANN, REVISION, SECRETS, another

from inference_provider.errors import (
    OutOfCapacity,
    OwnedByAnother,
    TargetError,
)
from inference_provider.targets.kubernetes.locks import Held, LeaseLocks
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.workspace.state import State


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


def test_a_namespace_with_another_workspace_is_refused(api, records):
    other = ClusterRecords(client_of(api), "lab", "prod")
    with pytest.raises(OwnedByAnother) as refused:
        other.make()
    assert str(refused.value) == (
        "use namespace 'lab' on cluster 'lab': it has workspace 'demo'; name another namespace"
    )
    assert not other.exists()


def test_records_without_their_revision_are_not_taken_for_a_workspace_that_is_gone(api, records):
    records.put("records", "Workspace.demo", "one")
    api.drop(REVISION)
    with pytest.raises(TargetError, match="it is gone or has lost its labels, and records of"):
        another(api).exists()


def document_of(api) -> str:
    return next(path for path in api.objects if "inference.keys.iris" in path)


def relabelled(api, path: str, **more) -> None:
    there = api.objects[path]
    api.put(path, {**there, **more, "metadata": {**there["metadata"], "labels": {}}})


def test_a_document_that_lost_its_labels_is_written_again_and_blocks_no_edit(api, records):
    records.put("keys", "iris", "first")
    path = document_of(api)
    relabelled(api, path)
    other = ClusterRecords(client_of(api), "lab", "demo")
    assert other.read("keys", "iris") is None
    other.put("keys", "iris", "second")
    assert api.objects[path]["metadata"]["labels"]["pulumi-inference/role"] == "record"
    another = ClusterRecords(client_of(api), "lab", "demo")
    assert another.read("keys", "iris") == b"second"
    another.put("keys", "rose", "third")
    assert not [path for path in api.objects if "intent" in path]


def test_a_secret_of_others_with_the_name_of_a_document_stays(api, records):
    records.put("keys", "iris", "first")
    path = document_of(api)
    relabelled(api, path, type="Opaque")
    before = api.objects[path]
    ClusterRecords(client_of(api), "lab", "demo").put("keys", "iris", "second")
    assert api.objects[path] == before


def test_a_deleted_workspace_leaves_nothing(api, records, entry):
    records.put("keys", "iris", "one")
    records.note(entry("iris"))
    LeaseLocks(client_of(api), "lab", "demo")._made(Held("inference.edit", "killed"), "")
    records.delete()
    assert not records.exists()
    assert api.objects == {}
