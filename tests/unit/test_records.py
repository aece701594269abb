"""Documents that are files: a spoiled one is named and never shown; an edit is whole or undone."""

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.observed import Actor, JournalEntry, Kind, Record, ResourceId
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.instances import Instance, Instances
from inference_provider.targets.local.records import FileRecords
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.targets.private_file import no_space, write_private
from inference_provider.workspace.state import State

IRIS = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris")


class Refused(Exception):
    pass


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    for folder in ("records", "keys", "instances"):
        (tmp_path / "workspaces" / "lab" / folder).mkdir(parents=True)
    return Folders(tmp_path, "lab")


@pytest.fixture
def records(folders: Folders) -> FileRecords:
    return FileRecords(folders)


@pytest.fixture(params=["files", "memory"])
def either(request, folders):
    return FileRecords(folders) if request.param == "files" else MemoryRecords("lab")


def of_iris(**fields: str) -> Record:
    ann, now = Actor(user="ann"), datetime(2026, 11, 25, tzinfo=UTC)
    return Record(id=IRIS, owner="demo", properties={"name": "iris", **fields}, actor=ann, time=now)


@pytest.mark.parametrize("content", [b'{"x": 1}', b'{"x": ', b"[5]", b"\xff\x00"])
@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("records/Endpoint.iris.json", lambda folders, records: State(records).record(IRIS)),
        ("records/Endpoint.iris.json", lambda folders, records: State(records).records()),
        ("workspace.json", lambda folders, records: folders.address()),
    ],
)
def test_a_spoiled_file_is_named_and_its_content_is_not_shown(
    folders, records, file, read, content
):
    path = folders.folder / file
    path.write_bytes(content)
    with pytest.raises(TargetError) as caught:
        read(folders, records)
    assert str(caught.value) == (
        f"read {path}: file is corrupt; restore it, or move it away and apply the stack again to"
        " recreate it"
    )


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path)])
def test_a_record_that_is_no_file_is_named_and_set_aside_and_replaced(folders, records, make):
    path, state = folders.folder / "records" / "Endpoint.iris.json", State(records)
    make(path)
    reason = (
        f"read {path}: file is corrupt; restore it, or move it away and apply the stack again to"
        " recreate it"
    )
    assert state.sorted_out() == ([], {IRIS: reason})
    with records.edit():
        state.set_aside(IRIS)
    assert state.record(IRIS) is None
    make(path)
    with records.edit():
        state.put_record(of_iris())
    assert state.record(IRIS) == of_iris()
    assert [left.name for left in path.parent.iterdir()] == ["Endpoint.iris.json"]


@pytest.mark.parametrize("content", [b'{"x": 1}', b'{"x": ', b"[5]", b"\xff\x00"])
def test_instances_in_a_spoiled_file_are_none_and_the_file_is_named(folders, records, content):
    path = folders.folder / "instances" / "iris%2Fblue.json"
    path.write_bytes(content)
    instances = Instances(folders, records)
    assert (instances.of("iris/blue"), instances.by_deployment()) == ((), {})
    assert instances.faults() == {
        "iris/blue": f"read {path}: file is corrupt; restore it, or move it away and apply the"
        " stack again to recreate it"
    }


@pytest.mark.parametrize("content", [b'{"x": 1}', b"[5]", b"\xff\x00", b"", None])
def test_keys_that_are_gone_or_cannot_be_read_are_no_keys(folders, records, content):
    if content is not None:
        (folders.folder / "keys" / "iris.json").write_bytes(content)
    assert State(records).keys("iris") is None


def test_keys_whose_file_cannot_be_read_are_no_keys_and_are_replaced(folders, records):
    path, state = folders.folder / "keys" / "iris.json", State(records)
    path.symlink_to(path)
    assert state.keys("iris") is None
    with pytest.raises(Refused), records.edit():
        state.put_keys("iris", (SecretStr("one"), SecretStr("two")))
        assert state.keys("iris") == (SecretStr("one"), SecretStr("two"))
        raise Refused
    assert (state.keys("iris"), path.is_symlink()) == (None, True)
    with records.edit():
        state.put_keys("iris", (SecretStr("one"), SecretStr("two")))
    assert state.keys("iris") == (SecretStr("one"), SecretStr("two"))


def test_bytes_in_the_journal_that_are_no_text_are_left_out(folders, records):
    (folders.folder / "journal.jsonl").write_bytes(b'\xff\x00\n{"a": {"b": 1}}\n')
    assert records.journal() == ()


@pytest.mark.parametrize("cause", [errno.EROFS, errno.EACCES])
def test_a_state_folder_that_cannot_be_written_is_a_sentence(tmp_path, cause):
    fault = no_space(OSError(cause, os.strerror(cause)), tmp_path / "records" / "x.json")
    assert str(fault) == (
        f"write {tmp_path}/records/x.json: {os.strerror(cause)}; make it writable for this user,"
        " or keep the state in another folder"
    )


def test_a_write_to_a_read_only_disk_is_a_sentence_where_nothing_can_be_removed(
    tmp_path, monkeypatch
):
    def refuses(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuses)
    monkeypatch.setattr(Path, "unlink", refuses)
    with pytest.raises(TargetError, match="Read-only file system; make it writable for this user"):
        write_private(tmp_path / "x.json", "{}")


def test_a_journal_on_a_full_disk_is_out_of_capacity(folders, records):
    (folders.folder / "journal.jsonl").symlink_to("/dev/full")
    entry = JournalEntry(time=datetime.now(UTC), actor=Actor(user="ann"), action="stop", id=IRIS)
    with pytest.raises(OutOfCapacity, match=r"write journal\.jsonl: no space left under"):
        records.note(entry)


def test_a_document_that_did_not_change_is_the_same_object(either):
    either.put("records", "a/b", "one")
    first = either.read("records", "a/b")
    assert first == b"one"
    assert either.section("records")["a/b"] is first
    either.put("records", "a/b", "one")
    assert either.read("records", "a/b") is first
    either.put("records", "a/b", "two")
    assert either.read("records", "a/b") == b"two"


def test_what_another_process_wrote_is_read(folders, records):
    other = FileRecords(folders)
    for text in ("one", "two", "six"):
        other.put("records", "a", text)
        assert records.read("records", "a") == text.encode()
    other.drop("records", "a")
    assert records.read("records", "a") is None


def test_a_record_that_is_set_aside_holds_neither_keys_nor_digests(either):
    state = State(either)
    digest = "secret:sha256:0123456789abcdef"
    state.put_keys("iris", (SecretStr("a-primary-key"), SecretStr("a-secondary-key")))
    torn = '{"keys": {"primary": "a-primary-key"}, "environment_variables": "DIGEST", "na'
    torn = torn.replace("DIGEST", digest)
    either.put("records", "Endpoint.iris", torn)
    with either.edit():
        state.set_aside(IRIS)
    assert either.read("corrupt", "Endpoint.iris") == (
        b'{"keys": {"primary": "[secret]"}, "environment_variables": "[secret]", "na'
    )


@pytest.mark.parametrize("fault", [Refused, KeyboardInterrupt])
def test_whatever_is_raised_in_an_edit_undoes_all_of_it(either, fault):
    state = State(either)
    state.put_record(of_iris(), (SecretStr("old"),))
    with pytest.raises(fault), either.edit():
        state.put_record(of_iris(description="new"), (SecretStr("new"),))
        state.put_record(of_iris(description="newer"))
        either.put("keys", "iris", "new")
        either.drop("records", "Endpoint.iris")
        raise fault
    assert state.records() == [of_iris()]
    assert [one.get_secret_value() for one in state.placeholders(IRIS)] == ["old"]
    assert either.read("keys", "iris") is None


def test_an_edit_inside_an_edit_fails_alone(either):
    with either.edit():
        either.put("records", "a", "outer")
        with pytest.raises(Refused), either.edit():
            either.put("records", "a", "inner")
            either.put("records", "b", "inner")
            raise Refused
        either.put("records", "c", "outer")
    assert dict(either.section("records")) == {"a": b"outer", "c": b"outer"}


def test_what_is_put_outside_an_edit_stays_when_another_threads_edit_fails(either):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as other, pytest.raises(Refused), either.edit():
        either.put("records", "a", "1")
        other.submit(either.put, "records", "b", "2").result()
        raise Refused
    assert dict(either.section("records")) == {"b": b"2"}


def test_a_record_that_could_not_be_withdrawn_is_back_without_being_written(folders, records):
    state = State(records)
    state.put_record(of_iris())
    inode = os.stat(folders.folder / "records" / "Endpoint.iris.json").st_ino
    with pytest.raises(KeyboardInterrupt), records.edit():
        state.drop_record(IRIS)
        assert state.records() == []
        raise KeyboardInterrupt
    assert state.records() == [of_iris()]
    assert os.stat(folders.folder / "records" / "Endpoint.iris.json").st_ino == inode
    with records.edit():
        state.drop_record(IRIS)
    assert list((folders.folder / "records").iterdir()) == []


def test_no_instances_need_no_file(folders, records):
    instances = Instances(folders, records)
    blue = Instance(name="iris.blue.abc.0", generation="abc", port=21000)
    instances.save("iris/blue", (blue,))
    assert instances.of("iris/blue") == (blue,)
    instances.save("iris/blue", ())
    assert list((folders.folder / "instances").iterdir()) == []
    assert instances.of("iris/blue") == ()
