"""The state folder: what is spoiled in it is named, and never shown."""

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.observed import Actor, JournalEntry, Kind, Record, ResourceId
from inference_provider.targets.local.store import Instance, Store, no_space

IRIS = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for folder in ("records", "keys", "instances"):
        (tmp_path / "workspaces" / "lab" / folder).mkdir(parents=True)
    return Store(tmp_path, "lab")


@pytest.mark.parametrize("content", [b'{"x": 1}', b'{"x": ', b"[5]", b"\xff\x00"])
@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("records/Endpoint.iris.json", lambda store: store.record(IRIS)),
        ("records/Endpoint.iris.json", lambda store: store.records()),
        ("keys/iris.json", lambda store: store.keys("iris")),
        ("instances/iris%2Fblue.json", lambda store: store.instances("iris/blue")),
        ("instances/iris%2Fblue.json", lambda store: store.all_instances()),
        ("workspace.json", lambda store: store.address()),
    ],
)
def test_a_spoiled_file_is_named_and_its_content_is_not_shown(store, file, read, content):
    path = store.folder / file
    path.write_bytes(content)
    with pytest.raises(TargetError) as caught:
        read(store)
    assert str(caught.value) == (
        f"read {path}: file is corrupt; restore it, or move it away and run `inferctl up` to"
        " recreate it"
    )


def test_bytes_in_the_journal_that_are_no_text_are_left_out(store):
    (store.folder / "journal.jsonl").write_bytes(b'\xff\x00\n{"a": {"b": 1}}\n')
    assert store.journal() == ()


@pytest.mark.parametrize("cause", [errno.EROFS, errno.EACCES])
def test_a_state_folder_that_cannot_be_written_is_a_sentence(tmp_path, cause):
    fault = no_space(OSError(cause, os.strerror(cause)), tmp_path / "records" / "x.json")
    assert str(fault) == (
        f"write {tmp_path}/records/x.json: {os.strerror(cause)}; make it writable for this user,"
        " or name another folder in INFERENCE_STATE_DIR"
    )


def test_a_journal_on_a_full_disk_is_out_of_capacity(store):
    (store.folder / "journal.jsonl").symlink_to("/dev/full")
    entry = JournalEntry(time=datetime.now(UTC), actor=Actor(user="ann"), action="stop", id=IRIS)
    with pytest.raises(OutOfCapacity, match=r"write journal\.jsonl: no space left under"):
        store.append_journal(entry)


def test_a_record_that_could_not_be_withdrawn_is_back_without_being_written(store):
    ann, properties = Actor(user="ann"), {"name": "iris"}
    record = Record(id=IRIS, owner="demo", properties=properties, actor=ann, time=datetime.now(UTC))
    store.save_record(record)
    inode = os.stat(store.folder / "records" / "Endpoint.iris.json").st_ino
    with pytest.raises(KeyboardInterrupt), store.without_record(IRIS):
        assert store.records() == []
        raise KeyboardInterrupt
    assert store.records() == [record]
    assert os.stat(store.folder / "records" / "Endpoint.iris.json").st_ino == inode
    with store.without_record(IRIS):
        pass
    assert list((store.folder / "records").iterdir()) == []


def test_no_instances_need_no_file(store):
    blue = Instance(name="iris.blue.abc.0", generation="abc", port=21000)
    store.save_instances("iris/blue", (blue,))
    assert store.instances("iris/blue") == (blue,)
    store.save_instances("iris/blue", ())
    assert list((store.folder / "instances").iterdir()) == []
    assert store.instances("iris/blue") == ()
